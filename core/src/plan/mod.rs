//! What would happen: pure functions of a snapshot.
//!
//! | file | holds |
//! |---|---|
//! | `verdict` | the vocabulary |
//! | `classify` | the one classifier: a pod's verdict |
//! | `launcher`, `restart` | its part for VMs: how a VM leaves, and whether it comes back |
//! | `budget` | which budget an eviction asks, and what it allows |
//! | `order` | who leaves first |
//! | `names` | KubeVirt's names that decisions look at |

mod budget;
mod classify;
mod launcher;
mod names;
mod order;
mod restart;
mod verdict;

pub use budget::{Allowances, BudgetRule, budget_obstacle, budget_rule, several_budgets};
pub use classify::{Classified, classify, is_launcher, is_work_left, vmi_of};
pub use launcher::{is_moving, strategy_of};
pub use order::{Tier, tier};
pub use restart::restarts;
pub use verdict::{
    Block, BlockClass, BlockReason, MigrateBy, Restarts, ShutDownBy, SkipReason, Verdict, Workload, WorkloadKind,
};
