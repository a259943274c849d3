//! What people see of a cluster: plain structs that serialise as every face shows them (JSON as Kubernetes
//! writes it, enumerations as the vocabulary does), each a pure function of a [`Snapshot`](crate::cluster::Snapshot)
//! and a time.
//!
//! | file | holds |
//! |---|---|
//! | `views` | what all of them are made of: a snapshot and a time |
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
mod views;
mod virtual_machine_instance;
mod workload;

pub use budget::BudgetView;
pub use change::{ChangeView, NodeStateView};
pub use drain::{DrainPhaseView, DrainProgressView, DrainView};
pub use maintenance::{MaintenancePhaseView, MaintenanceView};
pub use migration::{MigrationView, WaitView, WaitsForKind};
pub use node::{ActingView, ConditionView, DrainReference, MaintenanceReference, NodeView, TaintView};
pub use plan::{PlanEntryView, PlanView, RefusalView};
pub use report::ReportView;
pub use verdict::{BlockView, VerdictKind, VerdictView};
pub use views::Views;
pub use virtual_machine_instance::{StrategyOrigin, VirtualMachineInstanceView};
pub use workload::{OwnerView, WorkloadKindView, WorkloadStateKind, WorkloadView, WorkloadsOf};

#[cfg(test)]
mod tests;
