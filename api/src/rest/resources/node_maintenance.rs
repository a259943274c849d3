//! `/nodes/{node}/maintenance`

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use careen_core::{
    model::{NodeMaintenance, NodeName, Ticket},
    operation::{IfExists, StartMaintenance, Started, StopMaintenance, StopTarget, Stopped},
    view::MaintenanceView,
};
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::MaintenanceBody,
    drain_options::DrainBody,
    paths::{DryRun, NodePath},
};
use crate::rest::{
    Api,
    extract::{Body, Path, Query},
    frame::Account,
    problem::Problem,
    reply::{Json, Reply},
    schema::Of,
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_node_maintenance, put_node_maintenance, delete_node_maintenance))
}

/// What is wanted of a maintenance. What is left out stays as it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "MaintenanceRequest")]
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

/// A ticket in your ticketing system.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "TicketRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct TicketBody {
    /// Its id there.
    #[schemars(length(min = 1, max = 253), extend("example" = "CHG0031"))]
    id: String,
    /// Where a person can read it.
    #[schemars(length(max = 2048))]
    url: Option<String>,
}

impl From<TicketBody> for Ticket {
    fn from(TicketBody { id, url }: TicketBody) -> Self {
        Self { id, url }
    }
}

type MaintenanceRequest = Of<Wanted>;

/// How it is stopped.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Stop {
    /// Only if it belongs to this ticket.
    #[param(min_length = 1, max_length = 253)]
    ticket: Option<String>,
    /// Whatever ticket it belongs to. It is noted in the audit log.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

impl Wanted {
    /// The operation that does it.
    pub(super) fn of(self, node: NodeName, name: Option<String>, account: &Account, dry_run: bool) -> StartMaintenance {
        StartMaintenance {
            node,
            name,
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
async fn get_node_maintenance(
    State(api): State<Api>,
    Path(NodePath { node }): Path<NodePath>,
) -> Reply<Json<MaintenanceView>> {
    let none = || Problem::named("MaintenanceNotFound", format!("node {node} has no maintenance"));
    api.views()?.maintenance_on(&node).map(Json).ok_or_else(none)
}

/// Start the maintenance of a node, or change it
///
/// Can be repeated for ever: it acts on the maintenance that the node has, whatever its name, and makes one only if there
/// is none. What is left out stays as it is. A maintenance that belongs to another ticket is not touched (409).
#[utoipa::path(
    put, path = "/nodes/{node}/maintenance", tag = "maintenances", operation_id = "putNodeMaintenance",
    params(NodePath, DryRun), request_body(content = MaintenanceRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is as wanted", body = MaintenanceBody, content_type = "application/json"),
        (status = 201, description = "It was started", body = MaintenanceBody, content_type = "application/json",
         headers(("Location" = String, description = "The resource"))),
    ),
)]
async fn put_node_maintenance(
    State(api): State<Api>,
    account: Account,
    Path(NodePath { node }): Path<NodePath>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Body(wanted): Body<Wanted>,
) -> Reply<Response> {
    let request = wanted.of(node, None, &account, dry_run);
    let started = api.operations()?.start_maintenance(&request).await?;
    Ok(started_response(&started, dry_run))
}

/// Stop the maintenance of a node
///
/// The drain is cancelled and the node put back as it was. 202 while that goes on; then there is none any more (404).
#[utoipa::path(
    delete, path = "/nodes/{node}/maintenance", tag = "maintenances", operation_id = "deleteNodeMaintenance",
    params(NodePath, Stop, ("If-Match" = Option<String>, Header, description = "Only if it is at this resourceVersion")),
    responses(
        (status = 202, description = "It is being stopped", body = MaintenanceBody, content_type = "application/json"),
        (status = 200, description = "With dryRun: it could be", body = MaintenanceBody, content_type = "application/json"),
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

/// The answer to a start.
pub(super) fn started_response(started: &Started, dry_run: bool) -> Response {
    let Started { object, created, changed: _ } = started;
    let status = if *created && !dry_run { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(MaintenanceView::from(&**object))).into_response();
    locate(&mut response, object);
    response
}

fn locate(response: &mut Response, object: &NodeMaintenance) {
    if let Ok(path) = HeaderValue::from_str(&format!("/api/v1/maintenances/{}", object.name())) {
        response.headers_mut().insert(header::LOCATION, path);
    }
}

/// Stops one, and answers.
pub(super) async fn stop_maintenance(
    api: &Api,
    account: &Account,
    target: StopTarget,
    stop: Stop,
    headers: &HeaderMap,
) -> Reply<Response> {
    let Stop { ticket, force, dry_run } = stop;
    if force {
        account.note("forced");
    }
    let resource_version = if_match(headers)?;
    let request = StopMaintenance { target, ticket, resource_version, force, dry_run };
    let Stopped { object, already: _ } = api.operations()?.stop_maintenance(&request).await?;
    account.set_node(&object.spec.node_name);
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(MaintenanceView::from(&*object))).into_response())
}

/// `If-Match: "12345"`: the resourceVersion, quoted as an entity tag is.
fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let version = text.trim_matches('"');
    match version {
        "*" => Ok(None),
        _ if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Ok(Some(version.to_owned()))
        }
        _ => Err(Problem::bad_request("If-Match: it is the resourceVersion of the maintenance, as in \"12345\"")
            .field("If-Match")),
    }
}
