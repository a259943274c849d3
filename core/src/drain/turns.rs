//! Whose turn it is: evictions that share a budget go one after the other, as the budget's status allows.
//!
//! The API server counts an eviction in the budget's status before it deletes the pod. Two at a time would contend
//! for that status for up to ten seconds inside the API server, and one sent before the caches show the last one would
//! be refused.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    cluster::Snapshot,
    model::{Budget, ObjectKey},
    plan::{Block, BlockReason, budget_obstacle},
};

/// An accepted eviction shows in the budget's status in milliseconds; after this time nobody waits for it any more.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// A budget that refused although its status allowed is tried again after this time, even if its status stays the same.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// The budgets that evictions of this drain count on.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    budgets: BTreeMap<ObjectKey, Turn>,
}

#[derive(Clone, Debug)]
enum Turn {
    /// An eviction is on its way.
    InFlight { pod: ObjectKey, version: String },
    /// One was accepted; the budget's status does not show it yet.
    Settling { pod: ObjectKey, version: String, until: Timestamp },
    /// One was refused at that version of the status.
    Refused { version: String, until: Timestamp, block: Block },
}

impl Turns {
    /// Whether one may be sent now; else what it waits for, and until when at most if that is known.
    pub(super) fn may_go(
        &mut self,
        budget: &Budget,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), (Block, Option<Timestamp>)> {
        let shared = |pod: &ObjectKey| {
            let message = format!("pod {pod} of the same budget {} goes first", budget.key);
            Block::new(BlockReason::BudgetShared, message)
        };
        match self.budgets.get(&budget.key) {
            Some(Turn::InFlight { pod, .. }) => return Err((shared(pod), None)),
            Some(Turn::Settling { pod, version, until }) => {
                let shown = budget.resource_version != *version
                    && (budget.disrupted_pods.contains(&pod.name)
                        || snapshot.pod(pod).is_none_or(|pod| pod.deletion.is_some()));
                if !shown && now < *until {
                    return Err((shared(pod), Some(*until)));
                }
            }
            Some(Turn::Refused { version, until, block }) => {
                if budget.resource_version == *version && now < *until {
                    return Err((block.clone(), Some(*until)));
                }
            }
            None => {}
        }
        self.budgets.remove(&budget.key);
        budget_obstacle(budget).map_or(Ok(()), |block| Err((block, None)))
    }

    /// One is being sent.
    pub(super) fn sent(&mut self, budget: &Budget, pod: ObjectKey) {
        let version = budget.resource_version.clone();
        self.budgets.insert(budget.key.clone(), Turn::InFlight { pod, version });
    }

    /// It was accepted.
    pub(super) fn accepted(&mut self, budget: &ObjectKey, now: Timestamp) {
        if let Some(Turn::InFlight { pod, version }) = self.budgets.remove(budget) {
            let turn = Turn::Settling { pod, version, until: now + SETTLES_WITHIN };
            self.budgets.insert(budget.clone(), turn);
        }
    }

    /// The budget refused it, and said for how long, if it could.
    pub(super) fn refused(&mut self, budget: &ObjectKey, block: Block, wait: Option<Duration>, now: Timestamp) {
        if let Some(Turn::InFlight { version, .. }) = self.budgets.remove(budget) {
            let until = now + wait.unwrap_or(REFUSED_FOR);
            self.budgets.insert(budget.clone(), Turn::Refused { version, until, block });
        }
    }

    /// It came to nothing for another reason.
    pub(super) fn dropped(&mut self, budget: &ObjectKey) {
        if let Some(Turn::InFlight { .. }) = self.budgets.get(budget) {
            self.budgets.remove(budget);
        }
    }
}
