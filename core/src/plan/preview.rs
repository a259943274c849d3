//! The plan of a node: what would happen to each of its workloads, in the order in which they would leave.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Allowances, Block, BlockClass, BudgetRule, Classified, Refusal, ShutDownBy, Tier, Verdict, Workload, budget_rule,
    classify, may_go,
    room::{Elsewhere, Room},
    tier::tier,
    vmi_of,
};
use crate::{
    cluster::{Snapshot, View},
    model::{DrainOptions, Node, NodeName, ObjectKey, Pod, Readiness},
};

/// What would happen if the node were drained now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The node.
    pub node: NodeName,
    /// Whether it may go at all.
    pub admission: Result<(), Refusal>,
    /// Its workloads, by tier, then by the name of their pod.
    pub entries: Vec<Entry>,
    /// What is worth knowing about the node as a whole.
    pub warnings: Vec<Warning>,
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The workload.
    pub workload: Workload,
    /// What would become of it, budgets included.
    pub verdict: Verdict,
    /// When it would leave.
    pub tier: Tier,
    /// Names of the budgets that its eviction asks, in its namespace.
    pub budgets: Vec<String>,
    /// What is worth knowing about it.
    pub warnings: Vec<Warning>,
}

/// Something worth knowing that blocks nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// Which kind.
    pub reason: WarningReason,
    /// A sentence that names what it is about.
    pub message: String,
}

/// The kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum WarningReason {
    /// No other node seems to have room for the workload (an estimate).
    MayNotFit,
    /// Whether other nodes have room is not known: they are not seen.
    RoomUnknown,
    /// The node does not answer: its pods cannot be seen to end.
    NodeUnreachable,
    /// Somebody else holds the node Lease: a drain or a maintenance waits until they are done with the node.
    NodeLeaseHeld,
    /// The node has KubeVirt's own drain taint: KubeVirt evacuates its VMs, and that cannot be cancelled.
    KubeVirtDrainTaint,
}

/// How many workloads get which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Stay, and are no work.
    pub skip: usize,
    /// Are evicted.
    pub evict: usize,
    /// Have ended and are deleted.
    pub delete: usize,
    /// Migrate live.
    pub migrate: usize,
    /// Are shut down.
    pub shut_down: usize,
    /// Are blocked, and time can help.
    pub waits: usize,
    /// Are blocked, and only a change can help.
    pub stuck: usize,
}

impl Plan {
    /// How many workloads get which verdict.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in &self.entries {
            *match &entry.verdict {
                Verdict::Skip(_) => &mut counts.skip,
                Verdict::Evict => &mut counts.evict,
                Verdict::Delete => &mut counts.delete,
                Verdict::Migrate(_) => &mut counts.migrate,
                Verdict::ShutDown { .. } => &mut counts.shut_down,
                Verdict::Blocked(block) if block.class() == BlockClass::Waits => &mut counts.waits,
                Verdict::Blocked(_) => &mut counts.stuck,
            } += 1;
        }
        counts
    }
}

/// What would happen if that node were drained at that moment with these options. `own_pod` is the pod that this process runs in,
/// if it runs in one. A node that does not exist has no plan; every other refusal is in [`Plan::admission`].
pub fn plan(
    node: &NodeName,
    own_pod: Option<&ObjectKey>,
    snapshot: &Snapshot,
    options: &DrainOptions,
    now: Timestamp,
) -> Result<Plan, Refusal> {
    let Some(found) = snapshot.node(node) else { return Err(Refusal::NodeNotFound { node: node.clone() }) };
    let elsewhere = Elsewhere::than(node, snapshot);
    let mut allowances = Allowances::default();
    let mut pods: Vec<(Tier, &Pod)> = snapshot.pods_on(node).map(|pod| (tier(pod, own_pod), pod.as_ref())).collect();
    // Stable: within a tier they stay in the order of their names.
    pods.sort_by_key(|(tier, _)| *tier);
    let entries = pods.into_iter().map(|(tier, pod)| {
        let Classified { workload, verdict } = classify(pod, snapshot, options);
        let (verdict, budgets) = if asks_budgets(&verdict) {
            (allowances.take(pod, snapshot).map_or_else(Verdict::from, |()| verdict), budget_names(pod, snapshot))
        } else {
            (verdict, Vec::new())
        };
        let warnings = may_not_fit(pod, &verdict, &elsewhere, snapshot).into_iter().collect();
        Entry { workload, verdict, tier, budgets, warnings }
    });
    let entries = entries.collect();
    let admission = may_go(node, None, snapshot, options);
    let mut warnings = node_warnings(found, snapshot);
    // Whoever keeps it out holds it, as a rule.
    warnings.extend(admission.is_ok().then(|| lease_held(node, snapshot, now)).flatten());
    Ok(Plan { node: node.clone(), entries, admission, warnings })
}

/// Whether it is carried out by an eviction that Kubernetes asks budgets about.
fn asks_budgets(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Evict | Verdict::ShutDown { by: ShutDownBy::Eviction, .. })
}

fn budget_names(pod: &Pod, snapshot: &Snapshot) -> Vec<String> {
    match budget_rule(pod, snapshot) {
        BudgetRule::NotAsked => Vec::new(),
        BudgetRule::One(budget) => vec![budget.key.name.clone()],
        BudgetRule::Several(names) => names,
    }
}

/// For what starts or arrives elsewhere, now or once its obstacle is gone.
fn may_not_fit(pod: &Pod, verdict: &Verdict, elsewhere: &Elsewhere, snapshot: &Snapshot) -> Option<Warning> {
    let leaves = match verdict {
        Verdict::Evict | Verdict::Migrate(_) | Verdict::ShutDown { .. } => pod.deletion.is_none(),
        Verdict::Blocked(Block { reason, .. }) => reason.class() == BlockClass::Waits,
        Verdict::Skip(_) | Verdict::Delete => false,
    };
    let migrating = matches!(verdict, Verdict::Migrate(_)).then(|| vmi_of(pod, snapshot)).flatten();
    let room = leaves.then(|| elsewhere.has_room_for(pod, migrating.map(AsRef::as_ref)))?;
    let Room::MayNotFit { reason } = room else { return None };
    let message = format!("no other node seems to take pod {}: {reason}", pod.key);
    Some(Warning { reason: WarningReason::MayNotFit, message })
}

fn node_warnings(node: &Node, snapshot: &Snapshot) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |reason, message| warnings.push(Warning { reason, message });
    if let Readiness::NotReady { message, .. } = &node.readiness {
        let message = format!("node {} is not ready ({message}), so its pods cannot be seen to end", node.name);
        warn(WarningReason::NodeUnreachable, message);
    }
    let drain_taint = &snapshot.kubevirt().node_drain_taint_key;
    if node.taints.iter().any(|taint| taint.key == *drain_taint) {
        let message = format!(
            "node {} has the taint {drain_taint}: KubeVirt evacuates its VMs unasked, and that cannot be cancelled; remove the taint",
            node.name
        );
        warn(WarningReason::KubeVirtDrainTaint, message);
    }
    if snapshot.view() == View::Nodes {
        let message = "whether other nodes have room is not known, because they are not seen".to_owned();
        warn(WarningReason::RoomUnknown, message);
    }
    warnings
}

fn lease_held(node: &NodeName, snapshot: &Snapshot, now: Timestamp) -> Option<Warning> {
    let (holder, until) = snapshot.node_claim(node)?.holder(now)?;
    let message = format!(
        "node {node} is held by {holder} until {until:.0}, or longer: a drain or a maintenance waits until they are done with it"
    );
    Some(Warning { reason: WarningReason::NodeLeaseHeld, message })
}

#[cfg(test)]
mod tests;
