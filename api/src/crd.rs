//! `careen crd`: the CustomResourceDefinition as YAML.

use std::io::{self, Write};

use careen_core::maintenance::custom_resource_definition;

use crate::error::Error;

const HEADER: &str = "# The NodeMaintenance resource of Careen. Written by `careen crd`; not by hand.\n";

/// Prints the definition for `kubectl apply -f -`.
pub(crate) fn print() -> Result<(), Error> {
    match io::stdout().write_all(yaml()?.as_bytes()) {
        // `careen crd | head`: who reads has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}

fn yaml() -> Result<String, Error> {
    let definition = serde_saphyr::to_string(&custom_resource_definition())?;
    Ok(format!("{HEADER}{}\n", definition.trim_end()))
}
