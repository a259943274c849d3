//! Plays kube-scheduler: finds a node for each pod that has none, or says why there is none. It knows nothing of
//! preemption, volumes and topology spread constraints.

mod affinity;
mod load;

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use serde_json::{Value, json};

use self::{affinity::Neighbours, load::Load};
use super::{
    actor::{Actor, Turn, Write},
    kinds::{NODE, POD},
    object::{controller_of, is_deleting, is_finished, items, name_of, set_condition, time, uid_of, would_change},
    scheduling::{is_meant, untolerated},
    view::{Kind, View, key_of},
};

/// Plays kube-scheduler.
#[derive(Debug, Default)]
pub struct Scheduler(());

impl Actor for Scheduler {
    fn name(&self) -> &'static str {
        "kube-scheduler"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![POD, NODE]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let mut waiting: Vec<&Value> = view.all(POD).filter(|pod| waits_for_a_node(pod)).collect();
        if waiting.is_empty() {
            return turn;
        }
        waiting.sort_by_key(|pod| {
            (Reverse(pod["spec"]["priority"].as_i64().unwrap_or(0)), time(&pod["metadata"]["creationTimestamp"]))
        });
        let mut cluster = Cluster::new(view);
        for pod in waiting {
            match cluster.place(pod) {
                Ok(node) => {
                    turn.writes.push(binding(pod, &node));
                    cluster.assume(pod, &node);
                }
                Err(message) => turn.writes.extend(unschedulable(pod, &message, now)),
            }
        }
        turn
    }
}

fn waits_for_a_node(pod: &Value) -> bool {
    let (spec, name) = (&pod["spec"], &pod["spec"]["schedulerName"]);
    spec["nodeName"].as_str().is_none_or(str::is_empty)
        && (name.is_null() || name == "default-scheduler")
        && items(&spec["schedulingGates"]).is_empty()
        && !is_deleting(pod)
        && !is_finished(pod)
}

/// The nodes, and what is on each.
struct Cluster<'a> {
    nodes: BTreeMap<&'a str, (&'a Value, Load)>,
    neighbours: Neighbours<'a>,
}

impl<'a> Cluster<'a> {
    fn new(view: &'a View) -> Self {
        let nodes = view.all(NODE).map(|node| (name_of(node), (node, Load::default()))).collect();
        let mut cluster = Self { nodes, neighbours: Neighbours::default() };
        for pod in view.all(POD).filter(|pod| !is_finished(pod)) {
            if let Some(node) = pod["spec"]["nodeName"].as_str() {
                cluster.assume(pod, node);
            }
        }
        cluster
    }

    fn assume(&mut self, pod: &'a Value, node: &str) {
        if let Some((node, load)) = self.nodes.get_mut(node) {
            load.add(pod);
            self.neighbours.add(pod, node);
        }
    }

    /// The best node; or why there is none, as the real scheduler says it.
    fn place(&self, pod: &Value) -> Result<String, String> {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut resolvable = 0;
        let mut best: Option<(Score, &str)> = None;
        for (name, (node, load)) in &self.nodes {
            match self.fits(pod, node, load) {
                Ok(()) => {
                    let score = score(pod, node, load);
                    // In the order of names: the first of equals stays.
                    if best.as_ref().is_none_or(|(other, _)| score < *other) {
                        best = Some((score, name));
                    }
                }
                Err(no) => {
                    resolvable += usize::from(no.others_could_go);
                    for reason in no.reasons {
                        *reasons.entry(reason).or_default() += 1;
                    }
                }
            }
        }
        best.map(|(_, name)| name.to_owned()).ok_or_else(|| self.message(&reasons, resolvable))
    }

    /// The filters, in the order of the real ones; the first that says no is the reason.
    fn fits(&self, pod: &Value, node: &Value, load: &Load) -> Result<(), No> {
        let tolerations = items(&pod["spec"]["tolerations"]);
        let cordoned = [json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})];
        if node["spec"]["unschedulable"] == true && untolerated(&cordoned, tolerations, &["NoSchedule"]).is_some() {
            return Err(No::always("node(s) were unschedulable"));
        }
        if untolerated(items(&node["spec"]["taints"]), tolerations, &["NoSchedule", "NoExecute"]).is_some() {
            return Err(No::always("node(s) had untolerated taint(s)"));
        }
        if !is_meant(node, &pod["spec"]) {
            return Err(No::always("node(s) didn't match Pod's node affinity/selector"));
        }
        let lacks = load.lacks(pod, node);
        if !lacks.is_empty() {
            return Err(No { reasons: lacks, others_could_go: true });
        }
        self.neighbours
            .agree(pod, node)
            .map_err(|reason| No { reasons: vec![reason.to_owned()], others_could_go: true })
    }

    fn message(&self, reasons: &BTreeMap<String, usize>, resolvable: usize) -> String {
        if self.nodes.is_empty() {
            return "no nodes available to schedule pods".to_owned();
        }
        let all = self.nodes.len();
        let preemption = BTreeMap::from([
            ("No preemption victims found for incoming pod".to_owned(), resolvable),
            ("Preemption is not helpful for scheduling".to_owned(), all - resolvable),
        ]);
        format!("{} preemption: {}", histogram(all, reasons), histogram(all, &preemption))
    }
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`
fn histogram(all: usize, reasons: &BTreeMap<String, usize>) -> String {
    let mut parts: Vec<_> =
        reasons.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    format!("0/{all} nodes are available: {}.", parts.join(", "))
}

/// Why a node does not do.
struct No {
    reasons: Vec<String>,
    /// Whether it would if other pods went.
    others_could_go: bool,
}

impl No {
    fn always(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], others_could_go: false }
    }
}

/// Less is better: taints that are to be avoided, preferences (negative), pods of the same owner, load.
type Score = (usize, Reverse<i64>, usize, i128);

fn score(pod: &Value, node: &Value, load: &Load) -> Score {
    let tolerations = items(&pod["spec"]["tolerations"]);
    let avoided = items(&node["spec"]["taints"])
        .iter()
        .filter(|taint| untolerated(std::slice::from_ref(taint), tolerations, &["PreferNoSchedule"]).is_some());
    let owner = controller_of(pod).map(|owner| owner["uid"].as_str().unwrap_or_default());
    let siblings = owner.map_or(0, |owner| load.pods_of(owner));
    (avoided.count(), Reverse(affinity::preference(pod, node)), siblings, load.share_with(pod, node))
}

fn binding(pod: &Value, node: &str) -> Write {
    let (namespace, name) = key_of(pod);
    let body = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"namespace": namespace, "name": name, "uid": uid_of(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    Write::Post { kind: POD, key: (namespace, name), subresource: "binding", body }
}

fn unschedulable(pod: &Value, message: &str, now: Timestamp) -> Option<Write> {
    let mut conditions = items(&pod["status"]["conditions"]).to_vec();
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastProbeTime": null});
    if conditions.iter().any(|known| !would_change(known, &condition)) {
        return None;
    }
    set_condition(&mut conditions, condition, now);
    let patch = json!({
        "metadata": {"uid": uid_of(pod), "resourceVersion": pod["metadata"]["resourceVersion"]},
        "status": {"conditions": conditions},
    });
    Some(Write::Patch { kind: POD, key: key_of(pod), subresource: Some("status"), patch })
}

#[cfg(test)]
mod tests;
