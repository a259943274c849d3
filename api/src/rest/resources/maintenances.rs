//! `/maintenances`

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use careen_core::{
    model::NodeName,
    operation::{IfExists, OnceError, OnceOutcome, StartMaintenance, StartedOnce, StopTarget},
    view::MaintenanceView,
};
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bodies::{MaintenanceBody, PlanBody},
    drain_options::DrainBody,
    idempotency::once_key,
    maintenance_answers::{
        Stop, TicketBody, maintenance_response, plan_of_maintenance, started_response, stop_maintenance, when_started,
    },
    paths::{HowToStart, MaintenancePath, ObjectName},
};
use crate::rest::{
    Api,
    extract::{Body, Path, Query},
    frame::{Account, Note},
    page::{Limit, List, Page},
    problem::Problem,
    reason::Reason,
    reply::{Json, Reply},
    schema::{ListOf, Of},
};

type MaintenanceList = ListOf<MaintenanceBody>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_maintenances, create_maintenance))
        .routes(routes!(get_maintenance, delete_maintenance))
}

/// Which maintenances.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    /// Only those of this node.
    #[param(value_type = Option<String>, min_length = 1, max_length = 253)]
    node: Option<NodeName>,
    /// Only those of the ticket with this id.
    ticket: Option<String>,
    /// How many objects a page has; 500 if nothing is said.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `continue` of the page before.
    r#continue: Option<String>,
}

/// A maintenance to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NewMaintenance", extend("examples" = [{
    "node": "node02",
    "reason": "Replacing a fan",
    "ticket": { "id": "CHG0031", "url": "https://tickets.example.com/CHG0031" },
}]))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct New {
    /// The node that goes out of service.
    node: NodeName,
    /// The name of the resource. Default: the node's, with `-maintenance`.
    #[schemars(with = "Option<String>", length(min = 1, max = 253))]
    name: Option<ObjectName>,
    /// Why, for people.
    #[schemars(length(max = 4096), extend("example" = "Replacing node02"))]
    reason: Option<String>,
    /// The ticket that it belongs to: another ticket can neither change nor stop it.
    ticket: Option<TicketBody>,
    /// How the node is drained.
    drain: Option<DrainBody>,
}

type NewMaintenance = Of<New>;

/// List the maintenances
///
/// In the order of their names.
#[utoipa::path(
    get, path = "/maintenances", tag = "maintenances", operation_id = "listMaintenances", params(Filter),
    responses((status = 200, description = "A page of maintenances", body = MaintenanceList,
               content_type = "application/json")),
)]
async fn list_maintenances(State(api): State<Api>, Query(filter): Query<Filter>) -> Reply<Json<List<MaintenanceView>>> {
    let page = Page::of("maintenances", filter.limit, filter.r#continue.as_deref())?;
    let views = api.views()?;
    let is_wanted = |maintenance: &MaintenanceView| {
        let ticket = maintenance.ticket.as_ref().map(|ticket| ticket.id.as_str());
        filter.node.as_ref().is_none_or(|node| maintenance.node == node.as_str())
            && filter.ticket.as_deref().is_none_or(|wanted| ticket == Some(wanted))
    };
    Ok(Json(page.cut(views.maintenances().filter(is_wanted), |maintenance| vec![maintenance.name.clone()])))
}

/// Start a maintenance
///
/// Refused (409) if the node has one already; `PUT /nodes/{node}/maintenance` can be repeated.
///
/// So can this under an `Idempotency-Key`: whoever repeats the request under the same key, after a lost answer or a
/// restart or on another replica, is told what became of the first (`Idempotency-Replayed: true`), also when that
/// maintenance has ended (phase `Ended`), for 24 hours. Another request under the key is refused (422).
#[utoipa::path(
    post, path = "/maintenances", tag = "maintenances", operation_id = "createMaintenance",
    params(HowToStart, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
                        description = "Names this request: a repeat starts nothing more. Up to 255 visible characters")),
    request_body(content = NewMaintenance, content_type = "application/json"),
    responses(
        (status = 201, description = "It was started, by this request or by an earlier one under its key",
         body = MaintenanceBody, content_type = "application/json",
         headers(("Location" = String, description = "The resource"),
                 ("Idempotency-Replayed" = String, description = "`true` if an earlier request started it"))),
        (status = 200, description = "With dryRun: the plan", body = PlanBody, content_type = "application/json"),
    ),
)]
async fn create_maintenance(
    State(api): State<Api>,
    account: Account,
    Query(HowToStart { dry_run, wait }): Query<HowToStart>,
    headers: HeaderMap,
    Body(new): Body<New>,
) -> Reply<Response> {
    account.set_node(new.node.as_str());
    if let Some(ObjectName(name)) = &new.name {
        account.set_object(name);
    }
    let request = StartMaintenance {
        node: new.node,
        name: new.name.map(|ObjectName(name)| name),
        reason: new.reason,
        ticket: new.ticket.map(Into::into),
        drain: new.drain.map(|DrainBody(options)| options),
        requested_by: account.user(),
        if_exists: IfExists::Refuse,
        dry_run,
    };
    let key = once_key(&headers, &request)?;
    if dry_run {
        return plan_of_maintenance(&api, &account, &request).await;
    }
    let StartedOnce { object, outcome } = match &key {
        None => {
            let started = api.operations()?.start_maintenance(&request).await?;
            StartedOnce { object: started.object, outcome: OnceOutcome::Started }
        }
        Some(key) => api.operations()?.start_maintenance_once(&request, key).await?,
    };
    account.set_object(object.name());
    let is_replayed = outcome != OnceOutcome::Started;
    if is_replayed {
        account.note(Note::Replayed);
    }
    let view = match outcome {
        OnceOutcome::Ended => MaintenanceView::ended(&object),
        OnceOutcome::Started | OnceOutcome::Replayed => when_started(&api, &account, &object, wait).await,
    };
    let mut response = started_response(true, &view);
    if is_replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

impl From<OnceError> for Problem {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Operation(error) => error.into(),
            OnceError::KeyReused => {
                Self::new(Reason::IDEMPOTENCY_KEY_REUSED, format!("Idempotency-Key: {error}")).field("Idempotency-Key")
            }
            OnceError::TooManyKeys => {
                Self::new(Reason::TOO_MANY_REQUESTS, error).retry_after(std::time::Duration::from_secs(600))
            }
        }
    }
}

/// Get a maintenance
#[utoipa::path(
    get, path = "/maintenances/{name}", tag = "maintenances", operation_id = "getMaintenance", params(MaintenancePath),
    responses((status = 200, description = "The maintenance", body = MaintenanceBody, content_type = "application/json")),
)]
async fn get_maintenance(
    State(api): State<Api>,
    Path(MaintenancePath { name: ObjectName(name) }): Path<MaintenancePath>,
) -> Reply<Response> {
    let view = api.views()?.maintenance(&name).ok_or_else(|| Problem::no_maintenance(&name))?;
    Ok(maintenance_response(StatusCode::OK, &view))
}

/// Stop a maintenance
///
/// The drain is cancelled and the node put back as it was. 202 while that goes on; then it is gone (404).
#[utoipa::path(
    delete, path = "/maintenances/{name}", tag = "maintenances", operation_id = "deleteMaintenance",
    params(MaintenancePath, Stop,
           ("If-Match" = Option<String>, Header, description = "Only if it is at this resourceVersion, which is its ETag: `\"12345\"`")),
    responses(
        (status = 202, description = "It is being stopped", body = MaintenanceBody, content_type = "application/json"),
        (status = 200, description = "With wait: it has ended; with dryRun: it could be stopped", body = MaintenanceBody, content_type = "application/json"),
    ),
)]
async fn delete_maintenance(
    State(api): State<Api>,
    account: Account,
    Path(MaintenancePath { name: ObjectName(name) }): Path<MaintenancePath>,
    Query(stop): Query<Stop>,
    headers: HeaderMap,
) -> Reply<Response> {
    stop_maintenance(&api, &account, StopTarget::Named(name), stop, &headers).await
}
