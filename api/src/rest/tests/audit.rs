//! What the log says of a change.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::simulated::Simulated;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
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
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = Simulated::start().await;
    let ticket = |id: &str| Some(json!({ "reason": "a secret reason", "ticket": { "id": id } }));
    let id = [("x-request-id", "CHG1-1")];
    app.send_with("admin", "PUT /nodes/node02/maintenance", ticket("CHG1"), &id).await;
    app.until(|snapshot| snapshot.maintenance("node02-maintenance").is_some()).await;
    app.admin("PUT /nodes/node02/maintenance", ticket("CHG2")).await;
    app.send("viewer", "POST /nodes/node01/cordon", None).await;
    app.send("", "POST /nodes/node01/cordon", None).await;
    app.admin("DELETE /maintenances/node02-maintenance?ticket=CHG2&force=true", None).await;
    // Reads are none.
    app.admin("GET /nodes", None).await;
    let (lines, text) = log.audit();
    let told: Vec<_> = lines
        .iter()
        .map(|line| ["user", "operation", "node", "outcome", "notes"].map(|field| line[field].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ["ann", "putNodeMaintenance", "node02", "Done", ""],
            ["ann", "putNodeMaintenance", "node02", "AlreadyUnderMaintenance", ""],
            ["vic", "cordonNode", "node01", "Forbidden", ""],
            ["", "cordonNode", "node01", "Unauthorized", ""],
            ["ann", "deleteMaintenance", "node02", "Done", "forced"],
        ]
    );
    assert_eq!((&lines[0]["request_id"], &lines[0]["code"]), (&json!("CHG1-1"), &json!(201)));
    assert!(lines.iter().all(|line| !line["request_id"].as_str().unwrap().is_empty()));
    assert!(!text.contains("Bearer") && !text.contains("a secret reason"), "{text}");
}
