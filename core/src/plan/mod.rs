//! What would happen: pure functions of a snapshot.

mod verdict;

pub use verdict::{
    Block, BlockClass, BlockReason, MigrateBy, Restarts, ShutDownBy, SkipReason, Verdict, Workload, WorkloadKind,
};
