//! What a maintenance's status was over time.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use futures::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::{Case, summary};
use crate::objects::{CLUSTER, condition, kinds, list, text};

impl Case {
    /// Records what the maintenance's status was, from now on.
    #[must_use]
    pub fn history(&self, name: &str) -> History {
        let changes = Arc::<Mutex<Vec<(Instant, Value)>>>::default();
        let fields = format!("metadata.name={name}");
        let events =
            watcher(self.cluster().api(kinds::MAINTENANCE, CLUSTER), watcher::Config::default().fields(&fields));
        let seen = changes.clone();
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                    let status = serde_json::to_value(object).unwrap()["status"].take();
                    let mut seen = seen.lock().unwrap();
                    if seen.last().is_none_or(|(_, last)| *last != status) {
                        seen.push((Instant::now(), status));
                    }
                }
            }
        });
        History { changes, task: task.abort_handle() }
    }
}

/// What a maintenance's status was, one entry for each change.
#[derive(Debug)]
pub struct History {
    changes: Arc<Mutex<Vec<(Instant, Value)>>>,
    task: AbortHandle,
}

impl History {
    /// All of them, in their order.
    #[must_use]
    pub fn statuses(&self) -> Vec<Value> {
        self.changes.lock().unwrap().iter().map(|(_, status)| status.clone()).collect()
    }

    /// In how many of the seconds since then the status changed.
    #[must_use]
    pub fn seconds_with_changes(&self, since: Instant) -> usize {
        let changes = self.changes.lock().unwrap();
        let mut seconds: Vec<u64> =
            changes.iter().map(|(when, _)| when.saturating_duration_since(since).as_secs()).collect();
        seconds.dedup();
        seconds.len()
    }

    /// The condition was never True.
    pub fn assert_never(&self, type_: &str) {
        for status in self.statuses() {
            let object = json!({"status": status});
            assert_ne!(condition(&object, type_), "True", "{}", summary(&object));
        }
    }

    /// Whether a workload was ever blocked for that reason.
    #[must_use]
    pub fn blocked_for(&self, reason: &str) -> bool {
        self.statuses()
            .iter()
            .any(|status| list(status, "/blocking").iter().any(|blocking| text(blocking, "/reason") == reason))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}
