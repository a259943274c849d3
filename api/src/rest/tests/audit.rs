//! What the log says of a change.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::{TestApp, simulated::Simulated};
use crate::rest::Limits;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Writes what this thread logs until the guard is dropped.
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// What is told of each change.
    fn told(&self) -> Vec<[String; 5]> {
        let (lines, _) = self.audit();
        let fields = ["operation", "node", "object", "outcome", "notes"];
        lines.iter().map(|line| fields.map(|field| line[field].as_str().unwrap_or("-").to_owned())).collect()
    }

    /// The audit lines, one for each change, and all of the text.
    fn audit(&self) -> (Vec<Value>, String) {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        (lines.filter(|line| line["target"] == "careen::audit").collect(), text)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn every_change_is_one_audit_line_and_no_secret_is_in_the_log() {
    let (log, _guard) = Log::start();
    let app = Simulated::start().await;
    let ticket = |id: &str| Some(json!({ "reason": "a secret reason", "ticket": { "id": id } }));
    let id = [("x-request-id", "CHG1-1")];
    app.send_with("admin", "PUT /nodes/node02/maintenance", ticket("CHG1"), &id).await;
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    app.admin("PUT /nodes/node02/maintenance", ticket("CHG2")).await;
    app.send("viewer", "POST /nodes/node01/cordon", None).await;
    app.send("", "POST /nodes/node01/cordon", None).await;
    app.admin("DELETE /maintenances/node02-maintenance?ticket=CHG2&force=true", None).await;
    app.admin("POST /nodes/node01/cordon?dryRun=true", None).await;
    app.admin("POST /virtualmachineinstances/shop/db/migrate", None).await;
    // Reads are none.
    app.admin("GET /nodes?dryRun=true", None).await;
    assert_eq!(
        log.told(),
        [
            ["putNodeMaintenance", "node02", "node02-maintenance", "Done", ""],
            ["putNodeMaintenance", "node02", "", "AlreadyUnderMaintenance", ""],
            ["cordonNode", "node01", "", "Forbidden", ""],
            ["cordonNode", "node01", "", "Unauthorized", ""],
            ["deleteMaintenance", "node02", "node02-maintenance", "Done", "forced"],
            ["cordonNode", "node01", "", "Done", "dryRun"],
            ["migrateVirtualMachineInstance", "", "shop/db", "VirtualMachineInstanceNotFound", ""],
        ]
    );
    let (lines, text) = log.audit();
    let users: Vec<_> = lines.iter().map(|line| line["user"].as_str().unwrap()).collect();
    assert_eq!(users, ["ann", "ann", "vic", "", "ann", "ann", "ann"]);
    assert_eq!((&lines[0]["request_id"], &lines[0]["code"]), (&json!("CHG1-1"), &json!(201)));
    assert!(lines.iter().all(|line| !line["request_id"].as_str().unwrap().is_empty()));
    assert!(!text.contains("Bearer") && !text.contains("a secret reason"), "{text}");
}

#[tokio::test]
async fn what_a_client_does_not_unpack_is_no_reason_to_tell_it_that_nothing_was_done() {
    let (log, _guard) = Log::start();
    let app = Simulated::start().await;
    for takes in ["identity;q=0", "br, *;q=0", "gzip;q=0, gzip, *;q=0"] {
        let headers = [("accept-encoding", takes)];
        app.send_with("admin", "POST /nodes/node01/cordon", None, &headers).await.ok();
        app.send_with("admin", "GET /nodes", None, &headers).await.ok();
    }
    let done = ["cordonNode", "node01", "", "Done", ""];
    assert_eq!(log.told(), [done; 3]);
}

#[tokio::test]
async fn what_a_mutation_asks_for_is_told_whatever_becomes_of_it() {
    let (log, _guard) = Log::start();
    let app = Simulated::start().await;
    let cordon = "cordonNode(input: { node: \"node02\" }) { changed }";
    let sixty = (0..60).map(|index| format!("a{index}: {cordon}")).collect::<Vec<_>>().join(" ");
    let forced = "stopMaintenance(input: { name: \"m\", force: true }) { name }";
    let dry = "cancelMigration(input: { namespace: \"shop\", name: \"m1\", dryRun: true }) { madeAgain }";
    let migrate = "migrateVirtualMachineInstance(input: { namespace: \"shop\", name: \"db\" }) { migrationName }";
    for document in [
        format!("mutation {{ {cordon} }}"),
        // Refused before anything runs.
        "mutation { cordonNode(input: { node: \"node02\" }) { bogus } }".to_owned(),
        "mutation ($node: Int!) { cordonNode(input: { node: $node }) { changed } }".to_owned(),
        format!("mutation {{ {sixty} }}"),
        format!("mutation {{ {cordon} "),
        // One note, of one line.
        format!("mutation {{ {forced} {cordon} {dry} {migrate} }}"),
        // None of these is a change.
        "{ nodes { nodes { name } } }".to_owned(),
        "{ nodes { bogus } }".to_owned(),
        "{ nodes(first: 500) { nodes { plan { counts { evict } } } } }".to_owned(),
        "mutation { __typename }".to_owned(),
    ] {
        app.admin("POST /graphql", Some(json!({ "query": document }))).await;
    }
    let query = format!("mutation {{ {cordon} }}");
    // That is an option of REST's operations only.
    app.admin("POST /graphql?dryRun=true", Some(json!({ "query": query }))).await;
    app.send("viewer", "POST /graphql", Some(json!({ "query": query }))).await;
    assert_eq!(
        log.told(),
        [
            ["cordonNode", "node02", "", "Done", ""],
            ["mutation", "", "", "Invalid", ""],
            ["mutation", "", "", "Invalid", ""],
            ["mutation", "", "", "TooExpensive", ""],
            ["mutation", "", "", "BadRequest", ""],
            ["stopMaintenance", "", "m", "MaintenanceNotFound", "forced"],
            ["cordonNode", "node02", "", "Done", ""],
            ["cancelMigration", "", "shop/m1", "MigrationNotFound", "dryRun"],
            ["migrateVirtualMachineInstance", "", "shop/db", "VirtualMachineInstanceNotFound", ""],
            ["cordonNode", "node02", "", "Done", ""],
            ["cordonNode", "node02", "", "Forbidden", ""],
        ]
    );
    let codes: Vec<_> = log.audit().0.iter().map(|line| line["code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [200, 422, 422, 422, 400, 404, 200, 404, 404, 200, 403]);
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_the_time_was_up_is_told_and_what_had_not_begun_is_not() {
    let (log, _guard) = Log::start();
    let limits = Limits { within: Duration::from_secs(5), ..Limits::default() };
    let app = TestApp::with(limits, Vec::new(), Router::new()).await;
    let mutation = "mutation { a: cordonNode(input: { node: \"node02\" }) { changed } \
                    b: cordonNode(input: { node: \"node01\" }) { changed } \
                    c: uncordonNode(input: { node: \"node02\" }) { changed } }";
    let request = Request::post("/graphql").header("authorization", "Bearer admin");
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(json!({ "query": mutation }).to_string())).unwrap();
    app.send(request).await.problem(504, "Timeout");
    assert_eq!(
        log.told(),
        // node02 is cordoned already: nothing is written.
        [["cordonNode", "node02", "", "Done", ""], ["cordonNode", "node01", "", "Timeout", ""]]
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_waits_for_is_made_and_told_before_the_server_ends() {
    let (log, _guard) = Log::start();
    let app = TestApp::start().await;
    let request = Request::post("/api/v1/nodes/node01/cordon").header("authorization", "Bearer admin");
    let request = request.body(Body::empty()).unwrap();
    // The API server does not answer, and the caller goes away.
    timeout(Duration::from_secs(1), app.send(request)).await.map(|answer| answer.status).unwrap_err();
    assert_eq!(log.told(), [[""; 5]; 0]);
    app.frame.changes_end(Duration::from_secs(60)).await;
    assert_eq!(log.told(), [["cordonNode", "node01", "", "ApiServerUnavailable", ""]]);
}
