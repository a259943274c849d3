//! What would happen.

use std::sync::Arc;

use careen_core::{model::DrainSpec, operation::OperationError, plan::plan as decide, view::PlanView};
use pyo3::prelude::*;

use crate::{
    cluster::{Connected, node_name},
    error::Error,
};

async fn make(connected: Arc<Connected>, node: String, options: String, maintenance: bool) -> Result<String, Error> {
    let node = node_name(&node)?;
    let spec: DrainSpec = serde_json::from_str(&options)?;
    let options = if maintenance { spec.for_maintenance() } else { spec.for_drain() };
    let options = options.map_err(OperationError::from)?;
    let snapshot = connected.around(&node).await?.snapshot();
    let plan = decide(&node, None, &snapshot, &options, connected.clock.now()).map_err(OperationError::from)?;
    Ok(serde_json::to_string(&PlanView::from(&plan))?)
}

pair! { plan, plan_async = make(node: String, options: String, maintenance: bool) }

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: plan, plan_async);
    Ok(())
}
