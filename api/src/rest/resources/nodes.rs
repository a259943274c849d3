//! `/nodes`

use std::slice;

use axum::extract::State;
use careen_core::{selector::LabelSelector, view::NodeView};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bodies::NodeBody, paths::NodePath, seen::hide_of_nodes};
use crate::{
    auth::besides::rights_of_filter,
    rest::{
        Api,
        extract::{Path, Query},
        frame::Account,
        page::{Limit, List, Page},
        problem::Problem,
        reply::{Json, Reply},
        schema::ListOf,
    },
};

type NodeList = ListOf<NodeBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_nodes)).routes(routes!(get_node))
}

/// Which nodes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    /// Only nodes that are ready, or are not.
    ready: Option<bool>,
    /// Only nodes that are schedulable, or are cordoned.
    schedulable: Option<bool>,
    /// Only nodes that have a maintenance, or have none. It needs the right to list maintenances.
    under_maintenance: Option<bool>,
    /// Only nodes with these labels, written as for `kubectl get -l`.
    #[param(value_type = Option<String>, max_length = 4096, example = "rack=7,!spare")]
    label_selector: Option<LabelSelector>,
    /// How many objects a page has; 500 if nothing is said.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `continue` of the page before.
    r#continue: Option<String>,
}

impl Filter {
    fn takes(&self, node: &NodeView) -> bool {
        self.ready.is_none_or(|ready| node.ready == ready)
            && self.schedulable.is_none_or(|schedulable| node.schedulable == schedulable)
            && self.under_maintenance.is_none_or(|under| node.maintenance.is_some() == under)
            && self.label_selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
    }
}

/// List the nodes
///
/// In the order of their names. Read from the watch caches: it costs the API server nothing.
#[utoipa::path(
    get, path = "/nodes", tag = "nodes", operation_id = "listNodes", params(Filter),
    responses((status = 200, description = "A page of nodes", body = NodeList, content_type = "application/json")),
)]
async fn list_nodes(
    State(api): State<Api>,
    account: Account,
    Query(filter): Query<Filter>,
) -> Reply<Json<List<NodeView>>> {
    api.demand_as_read(&account, &rights_of_filter(filter.under_maintenance)).await?;
    let page = Page::of("nodes", filter.limit, filter.r#continue.as_deref())?;
    let views = api.views()?;
    let nodes = views.nodes().filter(|node| filter.takes(node));
    let mut page = page.cut(nodes, |node| vec![node.name.to_string()]);
    hide_of_nodes(&api, &account, page.items_mut()).await?;
    Ok(Json(page))
}

/// Get a node
#[utoipa::path(
    get, path = "/nodes/{node}", tag = "nodes", operation_id = "getNode", params(NodePath),
    responses((status = 200, description = "The node", body = NodeBody, content_type = "application/json")),
)]
async fn get_node(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
) -> Reply<Json<NodeView>> {
    let mut view = api.views()?.node(&node).ok_or_else(|| Problem::no_node(&node))?;
    hide_of_nodes(&api, &account, slice::from_mut(&mut view)).await?;
    Ok(Json(view))
}
