//! What `node_maintenance` and `maintenances` have in common: what they take, and how they answer.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use careen_core::{
    model::{NodeMaintenance, Ticket},
    operation::{
        OperationError, StartMaintenance, StopMaintenance, StopTarget, Stopped, maintenance_has_ended,
        maintenance_is_settled, maintenance_shown, stop_is_shown,
    },
    view::MaintenanceView,
};
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa::IntoParams;

use super::plan::plan_of_start;
use crate::{
    auth::besides::rights_of_dry_run,
    rest::{
        Api,
        frame::{Account, Note},
        problem::Problem,
        reply::{Json, Reply, put},
        wait::Wait,
    },
};

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

/// How it is stopped.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Stop {
    /// Only if it belongs to this ticket.
    #[param(min_length = 1, max_length = 253)]
    ticket: Option<String>,
    /// Whatever ticket it belongs to, and whatever its version. It is noted in the audit log.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
    /// Only say what would happen; nothing is changed.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// Hold the answer until the node is restored, but not for longer than this (up to `60s`).
    #[param(inline, example = "60s")]
    wait: Option<Wait>,
}

/// The answer to a dry run of a start.
pub(super) async fn plan_of_maintenance(api: &Api, account: &Account, request: &StartMaintenance) -> Reply<Response> {
    api.demand(account, &rights_of_dry_run(true)).await?;
    let started = api.operations()?.start_maintenance(request).await?;
    let drain = request.drain.clone().or_else(|| started.object.spec.drain.clone()).unwrap_or_default();
    let options = drain.for_maintenance().map_err(OperationError::from)?;
    plan_of_start(api, &request.node, &options)
}

/// The answer to a start.
pub(super) fn started_response(created: bool, view: &MaintenanceView) -> Response {
    let mut response = maintenance_response(if created { StatusCode::CREATED } else { StatusCode::OK }, view);
    put(&mut response, header::LOCATION, &format!("/api/v1/maintenances/{}", view.name));
    response
}

/// An answer that shows a maintenance. Its `ETag` is the resourceVersion, which `If-Match` takes.
pub(super) fn maintenance_response(status: StatusCode, view: &MaintenanceView) -> Response {
    let mut response = (status, Json(view)).into_response();
    put(&mut response, header::ETAG, &format!("\"{}\"", view.resource_version));
    put(&mut response, header::LINK, &format!("</api/v1/maintenances/{}/events>; rel=\"monitor\"", view.name));
    response
}

/// The maintenance that was started or changed, as it is when there is something to say of it: soon, or when it is
/// settled, if the answer is to be held until then.
pub(super) async fn when_started(
    api: &Api,
    account: &Account,
    written: &NodeMaintenance,
    wait: Option<Wait>,
) -> MaintenanceView {
    api.until_shown(|snapshot| maintenance_shown(written, snapshot).is_some()).await;
    api.wait_until(wait, account, |snapshot| maintenance_is_settled(written, snapshot)).await;
    let snapshot = api.known();
    MaintenanceView::from(maintenance_shown(written, &snapshot).map_or(written, |found| &**found))
}

/// Stops one, and answers.
pub(super) async fn stop_maintenance(
    api: &Api,
    account: &Account,
    target: StopTarget,
    stop: Stop,
    headers: &HeaderMap,
) -> Reply<Response> {
    let Stop { ticket, force, dry_run, wait } = stop;
    if force {
        account.note(Note::Forced);
    }
    let resource_version = if_match(headers)?;
    let request = StopMaintenance { target, ticket, resource_version, force, dry_run };
    let Stopped { object, already: _ } = api.operations()?.stop_maintenance(&request).await?;
    account.set_node(&object.spec.node_name);
    account.set_object(object.name());
    if dry_run {
        return Ok(maintenance_response(StatusCode::OK, &MaintenanceView::from(&*object)));
    }
    api.until_shown(|snapshot| stop_is_shown(&object, snapshot)).await;
    api.wait_until(wait, account, |snapshot| maintenance_has_ended(&object, snapshot)).await;
    let snapshot = api.known();
    if wait.is_some() && maintenance_has_ended(&object, &snapshot) {
        return Ok(Json(MaintenanceView::ended(&object)).into_response());
    }
    let view = MaintenanceView::from(&**maintenance_shown(&object, &snapshot).unwrap_or(&object));
    Ok(maintenance_response(StatusCode::ACCEPTED, &view))
}

/// `If-Match: "12345"`: the resourceVersions, each quoted as an entity tag is; `None` if any will do. They name an
/// object and not what it is sent as: what a proxy has made weak because it compresses is compared all the same.
fn if_match(headers: &HeaderMap) -> Result<Option<Vec<String>>, Problem> {
    let refused = || {
        let detail = "If-Match: it is the resourceVersion of the maintenance, as in \"12345\", or several, or *";
        Problem::bad_request(detail).field("If-Match")
    };
    let mut versions = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let tags = value.to_str().map_err(|_| refused())?.split(',').map(str::trim);
        for tag in tags {
            if tag == "*" {
                return Ok(None);
            }
            versions.push(opaque(tag).ok_or_else(refused)?.to_owned());
        }
    }
    Ok((!versions.is_empty()).then_some(versions))
}

/// What is in the quotes of an entity tag (RFC 9110, 8.8.3).
fn opaque(tag: &str) -> Option<&str> {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    let opaque = quoted.strip_prefix('"').map_or(Some(quoted), |rest| rest.strip_suffix('"'))?;
    let is_sound = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    (!opaque.is_empty() && opaque.bytes().all(is_sound)).then_some(opaque)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_names_versions_as_entity_tags() {
        let read = |values: &[&str]| {
            let fields = values.iter().map(|value| (header::IF_MATCH, value.parse().unwrap()));
            if_match(&fields.collect()).map(|versions| versions.map(|versions| versions.join(" ")))
        };
        for (values, versions) in [
            (&[][..], None),
            (&["*"], None),
            (&[r#""12345""#], Some("12345")),
            (&["12345"], Some("12345")),
            (&[r#"W/"12345""#], Some("12345")),
            (&[r#""1", W/"a-_b""#, r#""2""#], Some("1 a-_b 2")),
        ] {
            assert_eq!(read(values).unwrap().as_deref(), versions, "{values:?}");
        }
        for bad in [r#""a b""#, "", r#""""#, r#""1"#, r#"1""#, r#""1" "2""#] {
            assert_eq!(read(&[bad]).unwrap_err().status(), 400, "{bad}");
        }
    }
}
