//! Plays what looks after nodes: taints as their conditions say, `Unknown` for nodes of which nothing is heard, the eviction
//! of pods by `NoExecute` taints, and the removal of pods whose node is gone. It knows no zones and no rate limits.

mod eviction;
mod health;
mod taints;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use self::health::Heard;
use super::{
    actor::{Actor, Turn, Write},
    kinds::{LEASE, NODE, POD},
    object::{annotation, is_deleting, items, set_condition, uid_of},
    rules::Rules,
    view::{Kind, View, key_of},
};

/// `--node-monitor-grace-period`
const GRACE: Duration = Duration::from_secs(50);

/// Plays the node lifecycle controller, taint eviction, pod garbage collection and the `ttl` controller.
#[derive(Debug)]
pub struct NodeLifecycle {
    rules: Rules,
    grace: Duration,
    heard: BTreeMap<String, Heard>,
    /// Since when a node has been missing that pods are bound to.
    missing: BTreeMap<String, Timestamp>,
}

impl NodeLifecycle {
    /// The rules say how fast time passes.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, grace: GRACE, heard: BTreeMap::new(), missing: BTreeMap::new() }
    }

    /// How long a node may be silent: 50 s unless told otherwise.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl Actor for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![NODE, POD, LEASE]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        for node in view.all(NODE) {
            self.mark_silent(view, node, now, &mut turn);
            taints::update(node, now, &mut turn);
            if annotation(node, TTL).is_none() {
                // What the real one says for up to 100 nodes.
                let patch = json!({"metadata": {"uid": uid_of(node), "annotations": {TTL: "0"}}});
                turn.writes.push(Write::Patch { kind: NODE, key: key_of(node), subresource: None, patch });
            }
        }
        self.evict(view, now, &mut turn);
        self.remove_orphans(view, now, &mut turn);
        turn
    }
}

/// How long kubelets may keep Secrets in memory.
const TTL: &str = "node.alpha.kubernetes.io/ttl";

/// Says why, and deletes the pod.
fn disrupt(pod: &Value, (reason, message): (&str, &str), phase: Option<&str>, now: Timestamp, turn: &mut Turn) {
    let mut conditions = items(&pod["status"]["conditions"]).to_vec();
    let target = json!({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message});
    set_condition(&mut conditions, target, now);
    let mut status = json!({"conditions": conditions});
    if let Some(phase) = phase {
        status["phase"] = phase.into();
    }
    let version = &pod["metadata"]["resourceVersion"];
    let patch = json!({"metadata": {"uid": uid_of(pod), "resourceVersion": version}, "status": status});
    turn.writes.push(Write::Patch { kind: POD, key: key_of(pod), subresource: Some("status"), patch });
    let grace_seconds = phase.map(|_| 0);
    turn.writes.push(Write::Delete { kind: POD, key: key_of(pod), uid: uid_of(pod).to_owned(), grace_seconds });
}

/// The pods of a node that are not on their way out.
fn pods_on<'a>(view: &'a View, node: &'a str) -> impl Iterator<Item = &'a Value> {
    view.all(POD).filter(move |pod| pod["spec"]["nodeName"] == node && !is_deleting(pod))
}

#[cfg(test)]
mod tests;
