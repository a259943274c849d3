//! What people see of a cluster: plain structs that serialise as every face shows them (JSON as Kubernetes
//! writes it, enumerations as the vocabulary does), each a pure function of a [`Snapshot`] and a time.
//!
//! | file | holds |
//! |---|---|
//! | `node` | a node, and what becomes of it |
//! | `workload` | a pod or a VM on a node, and what blocks it |
//! | `budget` | a `PodDisruptionBudget` |
//! | `virtual_machine_instance` | a VM that runs |
//! | `migration` | a live migration |
//! | `maintenance` | a `NodeMaintenance` |
//! | `report` | what has come of a maintenance |
//! | `drain` | a drain |
//! | `plan` | what would happen |
//! | `verdict` | what becomes of a workload, and what is in its way |
//! | `change` | what has changed between two moments |
//! | `acting` | the drain that acts on a node, as it looks from any replica |
//!
//! What a viewer may not see is the business of the face; nodes can be shown without their workloads.

mod acting;
mod budget;
mod change;
mod drain;
mod maintenance;
mod migration;
mod node;
mod plan;
mod report;
mod verdict;
mod virtual_machine_instance;
mod workload;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};

use jiff::Timestamp;

use crate::{
    cluster::Snapshot,
    migration::Queue,
    model::{NodeMaintenance, NodeName},
    plan::precedence,
};

use acting::ActingDrain;
pub use budget::BudgetView;
pub use change::{ChangeView, NodeStateView};
pub use drain::{DrainPhaseView, DrainProgressView, DrainView};
pub use maintenance::{MaintenancePhaseView, MaintenanceView};
pub use migration::{MigrationView, WaitView, WaitsForKind};
pub use node::{ActingView, ConditionStatus, ConditionView, DrainReference, MaintenanceReference, NodeView, TaintView};
pub use plan::{PlanEntryView, PlanView, RefusalView};
pub use report::ReportView;
pub use verdict::{BlockView, VerdictKind, VerdictView};
pub use virtual_machine_instance::{StrategyOrigin, VirtualMachineInstanceView};
pub use workload::{OwnerView, WorkloadKindView, WorkloadStateKind, WorkloadView, WorkloadsOf};

/// Answers questions about one moment. What many answers need (KubeVirt's queue, the maintenance of each node, the drain that
/// acts on one) is worked out once, when it is first needed; everything else is found by an index of the snapshot.
#[derive(Debug)]
pub struct Views {
    snapshot: Snapshot,
    now: Timestamp,
    queue: OnceLock<Queue>,
    maintenances: OnceLock<BTreeMap<String, Arc<NodeMaintenance>>>,
    acting: Mutex<BTreeMap<NodeName, Option<Arc<ActingDrain>>>>,
}

impl Views {
    /// The views of that moment.
    #[must_use]
    pub fn of(snapshot: Snapshot, now: Timestamp) -> Self {
        Self { snapshot, now, queue: OnceLock::new(), maintenances: OnceLock::new(), acting: Mutex::default() }
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn queue(&self) -> &Queue {
        self.queue.get_or_init(|| Queue::of(&self.snapshot))
    }

    /// The maintenance that a node has: the accepted one, else the one that will be if it may.
    #[must_use]
    pub fn maintenance_of(&self, node: &NodeName) -> Option<&Arc<NodeMaintenance>> {
        let index = self.maintenances.get_or_init(|| {
            let mut found: BTreeMap<String, Arc<NodeMaintenance>> = BTreeMap::new();
            for object in self.snapshot.maintenances() {
                let Some(rank) = precedence(object) else { continue };
                let node = &object.spec.node_name;
                if found.get(node).and_then(|other| precedence(other)).is_none_or(|other| rank < other) {
                    found.insert(node.clone(), object.clone());
                }
            }
            found
        });
        index.get(node.as_str())
    }
}

#[cfg(test)]
mod tests;
