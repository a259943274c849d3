//! Nodes of which nothing is heard any more.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{NodeLifecycle, pods_on};
use crate::actors::{
    actor::{Turn, Write},
    kinds::{LEASE, NODE, POD},
    kubelet::LEASES,
    object::{condition, is_ready, items, name_of, set_condition, uid_of},
    rules::after,
    view::{View, key_of},
};

/// When something was heard of a node last, on the own clock: those of others may be wrong.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    what: (Value, Value),
    at: Timestamp,
}

impl NodeLifecycle {
    pub(super) fn mark_silent(&mut self, view: &View, node: &Value, now: Timestamp, turn: &mut Turn) {
        let name = name_of(node);
        let renewed = view.get(LEASE, LEASES, name).map_or(Value::Null, |lease| lease["spec"]["renewTime"].clone());
        let beat = condition(node, "Ready").map_or(Value::Null, |ready| ready["lastHeartbeatTime"].clone());
        let what = (renewed, beat);
        let is_unknown = condition(node, "Ready").is_some_and(|ready| ready["status"] == "Unknown");
        let heard = self.heard.entry(uid_of(node).to_owned()).or_insert_with(|| Heard { what: what.clone(), at: now });
        if heard.what != what {
            *heard = Heard { what, at: now };
        }
        let silent_at = after(heard.at, self.rules.scale(self.grace));
        if silent_at > now {
            if !is_unknown {
                turn.look_again(silent_at);
            }
            return;
        }
        if !is_unknown {
            turn.writes.push(silence(node, now));
        }
        for pod in pods_on(view, name).filter(|pod| is_ready(pod)) {
            turn.writes.push(unready(pod, now));
        }
    }
}

fn silence(node: &Value, now: Timestamp) -> Write {
    let mut conditions = items(&node["status"]["conditions"]).to_vec();
    for type_ in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let (reason, message) = if condition(node, type_).is_some() {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        } else {
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        };
        let unknown = json!({"type": type_, "status": "Unknown", "reason": reason, "message": message});
        set_condition(&mut conditions, unknown, now);
    }
    let version = &node["metadata"]["resourceVersion"];
    let patch = json!({
        "metadata": {"uid": uid_of(node), "resourceVersion": version}, "status": {"conditions": conditions},
    });
    Write::Patch { kind: NODE, key: key_of(node), subresource: Some("status"), patch }
}

fn unready(pod: &Value, now: Timestamp) -> Write {
    let mut conditions = items(&pod["status"]["conditions"]).to_vec();
    set_condition(&mut conditions, json!({"type": "Ready", "status": "False"}), now);
    let version = &pod["metadata"]["resourceVersion"];
    let patch = json!({
        "metadata": {"uid": uid_of(pod), "resourceVersion": version}, "status": {"conditions": conditions},
    });
    Write::Patch { kind: POD, key: key_of(pod), subresource: Some("status"), patch }
}
