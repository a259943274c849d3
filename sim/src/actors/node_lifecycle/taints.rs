//! The taints that a node has because of its conditions and of `spec.unschedulable`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::actors::{
    actor::{Turn, Write},
    kinds::NODE,
    object::{condition, items, seconds, uid_of},
    view::key_of,
};

/// By condition and its status.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

pub(super) fn update(node: &Value, now: Timestamp, turn: &mut Turn) {
    let present = items(&node["spec"]["taints"]);
    let wanted = wanted(node);
    let is_ours = |taint: &Value| {
        let keys = BY_CONDITION.iter().map(|(_, _, key)| *key);
        keys.chain([UNSCHEDULABLE]).any(|key| is(taint, (key, "NoSchedule")))
            || BY_CONDITION.iter().take(2).any(|(_, _, key)| is(taint, (key, "NoExecute")))
    };
    let mut taints: Vec<Value> = present
        .iter()
        .filter(|taint| !is_ours(taint) || wanted.iter().any(|wanted| is(taint, *wanted)))
        .cloned()
        .collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| is(taint, (key, effect))) {
            let mut taint = json!({"key": key, "effect": effect});
            if effect == "NoExecute" || key == UNSCHEDULABLE {
                taint["timeAdded"] = seconds(now).into();
            }
            taints.push(taint);
        }
    }
    if taints.as_slice() != present {
        let taints = if taints.is_empty() { Value::Null } else { taints.into() };
        // The list is replaced as a whole.
        let version = &node["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"uid": uid_of(node), "resourceVersion": version}, "spec": {"taints": taints}});
        turn.writes.push(Write::Patch { kind: NODE, key: key_of(node), subresource: None, patch });
    }
}

fn is(taint: &Value, (key, effect): (&str, &str)) -> bool {
    taint["key"] == key && taint["effect"] == effect
}

fn has(node: &Value, wanted: (&str, &str)) -> bool {
    items(&node["spec"]["taints"]).iter().any(|taint| is(taint, wanted))
}

fn wanted(node: &Value) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    if node["spec"]["unschedulable"] == true {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    for (type_, status, key) in BY_CONDITION {
        let condition = condition(node, type_);
        // The API server gives it to new nodes; it stays until their kubelet has said that they are ready.
        let is_new = condition.is_none() && (type_, status) == ("Ready", "False") && has(node, (key, "NoSchedule"));
        if is_new {
            wanted.push((key, "NoSchedule"));
        } else if condition.is_some_and(|condition| condition["status"] == status) {
            wanted.push((key, "NoSchedule"));
            if type_ == "Ready" {
                wanted.push((key, "NoExecute"));
            }
        }
    }
    wanted
}
