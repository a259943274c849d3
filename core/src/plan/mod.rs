//! What would happen: pure functions of a snapshot.
//!
//! | file | holds |
//! |---|---|
//! | `classify` | the one classifier: a pod's verdict |
//! | `launcher`, `restart` | its part for VMs: how a VM leaves, and whether it comes back |
//! | `budget` | which budget an eviction asks, and what it allows |
//! | `tier` | who leaves first |
//! | `admission` | whether the node may go at all |
//! | `precedence` | which of several maintenances is the node's |
//! | `quorum` | whether the control plane can do without it |
//! | `room`, `affinity` | whether the rest of the cluster has room |
//! | `preview` | all of it together: the plan of a node |
//! | `names` | KubeVirt's names that decisions look at |

mod admission;
mod affinity;
mod budget;
mod classify;
mod launcher;
mod names;
mod precedence;
mod preview;
mod quorum;
mod restart;
mod room;
mod tier;

pub use crate::model::{
    Block, BlockClass, BlockReason, MigrateBy, Restarts, ShutDownBy, SkipReason, Verdict, Workload, WorkloadKind,
};
pub(crate) use admission::way_out;
pub use admission::{Refusal, Refused, may_go};
pub use budget::{Allowances, BudgetRule, budget_obstacle, budget_rule, several_budgets};
pub use classify::{Classified, classify, is_launcher, is_work_left, vmi_of};
pub use launcher::{is_moving, strategy_of};
pub(crate) use precedence::{
    Decision as MaintenanceDecision, decision as maintenance_decision, maintenance_of, maintenances_by_node,
    usual_maintenance_of,
};
pub use preview::{Counts, Entry, Plan, Warning, WarningReason, plan};
pub use quorum::{Quorum, is_control_plane, quorum};
pub use restart::restarts;
pub use room::{Elsewhere, Room};
pub use tier::{Tier, tier};
