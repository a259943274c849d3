//! Plays the kubelet of many nodes: their status and Leases, and the pods that are bound to them.

mod addresses;
mod heartbeat;
mod mirror_pods;
mod pod;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

pub(super) use self::heartbeat::LEASES;
use self::{mirror_pods::MirrorPods, pod::Lived};
use super::{
    actor::{Actor, Turn},
    kinds::{LEASE, NODE, POD},
    object::{name_of, uid_of},
    rules::Rules,
    view::{Kind, View},
};
use crate::selector::LabelSelector;

/// Plays the kubelets of the nodes that it is told to play.
#[derive(Debug)]
pub struct Kubelet {
    rules: Rules,
    nodes: LabelSelector,
    renews_every: Duration,
    /// By the pod's UID.
    lives: BTreeMap<String, Lived>,
    mirror_pods: MirrorPods,
}

impl Kubelet {
    /// Of the nodes with such labels.
    #[must_use]
    pub fn of(nodes: LabelSelector, rules: Rules) -> Self {
        // A quarter of what the Lease lasts, as the real one.
        let renews_every = Duration::from_secs(10);
        Self { rules, nodes, renews_every, lives: BTreeMap::new(), mirror_pods: MirrorPods::default() }
    }

    /// How often each node's Lease is renewed: every 10 s unless told otherwise.
    #[must_use]
    pub fn renewing_every(mut self, interval: Duration) -> Self {
        self.renews_every = interval;
        self
    }
}

impl Actor for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![NODE, POD, LEASE]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let mut nodes = BTreeMap::new();
        for node in view.all(NODE) {
            let is_played = self.nodes.matches(&node["metadata"]["labels"]);
            if is_played && !self.rules.wishes(NODE, node, "unreachable") {
                self.tend_node(view, node, now, &mut turn);
                nodes.insert(name_of(node), node);
            }
        }
        let mut present = BTreeSet::new();
        for pod in view.all(POD) {
            present.insert(uid_of(pod));
            let node = pod["spec"]["nodeName"].as_str().and_then(|name| nodes.get(name));
            if let Some(node) = node.filter(|_| !self.rules.wishes(POD, pod, "left-alone")) {
                self.tend_pod(node, pod, now, &mut turn);
            }
        }
        self.lives.retain(|uid, _| present.contains(uid.as_str()));
        self.mirror_pods.restore(view, &nodes, &mut turn);
        turn
    }
}

#[cfg(test)]
mod tests;
