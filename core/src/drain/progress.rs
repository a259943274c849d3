//! How far a drain has got, for people.

use jiff::Timestamp;

use crate::plan::{Block, BlockClass, SkipReason, Workload};

/// How far a drain has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The workloads on the node, by namespace and name.
    pub workloads: Vec<WorkloadProgress>,
    /// How many workloads had or have to leave since the drain began.
    pub had_to_leave: usize,
}

/// How far one workload has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadProgress {
    /// The workload.
    pub workload: Workload,
    /// Its state.
    pub state: WorkloadState,
}

/// The state of a workload on a node that is being drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadState {
    /// It stays.
    Skipped(SkipReason),
    /// It is about to be asked to leave.
    Next,
    /// It has been asked; nothing shows yet.
    Asked,
    /// Its pod terminates, until then at the latest if it keeps to its grace.
    Terminating {
        /// End of its grace.
        deadline: Timestamp,
    },
    /// Its VM migrates.
    Migrating {
        /// The migration's name, where there is one already.
        migration: Option<String>,
    },
    /// It is blocked.
    Blocked {
        /// By what.
        block: Block,
        /// Since when.
        since: Timestamp,
    },
}

impl Progress {
    /// The workloads that have still to leave.
    pub fn left(&self) -> impl Iterator<Item = &WorkloadProgress> {
        self.workloads.iter().filter(|workload| !matches!(workload.state, WorkloadState::Skipped(_)))
    }

    /// What blocks, those first that only a change can help, then the longest.
    #[must_use]
    pub fn blocked(&self) -> Vec<(&Workload, &Block, Timestamp)> {
        let mut blocked: Vec<_> = self
            .workloads
            .iter()
            .filter_map(|workload| match &workload.state {
                WorkloadState::Blocked { block, since } => Some((&workload.workload, block, *since)),
                _ => None,
            })
            .collect();
        blocked.sort_by_key(|(workload, block, since)| (block.class(), *since, (*workload).clone()));
        blocked
    }

    /// Whether at least one workload waits for a change that only somebody can make.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.blocked().iter().any(|(_, block, _)| block.class() == BlockClass::Stuck)
    }

    /// How many of a hundred workloads have left.
    #[must_use]
    pub fn percent(&self) -> u8 {
        self.percent_of(self.had_to_leave)
    }

    /// How many of a hundred workloads have left, if so many had to leave.
    #[must_use]
    pub fn percent_of(&self, had_to_leave: usize) -> u8 {
        let left = self.left().count();
        if had_to_leave == 0 {
            return if left == 0 { 100 } else { 0 };
        }
        u8::try_from((had_to_leave - left.min(had_to_leave)) * 100 / had_to_leave).unwrap_or(100)
    }
}
