//! A maintenance, as a ticketing system sees it.

use serde_json::json;

use super::simulated::Simulated;

#[tokio::test]
async fn a_repeated_put_starts_once_and_changes_nothing_then() {
    let app = Simulated::start().await;
    let wanted = || Some(json!({ "reason": "Replacing node02", "ticket": { "id": "CHG1" } }));
    let first = app.admin("PUT /nodes/node02/maintenance", wanted()).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.header("location"), "/api/v1/maintenances/node02-maintenance");
    assert_eq!(first.json()["requestedBy"], "ann");
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    let second = app.admin("PUT /nodes/node02/maintenance", wanted()).await;
    assert_eq!((second.status.as_u16(), second.json()), (200, first.json()));
    let third = app.admin("PUT /nodes/node02/maintenance", Some(json!({}))).await;
    assert_eq!((third.status.as_u16(), third.json()), (200, first.json()));
    assert_eq!(app.admin("GET /nodes/node02/maintenance", None).await.ok(), first.json());
    assert_eq!(app.admin("GET /maintenances/node02-maintenance", None).await.ok(), first.json());
    let list = app.admin("GET /maintenances?ticket=CHG1&node=node02", None).await.ok();
    assert_eq!(list["items"], json!([first.json()]));
    assert_eq!(app.admin("GET /nodes?underMaintenance=true", None).await.ok()["items"][0]["name"], "node02");
}

#[tokio::test]
async fn one_tickets_maintenance_is_not_anothers() {
    let app = Simulated::start().await;
    let of = |ticket: &str| Some(json!({ "ticket": { "id": ticket } }));
    app.admin("PUT /nodes/node02/maintenance", of("CHG1")).await;
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    for (what, body) in [
        ("PUT /nodes/node02/maintenance", of("CHG2")),
        ("POST /maintenances", Some(json!({ "node": "node02", "ticket": { "id": "CHG2" } }))),
    ] {
        let answer = app.admin(what, body).await;
        assert!(answer.problem(409, "AlreadyUnderMaintenance").contains("CHG1"));
        assert_eq!(answer.json()["see"], "/api/v1/maintenances/node02-maintenance");
    }
    for what in ["DELETE /nodes/node02/maintenance?ticket=CHG2", "DELETE /maintenances/node02-maintenance?ticket=CHG2"]
    {
        app.admin(what, None).await.problem(412, "TicketMismatch");
    }
    let old = [("if-match", "\"1\"")];
    app.send_with("admin", "DELETE /nodes/node02/maintenance", None, &old).await.problem(412, "PreconditionFailed");
    let bad = [("if-match", "\"a b\"")];
    app.send_with("admin", "DELETE /nodes/node02/maintenance", None, &bad).await.problem(400, "BadRequest");
    let stopped = app.admin("DELETE /nodes/node02/maintenance?ticket=CHG2&force=true", None).await;
    assert_eq!(stopped.status, 202, "{}", stopped.text());
    app.until(|snapshot| snapshot.maintenances().count() == 0).await;
    app.admin("GET /nodes/node02/maintenance", None).await.problem(404, "MaintenanceNotFound");
    app.admin("DELETE /maintenances/node02-maintenance", None).await.problem(404, "MaintenanceNotFound");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let app = Simulated::start().await;
    let answer = app.admin("PUT /nodes/node02/maintenance?dryRun=true", Some(json!({}))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["node"]), (200, &json!("node02")));
    assert!(app.kubernetes.all("nodemaintenances.nodemaintenance.kubevirt.io").is_empty());
    app.admin("PUT /nodes/node99/maintenance?dryRun=true", Some(json!({}))).await.problem(404, "NodeNotFound");
}

#[tokio::test]
async fn what_a_body_may_not_have_is_refused_by_field() {
    let app = Simulated::start().await;
    for (body, status, reason, field) in [
        (json!({ "reson": "x" }), 422, "Invalid", "reson"),
        (json!({ "ticket": "CHG1" }), 422, "Invalid", "ticket"),
        (json!({ "ticket": { "id": "CHG1", "uri": "x" } }), 422, "Invalid", "ticket.uri"),
        (json!({ "ticket": { "id": "" } }), 422, "InvalidArgument", "ticket.id"),
        (json!({ "drain": { "timout": "1h" } }), 422, "Invalid", "drain"),
        (json!({ "drain": { "timeout": "1 hour" } }), 422, "InvalidArgument", "timeout"),
    ] {
        let answer = app.admin("PUT /nodes/node02/maintenance", Some(body)).await;
        answer.problem(status, reason);
        assert!(answer.json()["field"].as_str().unwrap().contains(field), "{}", answer.text());
    }
}
