//! `/nodes/{node}/maintenance`

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use careen_core::{
    model::NodeName,
    operation::{IfExists, OperationError, StartMaintenance, StopTarget},
};
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::{MaintenanceBody, MaintenanceOrPlanBody},
    drain_options::DrainBody,
    maintenance_answers::{
        Stop, TicketBody, maintenance_response, plan_of_maintenance, started_response, stop_maintenance, when_started,
    },
    paths::{HowToStart, NodePath},
};
use crate::rest::{
    Api,
    extract::{Body, Path, Query},
    frame::Account,
    reply::Reply,
    schema::Of,
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_node_maintenance, put_node_maintenance, delete_node_maintenance))
}

/// What is wanted of a maintenance. What is left out stays as it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "MaintenanceRequest", extend("examples" = [{
    "reason": "Replacing a fan",
    "ticket": { "id": "CHG0031", "url": "https://tickets.example.com/CHG0031" },
    "drain": { "timeout": "2h", "vmThatCannotMigrate": "ShutDown" },
}]))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Wanted {
    /// Why, for people.
    #[schemars(length(max = 4096), extend("example" = "Replacing node02"))]
    reason: Option<String>,
    /// The ticket that it belongs to: another ticket can neither change nor stop it.
    ticket: Option<TicketBody>,
    /// How the node is drained.
    drain: Option<DrainBody>,
}

type MaintenanceRequest = Of<Wanted>;

impl Wanted {
    /// The operation that does it.
    fn of(self, node: NodeName, account: &Account, dry_run: bool) -> StartMaintenance {
        StartMaintenance {
            node,
            name: None,
            reason: self.reason,
            ticket: self.ticket.map(Into::into),
            drain: self.drain.map(|DrainBody(options)| options),
            requested_by: account.user(),
            if_exists: IfExists::Update,
            dry_run,
        }
    }
}

/// Get the maintenance of a node
#[utoipa::path(
    get, path = "/nodes/{node}/maintenance", tag = "maintenances", operation_id = "getNodeMaintenance", params(NodePath),
    responses((status = 200, description = "The maintenance", body = MaintenanceBody, content_type = "application/json")),
)]
async fn get_node_maintenance(State(api): State<Api>, Path(NodePath { node }): Path<NodePath>) -> Reply<Response> {
    let none = || OperationError::MaintenanceNotFound { what: format!("a maintenance of node {node}") };
    let view = api.views()?.maintenance_acted_on(&node).ok_or_else(none)?;
    Ok(maintenance_response(StatusCode::OK, &view))
}

/// Start the maintenance of a node, or change it
///
/// Can be repeated for ever: it acts on the maintenance that the node has, whatever its name, and makes one only if
/// there is none. What is left out stays as it is. A maintenance that belongs to another ticket is not touched (409).
#[utoipa::path(
    put, path = "/nodes/{node}/maintenance", tag = "maintenances", operation_id = "putNodeMaintenance",
    params(NodePath, HowToStart), request_body(content = MaintenanceRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is as wanted; with dryRun: the plan", body = MaintenanceOrPlanBody,
         content_type = "application/json"),
        (status = 201, description = "It was started", body = MaintenanceBody, content_type = "application/json",
         headers(("Location" = String, description = "The resource"))),
    ),
)]
async fn put_node_maintenance(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(HowToStart { dry_run, wait }): Query<HowToStart>,
    Body(wanted): Body<Wanted>,
) -> Reply<Response> {
    let request = wanted.of(node, &account, dry_run);
    if dry_run {
        return plan_of_maintenance(&api, &account, &request).await;
    }
    let started = api.operations()?.start_maintenance(&request).await?;
    account.set_object(started.object.name());
    let view = when_started(&api, &account, &started.object, wait).await;
    Ok(started_response(started.change.is_creation(), &view))
}

/// Stop the maintenance of a node
///
/// The drain is cancelled and the node put back as it was. 202 while that goes on; then there is none any more (404).
#[utoipa::path(
    delete, path = "/nodes/{node}/maintenance", tag = "maintenances", operation_id = "deleteNodeMaintenance",
    params(NodePath, Stop, ("If-Match" = Option<String>, Header, description = "Only if it is at this resourceVersion, which is its ETag: `\"12345\"`")),
    responses(
        (status = 202, description = "It is being stopped", body = MaintenanceBody, content_type = "application/json"),
        (status = 200, description = "With wait: it has ended; with dryRun: it could be stopped", body = MaintenanceBody, content_type = "application/json"),
    ),
)]
async fn delete_node_maintenance(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(stop): Query<Stop>,
    headers: HeaderMap,
) -> Reply<Response> {
    stop_maintenance(&api, &account, StopTarget::OfNode(node), stop, &headers).await
}
