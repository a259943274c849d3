//! A pod or a VM on a node, as people see it.

use std::{collections::BTreeMap, sync::Arc};

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

/// The workloads of one node, each worked out when it is asked for; what the drain that acts on the node says of them
/// is worked out once.
#[derive(Debug)]
pub struct WorkloadsOf<'a> {
    views: &'a Views,
    acting: Option<Arc<ActingDrain>>,
    /// Where the states are in the progress of that drain, by the UID of the pod.
    states: BTreeMap<Uid, usize>,
}

impl WorkloadsOf<'_> {
    /// The workload of a pod on that node.
    #[must_use]
    pub fn of(&self, pod: &Pod) -> WorkloadView {
        let acting = self.acting.as_deref();
        let state = acting.zip(self.states.get(&pod.uid)).and_then(|(acting, at)| acting.progress.workloads.get(*at));
        self.views.workload_of(pod, acting, state.map(|found| &found.state))
    }
}

impl Views {
    /// The workloads on a node, by the name of their pod.
    #[must_use]
    pub fn workloads_on(&self, node: &NodeName) -> Vec<WorkloadView> {
        let on_node = self.workloads_of(node);
        self.snapshot.pods_on(node).map(|pod| on_node.of(pod)).collect()
    }

    /// The same, for who does not need all of them.
    #[must_use]
    pub fn workloads_of(&self, node: &NodeName) -> WorkloadsOf<'_> {
        let acting = self.snapshot.node(node).and_then(|node| self.acting_on(node));
        let workloads = acting.iter().flat_map(|acting| &acting.progress.workloads);
        let states = workloads.enumerate().map(|(at, found)| (found.workload.uid.clone(), at)).collect();
        WorkloadsOf { views: self, acting, states }
    }

    /// The workload of that pod.
    #[must_use]
    pub fn workload(&self, pod: &ObjectKey) -> Option<WorkloadView> {
        let pod = self.snapshot.pod(pod)?;
        let node = pod.node.as_ref().and_then(|node| self.snapshot.node(node));
        let acting = node.and_then(|node| self.acting_on(node));
        let states = acting.iter().flat_map(|acting| &acting.progress.workloads);
        let state = states.into_iter().find(|found| found.workload.uid == pod.uid).map(|found| &found.state);
        Some(self.workload_of(pod, acting.as_deref(), state))
    }

    fn workload_of(&self, pod: &Pod, acting: Option<&ActingDrain>, state: Option<&WorkloadState>) -> WorkloadView {
        let vmi = vmi_of(pod, &self.snapshot);
        let owner = match vmi {
            Some(vmi) if is_launcher(pod) => vmi.owner.as_ref(),
            _ => pod.controller(),
        };
        let acts = acting.map(|acting| {
            let Classified { workload, verdict } = classify(pod, &self.snapshot, &acting.options);
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

fn kind_of(state: &WorkloadState) -> WorkloadStateKind {
    match state {
        WorkloadState::Skipped(_) => WorkloadStateKind::Skipped,
        WorkloadState::Next | WorkloadState::Asked => WorkloadStateKind::Next,
        WorkloadState::Terminating { .. } => WorkloadStateKind::Terminating,
        WorkloadState::Migrating { .. } => WorkloadStateKind::Migrating,
        WorkloadState::Blocked { .. } => WorkloadStateKind::Blocked,
    }
}
