//! Nodes, and what a change of one answers.

use std::sync::Arc;

use careen_core::{
    cluster::{Snapshot, View},
    model::{Actor, Node},
    operation::{NodeChanged, OperationError},
    view::{NodeView, Views},
};
use k8s_openapi::api::core::v1;
use kube::{Api, api::ListParams};
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cluster::{Connected, node_name},
    error::Error,
};

/// What became of a node.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeChangeView {
    pub(crate) node: NodeView,
    pub(crate) changed: bool,
    pub(crate) restored_from: Option<Actor>,
    pub(crate) warnings: Vec<String>,
}

async fn see_all(connected: Arc<Connected>) -> Result<String, Error> {
    if connected.looks_at_everything() {
        let snapshot = connected.whole().await?.snapshot();
        let nodes: Vec<_> = Views::of(snapshot, connected.clock.now()).nodes().collect();
        return Ok(serde_json::to_string(&nodes)?);
    }
    let listed = Api::<v1::Node>::all(connected.client.clone()).list(&ListParams::default()).await;
    let mut snapshot = Snapshot::of(View::Nodes);
    for node in listed.map_err(|error| Error::of_request("list nodes", &error))? {
        // The API server has no nodes whose names it would not take.
        if let Ok(node) = Node::try_from(node) {
            snapshot.put(node);
        }
    }
    let views = Views::of(snapshot, connected.clock.now());
    let nodes = views.nodes().map(|node| {
        let mut node = json!(node);
        // Their pods were not looked at: unknown is not none.
        node["pods"] = Value::Null;
        node["virtualMachineInstances"] = Value::Null;
        node
    });
    Ok(nodes.collect::<Value>().to_string())
}

async fn see(connected: Arc<Connected>, name: String) -> Result<String, Error> {
    let name = node_name(&name)?;
    let snapshot = connected.around(&name).await?.snapshot();
    let node = Views::of(snapshot, connected.clock.now()).node(&name);
    Ok(serde_json::to_string(&node.ok_or(OperationError::NodeNotFound { node: name })?)?)
}

/// The node as it is after the change, which the caches need not show yet.
pub(super) fn told(connected: &Connected, mut snapshot: Snapshot, changed: NodeChanged) -> Result<String, Error> {
    let name = changed.node.name.clone();
    snapshot.put(changed.node);
    let node = Views::of(snapshot, connected.clock.now()).node(&name);
    let node = node.ok_or(OperationError::NodeNotFound { node: name })?;
    let NodeChanged { changed, restored_from, warnings, .. } = changed;
    Ok(serde_json::to_string(&NodeChangeView { node, changed, restored_from, warnings })?)
}

pair! { nodes, nodes_async = see_all() }
pair! { node, node_async = see(name: String) }

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: nodes, nodes_async, node, node_async);
    Ok(())
}
