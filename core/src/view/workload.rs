//! A pod or a VM on a node, as people see it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{BlockView, BudgetView, VerdictView, Views, VirtualMachineInstanceView, acting::ActingDrain};
use crate::{
    drain::WorkloadState,
    model::{NodeName, ObjectKey, Owner, Pod, PodPhase, Uid, WorkloadKind},
    plan::{Classified, classify, is_launcher, vmi_of},
};

/// A pod, or a VM with its launcher pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Workload")]
pub struct WorkloadView {
    /// UID of the pod.
    pub uid: Uid,
    /// What it is.
    pub kind: WorkloadKindView,
    /// Its namespace.
    pub namespace: String,
    /// Its name: for a VM that of its VMI.
    pub name: String,
    /// Name of its pod.
    pub pod: String,
    /// The node that the pod is bound to.
    pub node: Option<NodeName>,
    /// Who made it: for a VM the owner of its VMI.
    pub owner: Option<OwnerView>,
    /// Phase of the pod.
    pub phase: PodPhase,
    /// Whether the pod is ready.
    pub ready: bool,
    /// Its priority.
    pub priority: i32,
    /// While it terminates: when its grace ends.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub terminating_until: Option<Timestamp>,
    /// The budgets that cover it.
    pub budgets: Vec<BudgetView>,
    /// The VM, where it is one.
    pub virtual_machine_instance: Option<VirtualMachineInstanceView>,
    /// While a drain acts on its node: what becomes of it.
    pub verdict: Option<VerdictView>,
    /// While a drain acts on its node: how far that has got with it.
    pub state: Option<WorkloadStateKind>,
    /// While a drain acts on its node: what is in its way.
    pub blocked: Option<BlockView>,
}

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[schemars(rename = "WorkloadKind")]
pub enum WorkloadKindView {
    /// An ordinary pod.
    Pod,
    /// A VM.
    VirtualMachineInstance,
}

/// How far a drain has got with a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum WorkloadStateKind {
    /// It stays.
    Skipped,
    /// It is about to be asked to leave, or has been; nothing shows yet.
    Next,
    /// Its pod terminates.
    Terminating,
    /// Its VM migrates.
    Migrating,
    /// Something is in its way.
    Blocked,
}

/// Who made an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Owner")]
pub struct OwnerView {
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
}

impl WorkloadKindView {
    pub(super) fn of(kind: &WorkloadKind) -> Self {
        match kind {
            WorkloadKind::Pod => Self::Pod,
            WorkloadKind::VirtualMachineInstance(_) => Self::VirtualMachineInstance,
        }
    }
}

impl From<&Owner> for OwnerView {
    fn from(owner: &Owner) -> Self {
        Self {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }
    }
}

impl Views {
    /// The workloads on a node, by the name of their pod.
    #[must_use]
    pub fn workloads_on(&self, node: &NodeName) -> Vec<WorkloadView> {
        let acting = self.snapshot.node(node).and_then(|node| self.acting_on(node));
        let states = acting.as_ref().map(states).unwrap_or_default();
        self.snapshot.pods_on(node).map(|pod| self.workload_of(pod, acting.as_ref(), &states)).collect()
    }

    /// The workload of that pod.
    #[must_use]
    pub fn workload(&self, pod: &ObjectKey) -> Option<WorkloadView> {
        let pod = self.snapshot.pod(pod)?;
        let node = pod.node.as_ref().and_then(|node| self.snapshot.node(node));
        let acting = node.and_then(|node| self.acting_on(node));
        let states = acting.as_ref().map(states).unwrap_or_default();
        Some(self.workload_of(pod, acting.as_ref(), &states))
    }

    fn workload_of(
        &self,
        pod: &Pod,
        acting: Option<&ActingDrain>,
        states: &BTreeMap<&Uid, &WorkloadState>,
    ) -> WorkloadView {
        let vmi = vmi_of(pod, &self.snapshot);
        let owner = match vmi {
            Some(vmi) if is_launcher(pod) => vmi.owner.as_ref(),
            _ => pod.controller(),
        };
        let acts = acting.map(|acting| {
            let Classified { workload, verdict } = classify(pod, &self.snapshot, &acting.options);
            let state = states.get(&pod.uid).copied();
            let blocked = match state {
                Some(WorkloadState::Blocked { block, .. }) => {
                    Some(BlockView::of(block, acting.since(&workload, block.reason)))
                }
                _ => None,
            };
            (VerdictView::of(&verdict), state.map(kind_of), blocked)
        });
        let (verdict, state, blocked) =
            acts.map_or((None, None, None), |(verdict, state, blocked)| (Some(verdict), state, blocked));
        let is_vm = is_launcher(pod);
        let name = pod.controller().filter(|_| is_vm).map_or(&pod.key.name, |owner| &owner.name);
        WorkloadView {
            uid: pod.uid.clone(),
            kind: if is_vm { WorkloadKindView::VirtualMachineInstance } else { WorkloadKindView::Pod },
            namespace: pod.key.namespace.clone(),
            name: name.clone(),
            pod: pod.key.name.clone(),
            node: pod.node.clone(),
            owner: owner.map(OwnerView::from),
            phase: pod.phase,
            ready: pod.ready,
            priority: pod.priority,
            terminating_until: pod.deletion.map(|deletion| deletion.deadline),
            budgets: self.snapshot.budgets_covering(pod).map(|budget| BudgetView::of(budget)).collect(),
            virtual_machine_instance: vmi.filter(|_| is_vm).map(|vmi| self.instance(vmi)),
            verdict,
            state,
            blocked,
        }
    }
}

fn states(acting: &ActingDrain) -> BTreeMap<&Uid, &WorkloadState> {
    acting.progress.workloads.iter().map(|found| (&found.workload.uid, &found.state)).collect()
}

fn kind_of(state: &WorkloadState) -> WorkloadStateKind {
    match state {
        WorkloadState::Skipped(_) => WorkloadStateKind::Skipped,
        WorkloadState::Next | WorkloadState::Asked => WorkloadStateKind::Next,
        WorkloadState::Terminating { .. } => WorkloadStateKind::Terminating,
        WorkloadState::Migrating { .. } => WorkloadStateKind::Migrating,
        WorkloadState::Blocked { .. } => WorkloadStateKind::Blocked,
    }
}
