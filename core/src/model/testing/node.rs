//! Nodes, for tests.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;

use super::{node_name, uid};
use crate::model::{Node, Readiness, Record, Resources};

/// A ready node with room: 8 cores and 32 GiB.
#[must_use]
pub fn node(name: &str) -> Node {
    Node {
        name: node_name(name),
        uid: uid("node", name),
        resource_version: "1".to_owned(),
        created: None,
        labels: BTreeMap::from([("kubernetes.io/hostname".to_owned(), name.to_owned())]),
        record: None,
        unschedulable: false,
        taints: Vec::new(),
        readiness: Readiness::Ready,
        conditions: Vec::new(),
        kubelet_version: Some("v1.37.2".to_owned()),
        allocatable: Resources { cpu_millis: 8_000, memory_bytes: 32 << 30 },
    }
}

impl Node {
    /// Cordoned.
    #[must_use]
    pub fn cordoned(mut self) -> Self {
        self.unschedulable = true;
        self
    }

    /// Not answering.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.readiness = Readiness::NotReady { message: "kubelet stopped posting node status".to_owned(), since: None };
        self
    }

    /// With that label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With the label of a control-plane node.
    #[must_use]
    pub fn control_plane(self) -> Self {
        self.label("node-role.kubernetes.io/control-plane", "")
    }

    /// With that taint.
    #[must_use]
    pub fn tainted(mut self, key: &str, effect: &str) -> Self {
        self.taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), ..Taint::default() });
        self
    }

    /// With that text as its record.
    #[must_use]
    pub fn with_record_text(mut self, text: &str) -> Self {
        self.record = Some(text.to_owned());
        self
    }

    /// With that record.
    #[must_use]
    pub fn with_record(self, record: &Record) -> Self {
        let text = serde_json::to_string(record).expect("a record is JSON");
        self.with_record_text(&text)
    }

    /// With so much CPU (thousandths of a core) and memory (bytes) to give.
    #[must_use]
    pub fn giving(mut self, cpu_millis: u64, memory_bytes: u64) -> Self {
        self.allocatable = Resources { cpu_millis, memory_bytes };
        self
    }
}
