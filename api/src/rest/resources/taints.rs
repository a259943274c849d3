//! `/nodes/{node}/taints`

use axum::extract::State;
use careen_core::{
    model::{TaintEffect, TaintKey, TaintValue},
    operation::{Taint, Untaint},
};
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::{Changed, NodeChangedBody},
    paths::{DryRun, NodePath},
};
use crate::rest::{
    Api,
    extract::{Body, Path, Query},
    frame::Account,
    reply::{Json, Reply},
    schema::Of,
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(taint_node, untaint_node))
}

/// A taint to be put on a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Taint", extend("examples" = [{
    "key": "example.com/broken-fan", "value": "yes", "effect": "NoSchedule",
}]))]
#[serde(deny_unknown_fields)]
struct TaintBody {
    /// Its key.
    key: TaintKey,
    /// Its value. Default: none.
    #[serde(default)]
    value: TaintValue,
    /// Its effect.
    effect: TaintEffect,
}

type TaintRequest = Of<TaintBody>;

/// Which taints.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UntaintQuery {
    /// The key of the taints that go.
    #[param(value_type = String, min_length = 1, max_length = 317, example = "example.com/broken-fan")]
    key: TaintKey,
    /// Their effect: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Without it, all effects of the key.
    #[param(value_type = Option<String>, pattern = "^(NoSchedule|PreferNoSchedule|NoExecute)$")]
    effect: Option<TaintEffect>,
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Put a taint on a node
///
/// One of the same key and effect gets this value. Can be repeated. The drain taint is not touched while a maintenance
/// or a drain acts on the node, and KubeVirt's own never: it makes KubeVirt evacuate every VM without being asked.
#[utoipa::path(
    put, path = "/nodes/{node}/taints", tag = "nodes", operation_id = "taintNode", params(NodePath, DryRun),
    request_body(content = TaintRequest, content_type = "application/json"),
    responses((status = 200, description = "The node", body = NodeChangedBody, content_type = "application/json")),
)]
async fn taint_node(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Body(TaintBody { key, value, effect }): Body<TaintBody>,
) -> Reply<Json<Changed>> {
    let taint = Taint { key, value, effect };
    let changed = api.operations()?.taint(&node, &taint, dry_run).await?;
    Changed::of(changed, &api, &account).await.map(Json)
}

/// Take taints off a node
///
/// Can be repeated.
#[utoipa::path(
    delete, path = "/nodes/{node}/taints", tag = "nodes", operation_id = "untaintNode", params(NodePath, UntaintQuery),
    responses((status = 200, description = "The node", body = NodeChangedBody, content_type = "application/json")),
)]
async fn untaint_node(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(UntaintQuery { key, effect, dry_run }): Query<UntaintQuery>,
) -> Reply<Json<Changed>> {
    let changed = api.operations()?.untaint(&node, &Untaint { key, effect }, dry_run).await?;
    Changed::of(changed, &api, &account).await.map(Json)
}
