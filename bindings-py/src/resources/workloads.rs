//! What is on a node.

use std::sync::Arc;

use careen_core::{operation::OperationError, view::Views};
use pyo3::prelude::*;

use crate::{
    cluster::{Connected, node_name},
    error::Error,
};

async fn see_on(connected: Arc<Connected>, node: String) -> Result<String, Error> {
    let node = node_name(&node)?;
    let snapshot = connected.around(&node).await?.snapshot();
    if snapshot.node(&node).is_none() {
        return Err(OperationError::NodeNotFound { node }.into());
    }
    Ok(serde_json::to_string(&Views::of(snapshot, connected.clock.now()).workloads_on(&node))?)
}

pair! { workloads, workloads_async = see_on(node: String) }

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: workloads, workloads_async);
    Ok(())
}
