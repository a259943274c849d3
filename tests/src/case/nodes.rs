//! A case's nodes, and how they look.

use std::time::Duration;

use kube::api::ListParams;
use serde_json::{Value, json};

use super::{CASE_LABEL, Case, DRAIN_TAINT, NODE_LEASES, RECORD, merge};
use crate::{
    nodes::PLAYED,
    objects::{CLUSTER, annotation, condition, conditions, kinds, label, list, name_of, text},
    wait::{self, DRAIN, check, soon},
};

impl Case {
    /// A node of its own that is ready: its name.
    pub async fn node(&self, suffix: &str) -> String {
        self.node_with(suffix, json!({})).await
    }

    /// A node with further fields (a JSON merge patch of it).
    pub async fn node_with(&self, suffix: &str, more: Value) -> String {
        let name = self.name(suffix);
        let mut node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {
                PLAYED: "sim", CASE_LABEL: self.id, "kubernetes.io/hostname": name,
            }},
        });
        merge(&mut node, more);
        self.cluster().create(node).await;
        soon(&format!("node {name} is ready"), async || {
            let node = self.cluster().get(kinds::NODE, CLUSTER, &name).await;
            // What Kubernetes itself adds must be there, or gone, before anybody remembers how the node looked.
            let is_cordoned = node["spec"]["unschedulable"] == json!(true);
            let settled = condition(&node, "Ready") == "True"
                && !has_taint(&node, "node.kubernetes.io/not-ready")
                && has_taint(&node, "node.kubernetes.io/unschedulable") == is_cordoned
                && annotation(&node, "node.alpha.kubernetes.io/ttl").is_some()
                && label(&node, "kubevirt.io/schedulable").is_some();
            check(settled, || format!("{node:#}"))
        })
        .await;
        name
    }

    /// The node as it is.
    pub async fn get_node(&self, name: &str) -> Value {
        self.cluster().get(kinds::NODE, CLUSTER, name).await
    }

    /// What must be the same before a maintenance and after it.
    pub async fn look_of(&self, node: &str) -> NodeLook {
        NodeLook::of(&self.get_node(node).await)
    }

    /// Waits until the node looks as it did and nobody holds it. (After a `kill -9` the next one has to wait for the
    /// leader Lease of the one that died.)
    pub async fn looks_again(&self, node: &str, before: &NodeLook) {
        wait::until(DRAIN, &format!("node {node} is as it was"), async || {
            let now = self.look_of(node).await;
            check(now == *before, || format!("{now:#?}\n instead of\n{before:#?}"))
        })
        .await;
        soon(&format!("nobody holds node {node}"), async || {
            let lease = self.cluster().find(kinds::LEASE, NODE_LEASES, &format!("node-{node}")).await;
            let holder = lease.as_ref().map_or("", |lease| text(lease, "/spec/holderIdentity")).to_owned();
            check(holder.is_empty(), || holder)
        })
        .await;
    }

    /// Waits until the node is cordoned, tainted and has its record.
    pub async fn taken_out(&self, node: &str) -> Value {
        soon(&format!("node {node} is cordoned, tainted and has its record"), async || {
            let found = self.get_node(node).await;
            check(is_taken_out(&found), || format!("{:#?}", NodeLook::of(&found)))?;
            Ok(found)
        })
        .await
    }

    /// For a second nothing is done to the node.
    pub async fn stays_untouched(&self, node: &str, before: &NodeLook) {
        wait::stays(Duration::from_secs(1), &format!("node {node} is left alone"), async || {
            let now = self.look_of(node).await;
            check(now == *before, || format!("{now:#?}\n instead of\n{before:#?}"))
        })
        .await;
    }

    /// Warning Events about the node, by Careen.
    pub async fn warnings_about_node(&self, node: &str) -> Vec<String> {
        let fields = format!("involvedObject.kind=Node,involvedObject.name={node},type=Warning");
        let events = self.cluster().select(kinds::EVENT, CLUSTER, ListParams::default().fields(&fields)).await;
        let by_careen = |event: &&Value| {
            text(event, "/reportingComponent").starts_with("careen")
                || text(event, "/source/component").starts_with("careen")
        };
        let say = |event: &Value| format!("{}: {}", text(event, "/reason"), text(event, "/message"));
        events.iter().filter(by_careen).map(say).collect()
    }
}

/// What must be the same before a maintenance and after it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLook {
    spec: Value,
    labels: Value,
    annotations: Value,
    /// Those that are True or have not been there before.
    conditions: Vec<(String, String)>,
}

impl NodeLook {
    /// Of any node, also of one that has only just come and has no labels or annotations yet.
    fn of(node: &Value) -> Self {
        let mut spec = node["spec"].clone();
        // When a taint was added is no part of how a node looks; in which order they are is.
        for taint in spec.get_mut("taints").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::Object(taint) = taint {
                taint.remove("timeAdded");
            }
        }
        let conditions = conditions(node)
            .into_iter()
            .map(|(type_, condition)| (type_.to_owned(), text(condition, "/status").to_owned()))
            .collect();
        let metadata = &node["metadata"];
        let mut annotations = metadata["annotations"].clone();
        if let Value::Object(annotations) = &mut annotations {
            // KubeVirt renews it every minute.
            annotations.remove("kubevirt.io/heartbeat");
        }
        let mut labels = metadata["labels"].clone();
        if let Value::Object(labels) = &mut labels {
            // The node lifecycle controller adds them, some time after the node has come.
            labels.retain(|label, _| !label.starts_with("beta.kubernetes.io/"));
        }
        Self { spec, labels, annotations, conditions }
    }
}

/// Whether it is cordoned, tainted and has a record.
#[must_use]
pub fn is_taken_out(node: &Value) -> bool {
    node["spec"]["unschedulable"] == json!(true) && has_taint(node, DRAIN_TAINT) && annotation(node, RECORD).is_some()
}

/// Whether it has a taint with that key.
#[must_use]
pub fn has_taint(node: &Value, key: &str) -> bool {
    list(node, "/spec/taints").iter().any(|taint| text(taint, "/key") == key)
}

/// The record on a node.
#[must_use]
pub fn record_of(node: &Value) -> Value {
    let record = annotation(node, RECORD).unwrap_or_else(|| panic!("{} has no record", name_of(node)));
    serde_json::from_str(record).unwrap_or_else(|error| panic!("{error}: {record}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_has_only_just_come_has_a_look_too() {
        let bare = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node01"}});
        let annotated = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node01", "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
        });
        assert_ne!(NodeLook::of(&bare), NodeLook::of(&annotated));
    }

    #[test]
    fn what_others_renew_is_no_part_of_the_look() {
        let node = |heartbeat: &str, added: &str| {
            json!({
                "metadata": {"annotations": {"kubevirt.io/heartbeat": heartbeat}, "labels": {"beta.kubernetes.io/os": added}},
                "spec": {"taints": [{"key": "a", "effect": "NoSchedule", "timeAdded": added}]},
            })
        };
        assert_eq!(NodeLook::of(&node("1", "2")), NodeLook::of(&node("3", "4")));
    }
}
