//! Pods that have to go because of their node: it has a taint that they do not tolerate (for longer), or it is gone.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{NodeLifecycle, disrupt, pods_on};
use crate::actors::{
    actor::{Turn, Write},
    kinds::{NODE, POD},
    object::{is_deleting, is_finished, items, name_of, time, uid_of},
    rules::after,
    scheduling::tolerates,
    view::{View, key_of},
};

/// How long a node may be missing before its pods are removed (`quarantineTime` of pod garbage collection).
const QUARANTINE: Duration = Duration::from_secs(40);

impl NodeLifecycle {
    /// By `NoExecute` taints.
    pub(super) fn evict(&self, view: &View, now: Timestamp, turn: &mut Turn) {
        for node in view.all(NODE) {
            let taints: Vec<&Value> =
                items(&node["spec"]["taints"]).iter().filter(|taint| taint["effect"] == "NoExecute").collect();
            if taints.is_empty() {
                continue;
            }
            for pod in pods_on(view, name_of(node)) {
                match self.tolerated_until(pod, &taints, now) {
                    Some(until) if until <= now => {
                        let why = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
                        disrupt(pod, why, None, now, turn);
                    }
                    Some(until) => turn.look_again(until),
                    None => {}
                }
            }
        }
    }

    /// Until when the pod may stay; none if for ever.
    fn tolerated_until(&self, pod: &Value, taints: &[&Value], now: Timestamp) -> Option<Timestamp> {
        let tolerations = items(&pod["spec"]["tolerations"]);
        let until = |taint: &Value| {
            let fitting: Vec<&Value> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
            if fitting.is_empty() {
                return Some(now);
            }
            let seconds = fitting.iter().filter_map(|toleration| toleration["tolerationSeconds"].as_i64()).min()?;
            let since = time(&taint["timeAdded"]).unwrap_or(now);
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            Some(after(since, self.rules.scale(seconds)))
        };
        taints.iter().filter_map(|taint| until(taint)).min()
    }

    /// What pod garbage collection does: nobody else will end these.
    pub(super) fn remove_orphans(&mut self, view: &View, now: Timestamp, turn: &mut Turn) {
        let nodes: BTreeSet<&str> = view.all(NODE).map(name_of).collect();
        let mut missing = BTreeSet::new();
        for pod in view.all(POD) {
            let node = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty());
            match node {
                None if is_deleting(pod) => turn.writes.push(Write::Delete {
                    kind: POD,
                    key: key_of(pod),
                    uid: uid_of(pod).to_owned(),
                    grace_seconds: Some(0),
                }),
                Some(node) if !nodes.contains(node) => {
                    missing.insert(node);
                    let since = *self.missing.entry(node.to_owned()).or_insert(now);
                    let at = after(since, self.rules.scale(QUARANTINE));
                    if at > now {
                        turn.look_again(at);
                        continue;
                    }
                    let phase = if is_finished(pod) { pod["status"]["phase"].as_str() } else { Some("Failed") };
                    let why = ("DeletionByPodGC", "PodGC: node no longer exists");
                    disrupt(pod, why, phase, now, turn);
                }
                _ => {}
            }
        }
        self.missing.retain(|node, _| missing.contains(node.as_str()));
        let uids: BTreeSet<&str> = view.all(NODE).map(uid_of).collect();
        self.heard.retain(|uid, _| uids.contains(uid.as_str()));
    }
}
