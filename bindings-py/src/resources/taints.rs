//! Taint and untaint.

use std::sync::Arc;

use careen_core::{
    model::InvalidTaint,
    operation::{OperationError, Taint, Untaint},
};
use pyo3::prelude::*;

use super::nodes::told;
use crate::{
    cluster::{Connected, node_name},
    error::Error,
};

async fn do_taint(
    connected: Arc<Connected>,
    name: String,
    key: String,
    value: String,
    effect: String,
    dry_run: bool,
) -> Result<String, Error> {
    let name = node_name(&name)?;
    let taint = Taint {
        key: key.parse().map_err(invalid)?,
        value: value.parse().map_err(invalid)?,
        effect: effect.parse().map_err(invalid)?,
    };
    let operations = connected.operations(connected.around(&name).await?);
    let changed = operations.taint(&name, &taint, dry_run).await?;
    told(&connected, operations.cluster().snapshot(), changed)
}

async fn do_untaint(
    connected: Arc<Connected>,
    name: String,
    key: String,
    effect: Option<String>,
    dry_run: bool,
) -> Result<String, Error> {
    let name = node_name(&name)?;
    let effect = effect.map(|effect| effect.parse()).transpose().map_err(invalid)?;
    let taint = Untaint { key: key.parse().map_err(invalid)?, effect };
    let operations = connected.operations(connected.around(&name).await?);
    let changed = operations.untaint(&name, &taint, dry_run).await?;
    told(&connected, operations.cluster().snapshot(), changed)
}

fn invalid(error: InvalidTaint) -> Error {
    OperationError::from(error).into()
}

pair! { taint, taint_async = do_taint(name: String, key: String, value: String, effect: String, dry_run: bool) }
pair! { untaint, untaint_async = do_untaint(name: String, key: String, effect: Option<String>, dry_run: bool) }

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: taint, taint_async, untaint, untaint_async);
    Ok(())
}
