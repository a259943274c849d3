//! What would happen to a node, as people see it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{VerdictView, WorkloadKindView};
use crate::{
    model::{NodeName, Uid},
    plan::{Counts, Entry, Plan, Refusal, Tier, Warning},
};

/// What would happen if the node were drained now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Plan")]
pub struct PlanView {
    /// The node.
    pub node: NodeName,
    /// Why it may not go at all; absent if it may.
    pub refusal: Option<RefusalView>,
    /// How many workloads get which verdict.
    pub counts: Counts,
    /// Its workloads, in the order in which they would leave.
    pub workloads: Vec<PlanEntryView>,
    /// What is worth knowing about the node as a whole.
    pub warnings: Vec<Warning>,
}

/// Why a node may not go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Refusal")]
pub struct RefusalView {
    /// A reason of the vocabulary.
    pub reason: &'static str,
    /// A sentence that names what is in the way.
    pub message: String,
}

/// What would become of one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PlanEntry")]
pub struct PlanEntryView {
    /// What it is.
    pub kind: WorkloadKindView,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its pod on this node.
    pub pod: String,
    /// UID of that pod.
    pub uid: Uid,
    /// What would become of it.
    #[serde(flatten)]
    pub verdict: VerdictView,
    /// When it would leave.
    pub tier: Tier,
    /// Names of the budgets that its eviction asks, in its namespace.
    pub budgets: Vec<String>,
    /// What is worth knowing about it.
    pub warnings: Vec<Warning>,
}

impl From<&Refusal> for RefusalView {
    fn from(refusal: &Refusal) -> Self {
        Self { reason: refusal.reason(), message: refusal.to_string() }
    }
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        Self {
            node: plan.node.clone(),
            refusal: plan.admission.as_ref().err().map(RefusalView::from),
            counts: plan.counts(),
            workloads: plan.entries.iter().map(PlanEntryView::from).collect(),
            warnings: plan.warnings.clone(),
        }
    }
}

impl From<&Entry> for PlanEntryView {
    fn from(entry: &Entry) -> Self {
        let (_, key) = entry.workload.kind_and_key();
        Self {
            kind: WorkloadKindView::of(&entry.workload.kind),
            namespace: key.namespace,
            name: key.name,
            pod: entry.workload.pod.name.clone(),
            uid: entry.workload.uid.clone(),
            verdict: VerdictView::of(&entry.verdict),
            tier: entry.tier,
            budgets: entry.budgets.clone(),
            warnings: entry.warnings.clone(),
        }
    }
}
