//! `/nodes/{node}/drain`

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use careen_core::{
    model::{LeaveOrAbort, NodeName, Uid},
    operation::{CancelDrain, OrderDrain, new_drain_id},
    view::{DrainView, Views},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::DrainBody,
    drain_options::{self, rights_of},
    paths::{DryRun, NodePath},
};
use crate::{
    auth::Permission,
    rest::{
        Api,
        extract::{Body, Path, Query},
        frame::Account,
        problem::Problem,
        reply::{Json, Reply},
        schema::Of,
    },
};

const DELETE_MIGRATIONS: Permission = Permission::new("delete", "kubevirt.io", "virtualmachineinstancemigrations");

type DrainRequest = Of<drain_options::DrainBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(start_drain, get_drain, cancel_drain))
}

/// Which drain.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Which {
    /// Only the drain of this id.
    #[param(value_type = Option<String>, min_length = 1, max_length = 63)]
    id: Option<Uid>,
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Drain a node
///
/// The drain is durable: it goes on when you go away, and any replica shows and cancels it. The node stays cordoned at its
/// end. Options that are left out are as for `kubectl drain`; send `{}` for all of them.
#[utoipa::path(
    post, path = "/nodes/{node}/drain", tag = "drains", operation_id = "startDrain", params(NodePath, DryRun),
    request_body(content = DrainRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "It is ordered, or runs already", body = DrainBody, content_type = "application/json",
         headers(("Location" = String, description = "Where it is seen and cancelled"))),
        (status = 200, description = "With dryRun: it could be", body = DrainBody, content_type = "application/json"),
    ),
)]
async fn start_drain(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Body(drain_options::DrainBody(options)): Body<drain_options::DrainBody>,
) -> Reply<Response> {
    api.demand(&account, &rights_of(&options)).await?;
    let requested_by = account.user();
    let request = OrderDrain { id: new_drain_id(), node: node.clone(), options, requested_by, dry_run };
    let ordered = api.operations()?.order_drain(&request).await?;
    let mut snapshot = api.snapshot()?;
    drop(snapshot.put((*ordered.order).clone()));
    let view = Views::of(snapshot, api.now()).drain(&node);
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(view)).into_response();
    let path = format!("/api/v1/nodes/{node}/drain");
    if let Ok(path) = HeaderValue::from_str(&path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}

/// Get the drain of a node
///
/// The one that runs, or the last one until the node is uncordoned or drained again.
#[utoipa::path(
    get, path = "/nodes/{node}/drain", tag = "drains", operation_id = "getDrain", params(NodePath),
    responses((status = 200, description = "The drain", body = DrainBody, content_type = "application/json")),
)]
async fn get_drain(State(api): State<Api>, Path(NodePath { node }): Path<NodePath>) -> Reply<Json<DrainView>> {
    api.views()?.drain(&node).map(Json).ok_or_else(|| no_drain(&node))
}

/// Cancel the drain of a node
///
/// Nothing new starts, and marks on VMs are taken back; the node stays cordoned. Can be repeated.
#[utoipa::path(
    delete, path = "/nodes/{node}/drain", tag = "drains", operation_id = "cancelDrain", params(NodePath, Which),
    responses(
        (status = 202, description = "It is being cancelled", body = DrainBody, content_type = "application/json"),
        (status = 200, description = "It is over, or with dryRun: it could be", body = DrainBody,
         content_type = "application/json"),
    ),
)]
async fn cancel_drain(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(Which { id, dry_run }): Query<Which>,
) -> Reply<Response> {
    let views = api.views()?;
    let aborts = |drain: &DrainView| {
        drain.options.as_ref().is_some_and(|options| options.running_migrations_on_stop == Some(LeaveOrAbort::Abort))
    };
    if views.drain(&node).as_ref().is_some_and(aborts) {
        api.demand(&account, &[DELETE_MIGRATIONS.everywhere()]).await?;
    }
    let request = CancelDrain { node: node.clone(), id, requested_by: account.user(), dry_run };
    let cancelled = api.operations()?.cancel_drain(&request).await?;
    let mut snapshot = api.snapshot()?;
    drop(snapshot.put((*cancelled.order).clone()));
    let view = Views::of(snapshot, api.now()).drain(&node);
    let is_over = cancelled.order.is_finished();
    let status = if dry_run || is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(view)).into_response())
}

fn no_drain(node: &NodeName) -> Problem {
    Problem::named("DrainNotFound", format!("node {node} has no drain"))
}
