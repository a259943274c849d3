//! `/nodes/{node}/workloads`

use axum::extract::State;
use careen_core::view::WorkloadView;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::WorkloadBody,
    paths::NodePath,
    seen::{SeenWorkload, seen_workloads},
};
use crate::rest::{
    Api,
    extract::{Path, Query},
    frame::Account,
    page::{Limit, List, Page},
    problem::Problem,
    reply::{Json, Reply},
    schema::ListOf,
};

type WorkloadList = ListOf<WorkloadBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_workloads))
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    /// How many objects a page has; 500 if nothing is said.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `continue` of the page before.
    r#continue: Option<String>,
}

/// List the workloads of a node
///
/// Pods and VMs, in the order of namespace and pod, each with its owner, its budgets, and for a VM how it wants to go
/// and whether it can migrate. While a drain acts on the node: how far it has got with each.
#[utoipa::path(
    get, path = "/nodes/{node}/workloads", tag = "nodes", operation_id = "listWorkloads", params(NodePath, Filter),
    responses((status = 200, description = "A page of workloads", body = WorkloadList, content_type = "application/json")),
)]
async fn list_workloads(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(filter): Query<Filter>,
) -> Reply<Json<List<SeenWorkload>>> {
    let page = Page::of("workloads", filter.limit, filter.r#continue.as_deref())?;
    let views = api.views()?;
    views.snapshot().node(&node).ok_or_else(|| Problem::no_node(&node))?;
    let key = |workload: &WorkloadView| vec![workload.namespace.clone(), workload.pod.clone()];
    seen_workloads(&api, &account, page.cut(views.workloads_on(&node), key)).await.map(Json)
}
