//! `/nodes`

use axum::extract::State;
use careen_core::model::{Node, NodeName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    extract::{Path, Query},
    page::{Limit, List, Page},
    problem::Problem,
    reply::{Json, Reply},
    schema::Of,
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_nodes)).routes(routes!(get_node))
}

/// What is known of a node.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Node")]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeStatus {
    /// Its name.
    name: NodeName,
    /// Whether its kubelet says that it is ready.
    ready: bool,
    /// Whether new pods may be bound to it: it is not cordoned.
    schedulable: bool,
}

type NodeAnswer = Of<NodeStatus>;
type NodesAnswer = Of<List<NodeStatus>>;

/// Which nodes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    /// Only nodes that are ready, or are not.
    ready: Option<bool>,
    /// Only nodes that are schedulable, or are cordoned.
    schedulable: Option<bool>,
    /// How many objects a page has; 500 if nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// The `continue` of the page before.
    r#continue: Option<String>,
}

/// A node by its name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NodePath {
    /// The name of the node.
    #[param(
        value_type = String,
        min_length = 1,
        max_length = 253,
        pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        example = "node02"
    )]
    pub(super) node: NodeName,
}

/// List the nodes
///
/// In the order of their names. Read from the watch caches: it costs the API server nothing.
#[utoipa::path(
    get, path = "/nodes", tag = "nodes", operation_id = "listNodes", params(Filter),
    responses((status = 200, description = "A page of nodes", body = NodesAnswer, content_type = "application/json")),
)]
async fn list_nodes(State(api): State<Api>, Query(filter): Query<Filter>) -> Reply<Json<List<NodeStatus>>> {
    let page = Page::of("nodes", filter.limit, filter.r#continue.as_deref())?;
    let snapshot = api.snapshot()?;
    let is_wanted = |node: &&Node| {
        filter.ready.is_none_or(|ready| node.is_ready() == ready)
            && filter.schedulable.is_none_or(|schedulable| node.unschedulable != schedulable)
    };
    let nodes = snapshot.nodes().map(|node| &**node).filter(is_wanted);
    Ok(Json(page.cut(nodes, |node| vec![node.name.to_string()]).map(NodeStatus::of)))
}

/// Get a node
#[utoipa::path(
    get, path = "/nodes/{node}", tag = "nodes", operation_id = "getNode", params(NodePath),
    responses((status = 200, description = "The node", body = NodeAnswer, content_type = "application/json")),
)]
async fn get_node(State(api): State<Api>, Path(NodePath { node }): Path<NodePath>) -> Reply<Json<NodeStatus>> {
    let snapshot = api.snapshot()?;
    let node = snapshot.node(&node).ok_or_else(|| Problem::not_found("node", &node))?;
    Ok(Json(NodeStatus::of(node)))
}

impl NodeStatus {
    fn of(node: &Node) -> Self {
        Self { name: node.name.clone(), ready: node.is_ready(), schedulable: !node.unschedulable }
    }
}
