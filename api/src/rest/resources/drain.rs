//! `/nodes/{node}/drain`

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use careen_core::{
    model::{DrainOrder, Uid},
    operation::{
        CancelDrain, OperationError, OrderDrain, drain_is_over, drain_is_settled, drain_is_shown, new_drain_id,
    },
    view::{DrainView, Views},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::{DrainBody, DrainOrdered, DrainOrderedBody, PlanBody},
    drain_options,
    paths::{HowToStart, NodePath},
    plan::plan_of_start,
    seen::seen_drain,
};
use crate::{
    auth::besides::{cancel_of, rights_of_dry_run, rights_of_options},
    rest::{
        Api,
        extract::{Body, Path, Query},
        frame::Account,
        problem::Problem,
        reply::{Json, Reply, put},
        schema::Of,
        wait::Wait,
    },
};

type DrainRequest = Of<drain_options::DrainBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(start_drain, get_drain, cancel_drain))
}

/// Which drain.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CancelQuery {
    /// Only the drain of this id.
    #[param(value_type = Option<String>, min_length = 1, max_length = 63)]
    id: Option<Uid>,
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// Hold the answer until it is over, but not for longer than this (up to `60s`).
    #[param(inline, example = "60s")]
    wait: Option<Wait>,
}

/// Drain a node
///
/// The drain is durable: it goes on when you go away, and any replica shows and cancels it. The node stays cordoned at
/// its end. Options that are left out are as for `kubectl drain`; send `{}` for all of them.
#[utoipa::path(
    post, path = "/nodes/{node}/drain", tag = "drains", operation_id = "startDrain", params(NodePath, HowToStart),
    request_body(content = DrainRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "It is ordered, or runs already; with wait: as it is by then", body = DrainOrderedBody, content_type = "application/json",
         headers(("Location" = String, description = "Where it is seen and cancelled"))),
        (status = 200, description = "With dryRun: the plan", body = PlanBody, content_type = "application/json"),
    ),
)]
async fn start_drain(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(HowToStart { dry_run, wait }): Query<HowToStart>,
    Body(drain_options::DrainBody(options)): Body<drain_options::DrainBody>,
) -> Reply<Response> {
    api.demand(&account, &rights_of_options(&options)).await?;
    api.demand(&account, &rights_of_dry_run(dry_run)).await?;
    let requested_by = account.user();
    let request = OrderDrain { id: new_drain_id(), node: node.clone(), options, requested_by, dry_run };
    let ordered = api.operations()?.order_drain(&request).await?;
    if dry_run {
        let options = ordered.order.request.options.for_drain().map_err(OperationError::from)?;
        return plan_of_start(&api, &node, &options);
    }
    api.until_shown(|snapshot| drain_is_shown(&ordered.order, snapshot)).await;
    api.wait_until(wait, &account, |snapshot| drain_is_settled(&ordered.order, snapshot)).await;
    let drain = match view_of(&api, &account, &ordered.order).await {
        Some(drain) => drain,
        // It has ended meanwhile, and its outcome says nothing about the node any more: so it was ordered.
        None => seen_drain(&api, &account, as_written(&api, &ordered.order)?).await,
    };
    let body = DrainOrdered { drain, changed: ordered.created };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    put(&mut response, header::LOCATION, &format!("/api/v1/nodes/{node}/drain"));
    put(&mut response, header::LINK, &format!("</api/v1/nodes/{node}/drain/events>; rel=\"monitor\""));
    Ok(response)
}

/// The drain as the caches show it, or else as it was written just now, as the caller sees it.
async fn view_of(api: &Api, account: &Account, written: &DrainOrder) -> Option<DrainView> {
    let mut snapshot = api.known();
    if !drain_is_shown(written, &snapshot) {
        drop(snapshot.put(written.clone()));
    }
    let drain = Views::of(snapshot, api.now()).drain(written.node())?;
    Some(seen_drain(api, account, drain).await)
}

/// The drain as its order was written, whatever the caches show.
fn as_written(api: &Api, written: &DrainOrder) -> Result<DrainView, Problem> {
    let mut snapshot = api.known();
    drop(snapshot.put(written.clone()));
    Views::of(snapshot, api.now()).drain(written.node()).ok_or_else(|| Problem::no_drain(written.node()))
}

/// Get the drain of a node
///
/// The one that runs, or the last one until the node is uncordoned or drained again.
#[utoipa::path(
    get, path = "/nodes/{node}/drain", tag = "drains", operation_id = "getDrain", params(NodePath),
    responses((status = 200, description = "The drain", body = DrainBody, content_type = "application/json")),
)]
async fn get_drain(State(api): State<Api>, Path(NodePath { node }): Path<NodePath>) -> Reply<Json<DrainView>> {
    api.views()?.drain(&node).map(Json).ok_or_else(|| Problem::no_drain(&node))
}

/// Cancel the drain of a node
///
/// Nothing new starts, and marks on VMs are taken back; the node stays cordoned. Can be repeated.
#[utoipa::path(
    delete, path = "/nodes/{node}/drain", tag = "drains", operation_id = "cancelDrain", params(NodePath, CancelQuery),
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
    Query(CancelQuery { id, dry_run, wait }): Query<CancelQuery>,
) -> Reply<Response> {
    let request = CancelDrain { node, id, requested_by: account.user(), dry_run };
    let (request, rights) = cancel_of(request, &api.snapshot()?)?;
    api.demand(&account, &rights).await?;
    let cancelled = api.operations()?.cancel_drain(&request).await?;
    if !dry_run {
        api.until_shown(|snapshot| drain_is_shown(&cancelled.order, snapshot)).await;
        api.wait_until(wait, &account, |snapshot| drain_is_over(&cancelled.order, snapshot)).await;
    }
    // One that is not shown any more is over, and forgotten.
    let view = view_of(&api, &account, &cancelled.order).await;
    let view = view.ok_or_else(|| Problem::no_drain(cancelled.order.node()))?;
    let is_over = dry_run || view.outcome.is_some();
    let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(view)).into_response())
}
