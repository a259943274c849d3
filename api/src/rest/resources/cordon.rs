//! `/nodes/{node}/cordon`, `/nodes/{node}/uncordon`

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::{Changed, NodeChangedBody},
    paths::{DryRun, NodePath},
};
use crate::{
    auth::besides::rights_of_uncordon,
    rest::{
        Api,
        extract::{Path, Query},
        frame::Account,
        reply::{Json, Reply},
    },
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(cordon_node)).routes(routes!(uncordon_node))
}

/// Cordon a node
///
/// No new pods are bound to it. Can be repeated.
#[utoipa::path(
    post, path = "/nodes/{node}/cordon", tag = "nodes", operation_id = "cordonNode", params(NodePath, DryRun),
    responses((status = 200, description = "The node", body = NodeChangedBody, content_type = "application/json")),
)]
async fn cordon_node(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Reply<Json<Changed>> {
    let changed = api.operations()?.cordon(&node, dry_run).await?;
    Changed::of(changed, &api, &account).await.map(Json)
}

/// Uncordon a node
///
/// New pods may be bound to it again. Refused while a maintenance or a drain acts on the node. Can be repeated.
#[utoipa::path(
    post, path = "/nodes/{node}/uncordon", tag = "nodes", operation_id = "uncordonNode", params(NodePath, DryRun),
    responses((status = 200, description = "The node", body = NodeChangedBody, content_type = "application/json")),
)]
async fn uncordon_node(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Reply<Json<Changed>> {
    let (take_back, rights) = rights_of_uncordon(&node, &api.snapshot()?);
    api.demand(&account, &rights).await?;
    let changed = api.operations()?.uncordon(&node, take_back, dry_run).await?;
    Changed::of(changed, &api, &account).await.map(Json)
}
