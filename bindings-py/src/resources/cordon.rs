//! Cordon and uncordon.

use std::sync::Arc;

use careen_core::operation::TakeBack;
use pyo3::prelude::*;

use super::nodes::told;
use crate::{
    cluster::{Connected, node_name},
    error::Error,
};

async fn do_cordon(connected: Arc<Connected>, name: String, dry_run: bool) -> Result<String, Error> {
    let name = node_name(&name)?;
    let operations = connected.operations(connected.around(&name).await?);
    let changed = operations.cordon(&name, dry_run).await?;
    told(&connected, operations.cluster().snapshot(), changed)
}

async fn do_uncordon(connected: Arc<Connected>, name: String, dry_run: bool) -> Result<String, Error> {
    let name = node_name(&name)?;
    let operations = connected.operations(connected.around(&name).await?);
    let changed = operations.uncordon(&name, TakeBack::Allowed, dry_run).await?;
    told(&connected, operations.cluster().snapshot(), changed)
}

pair! { cordon, cordon_async = do_cordon(name: String, dry_run: bool) }
pair! { uncordon, uncordon_async = do_uncordon(name: String, dry_run: bool) }

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: cordon, cordon_async, uncordon, uncordon_async);
    Ok(())
}
