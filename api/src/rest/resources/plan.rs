//! `/nodes/{node}/plan`

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use careen_core::{
    model::{DrainOptions, NodeName},
    operation::OperationError,
    view::PlanView,
};
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
/// watch caches by the same rules as the drain itself; nothing is changed and nobody is asked. Options that are left
/// out take the defaults of a maintenance.
#[utoipa::path(
    get, path = "/nodes/{node}/plan", tag = "nodes", operation_id = "getPlan", params(NodePath, DrainQuery),
    responses(
        (status = 200, description = "The plan", body = PlanBody, content_type = "application/json"),
        (status = 422, description = "An option has a value that is not allowed; `field` says which",
         body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    ),
)]
async fn get_plan(
    State(api): State<Api>,
    Path(NodePath { node }): Path<NodePath>,
    Query(DrainQuery(options)): Query<DrainQuery>,
) -> Reply<Json<PlanView>> {
    let options = options.for_maintenance().map_err(OperationError::from)?;
    api.plan_of(&api.snapshot()?, &node, &options).map(Json)
}

/// The answer to a dry run of something that may be started.
pub(super) fn plan_of_start(api: &Api, node: &NodeName, options: &DrainOptions) -> Result<Response, Problem> {
    // That the node is held is no refusal: it is by what would be changed.
    let plan = PlanView { refusal: None, ..api.plan_of(&api.snapshot()?, node, options)? };
    Ok(Json(plan).into_response())
}
