//! `/nodes/{node}/plan`

use axum::extract::State;
use careen_core::{model::NodeName, plan, view::PlanView};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{bodies::PlanBody, drain_options::DrainQuery, paths::NodePath};
use crate::rest::{
    Api,
    extract::{Path, Query},
    problem::Problem,
    reply::{Json, Reply},
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_plan))
}

/// See what a maintenance would do
///
/// A verdict for each workload of the node: what would become of it, and what would be in its way. Worked out from the
/// watch caches by the same rules as the drain itself; nothing is changed and nobody is asked. Options that are left out
/// take the defaults of a maintenance.
#[utoipa::path(
    get, path = "/nodes/{node}/plan", tag = "nodes", operation_id = "getPlan", params(NodePath, DrainQuery),
    responses((status = 200, description = "The plan", body = PlanBody, content_type = "application/json")),
)]
async fn get_plan(
    State(api): State<Api>,
    Path(NodePath { node }): Path<NodePath>,
    Query(DrainQuery(options)): Query<DrainQuery>,
) -> Reply<Json<PlanView>> {
    let options = options.for_maintenance().map_err(|error| Problem::bad_request(&error).field(error.field))?;
    plan_of(&api, &node, &options).map(Json)
}

fn plan_of(api: &Api, node: &NodeName, options: &careen_core::model::DrainOptions) -> Result<PlanView, Problem> {
    let snapshot = api.snapshot()?;
    let plan = plan::plan(node, api.own_pod(), &snapshot, options).map_err(|_| Problem::no_node(node))?;
    Ok(PlanView::from(&plan))
}
