//! `/events`, `/maintenances/{name}/events`, `/nodes/{node}/drain/events`

use axum::{extract::State, http::HeaderMap, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::paths::{MaintenancePath, NodePath, ObjectName};
use crate::rest::{
    Api,
    events::{Everything, OfDrain, OfMaintenance},
    extract::Path,
    frame::Admission,
    problem::Problem,
    reply::Reply,
};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(follow_events))
        .routes(routes!(follow_maintenance))
        .routes(routes!(follow_drain))
}

/// Follow everything
///
/// A stream of server-sent events. It begins with `snapshot` (nodes in short, maintenances, drains); then
/// `NodeChanged`, `NodeGone`, `MaintenanceChanged`, `MaintenanceEnded`, `DrainChanged` and `DrainForgotten`, each with
/// the object as it is now. Expect further names.
///
/// Every event has an id. Who comes again with the last one in `Last-Event-ID` has missed nothing; where that cannot be
/// (another replica, too long ago, a reader that is too slow), the stream goes on with `resync`, which is another
/// snapshot. A comment comes every 15 s. After 10 minutes, and when the server stops, `goodbye` asks to come again; it
/// also ends the stream of a token that has run out or a right that is gone, within 20 s.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "followEvents",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")),
    responses((status = 200, description = "Events, as they happen", body = String, content_type = "text/event-stream",
               example = "event: NodeChanged\nid: 5f3a9c01-17\ndata: {\"name\":\"node02\",\"uid\":\"6a0c\",\"ready\":true,\"schedulable\":false,\"maintenance\":\"node02-maintenance\",\"drain\":null}\n\n")),
)]
async fn follow_events(State(api): State<Api>, admission: Admission, headers: HeaderMap) -> Reply<Response> {
    api.snapshot()?;
    api.events.open(Everything(api.clone()), admission, &headers)
}

/// Follow a maintenance
///
/// A stream of server-sent events, as of `/events`: `snapshot` is the maintenance, `MaintenanceChanged` each time that
/// something has changed, and `MaintenanceEnded` the end of it and of the stream.
#[utoipa::path(
    get, path = "/maintenances/{name}/events", tag = "events", operation_id = "followMaintenance",
    params(MaintenancePath,
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")),
    responses((status = 200, description = "Events, as they happen", body = String, content_type = "text/event-stream",
               example = "event: MaintenanceChanged\nid: 5f3a9c01-18\ndata: {\"name\":\"node02-maintenance\",\"phase\":\"Running\",\"drainProgress\":40}\n\n")),
)]
async fn follow_maintenance(
    State(api): State<Api>,
    admission: Admission,
    Path(MaintenancePath { name: ObjectName(name) }): Path<MaintenancePath>,
    headers: HeaderMap,
) -> Reply<Response> {
    let found = api.snapshot()?.maintenance(&name).map(|object| object.uid());
    let is_there = found.is_some();
    let source = OfMaintenance { api: api.clone(), name, uid: found.filter(|_| !api.events.resumes(&headers)) };
    // One that has ended is followed to its end by who has seen its beginning.
    if !is_there && !api.events.has_news(&source, &headers).await {
        return Err(Problem::no_maintenance(&source.name));
    }
    api.events.open(source, admission, &headers)
}

/// Follow the drain of a node
///
/// A stream of server-sent events, as of `/events`: `snapshot` is the drain, `DrainChanged` each time that something
/// has changed, and `DrainForgotten` the end of the stream: the drain is long over, and its outcome says nothing about
/// the node any more.
#[utoipa::path(
    get, path = "/nodes/{node}/drain/events", tag = "events", operation_id = "followDrain",
    params(NodePath, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")),
    responses((status = 200, description = "Events, as they happen", body = String, content_type = "text/event-stream",
               example = "event: DrainChanged\nid: 5f3a9c01-19\ndata: {\"node\":\"node02\",\"phase\":\"Draining\",\"progress\":{\"hadToLeave\":5,\"left\":3,\"blocked\":0,\"percent\":40}}\n\n")),
)]
async fn follow_drain(
    State(api): State<Api>,
    admission: Admission,
    Path(NodePath { node }): Path<NodePath>,
    headers: HeaderMap,
) -> Reply<Response> {
    let found = api.views()?.drain(&node).map(|drain| drain.id);
    let is_there = found.is_some();
    let source = OfDrain { api: api.clone(), node, id: found.filter(|_| !api.events.resumes(&headers)) };
    if !is_there && !api.events.has_news(&source, &headers).await {
        return Err(Problem::no_drain(&source.node));
    }
    api.events.open(source, admission, &headers)
}
