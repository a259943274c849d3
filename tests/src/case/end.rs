//! The end of a case: what there is to know when it fails, and what is removed.

use std::time::{Duration, Instant};

use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{CASE_LABEL, Case, summary};
use crate::{
    objects::{CLUSTER, kinds, name_of, text},
    wait::SOON,
};

impl Case {
    /// What there is to know about a failure.
    pub(super) async fn report(&self) -> String {
        let label = format!("{CASE_LABEL}={}", self.id);
        let mine = |text: &str, last: usize| {
            let lines: Vec<&str> = text.lines().filter(|line| line.contains(&self.id)).collect();
            lines[lines.len().saturating_sub(last)..].join("\n")
        };
        let maintenances = self.cluster().list(kinds::MAINTENANCE, CLUSTER).await;
        let maintenances: Vec<String> = maintenances
            .iter()
            .filter(|found| self.is_mine(found))
            .map(|found| format!("{}: {}", name_of(found), summary(found)))
            .collect();
        let maintenances = maintenances.join("\n");
        let nodes = self.kubectl(&["get", "nodes", "-l", &label, "-o", "yaml"], "").await.stdout;
        let objects = "pods,pdb,vm,vmi,vmim";
        let objects = self.kubectl(&["get", objects, "-n", &self.namespace, "-o", "wide"], "").await.stdout;
        let events = self.kubectl(&["get", "events", "-A", "--sort-by=.lastTimestamp"], "").await.stdout;
        let log = std::fs::read_to_string(self.suite.log()).unwrap_or_default();
        format!(
            "=== maintenances\n{maintenances}\n=== nodes\n{nodes}\n=== objects\n{objects}\n=== events\n{}\n\
             === Careen's writes\n{}\n=== Careen's log ({})\n{}",
            mine(&events, 40),
            mine(&self.writes().to_string(), 60),
            self.suite.log().display(),
            mine(&log, 60),
        )
    }

    fn is_mine(&self, maintenance: &Value) -> bool {
        let prefix = format!("{}-", self.id);
        name_of(maintenance).starts_with(&prefix) || text(maintenance, "/spec/nodeName").starts_with(&prefix)
    }

    /// Removes what the case made. What Careen did not let go is a failure of its own.
    pub(super) async fn clean_up(&self) -> Option<String> {
        let cluster = self.cluster();
        let mut left = None;
        let maintenances = cluster.list(kinds::MAINTENANCE, CLUSTER).await;
        let mine: Vec<&str> = maintenances.iter().filter(|found| self.is_mine(found)).map(name_of).collect();
        for name in &mine {
            cluster.delete(kinds::MAINTENANCE, CLUSTER, name).await;
        }
        for name in mine {
            let started = Instant::now();
            while cluster.find(kinds::MAINTENANCE, CLUSTER, name).await.is_some() {
                if started.elapsed() > SOON {
                    left = Some(format!("maintenance {name} was deleted and did not go within {SOON:?}"));
                    let finalizers = json!({"metadata": {"finalizers": null}});
                    cluster.try_merge(kinds::MAINTENANCE, CLUSTER, name, &finalizers).await.ok();
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        self.remove_roles().await;
        self.suite.kubevirt.remove_from(&self.namespace).await;
        cluster.delete(kinds::NAMESPACE, CLUSTER, &self.namespace).await;
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let pods = cluster.api(kinds::POD, &self.namespace);
        pods.delete_collection(&now, &ListParams::default()).await.ok();
        let nodes = ListParams::default().labels(&format!("{CASE_LABEL}={}", self.id));
        for node in cluster.select(kinds::NODE, CLUSTER, nodes).await {
            cluster.delete(kinds::NODE, CLUSTER, name_of(&node)).await;
        }
        left
    }
}
