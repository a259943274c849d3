//! Whose turn it is: evictions that share a budget go one after the other, as the budget's status allows.
//!
//! The API server counts an eviction in the budget's status before it deletes the pod. Two at a time would contend
//! for that status for up to ten seconds inside the API server, and one sent before the caches show the last one would
//! be refused.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{Answer, ask::OVERRUN};
use crate::{
    clock::later,
    cluster::Snapshot,
    model::{Budget, ObjectKey, Pod, Uid},
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
    InFlight { first: First, version: String },
    /// One was accepted, or may have been; the budget's status does not show it yet.
    Settling { first: First, version: String, until: Timestamp },
    /// One was refused at that version of the status.
    Refused { version: String, until: Timestamp, block: Block },
}

/// The pod that goes first.
#[derive(Clone, Debug)]
struct First {
    pod: ObjectKey,
    uid: Uid,
}

impl First {
    fn block(&self, budget: &Budget) -> Block {
        let message = format!("pod {} of the same budget {} goes first", self.pod, budget.key);
        Block::new(BlockReason::BudgetShared, message)
    }

    /// Whether the caches show that the budget has counted it.
    fn is_counted(&self, budget: &Budget, snapshot: &Snapshot) -> bool {
        budget.disrupted_pods.contains(&self.pod.name)
            || snapshot.pod(&self.pod).is_none_or(|pod| pod.uid != self.uid || pod.deletion.is_some())
    }
}

impl Turns {
    /// Whether one may be sent now; else what it waits for, and until when at most if that is known.
    pub(super) fn may_go(
        &mut self,
        budget: &Budget,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), (Block, Option<Timestamp>)> {
        match self.budgets.get(&budget.key) {
            Some(Turn::InFlight { first, .. }) => return Err((first.block(budget), None)),
            Some(Turn::Settling { first, version, until }) => {
                let shown = budget.resource_version != *version && first.is_counted(budget, snapshot);
                if !shown && now < *until {
                    return Err((first.block(budget), Some(*until)));
                }
            }
            Some(Turn::Refused { version, until, block }) if budget.resource_version == *version && now < *until => {
                return Err((block.clone(), Some(*until)));
            }
            Some(Turn::Refused { .. }) | None => {}
        }
        self.budgets.remove(&budget.key);
        budget_obstacle(budget).map_or(Ok(()), |block| Err((block, None)))
    }

    /// One is being sent.
    pub(super) fn sent(&mut self, budget: &Budget, pod: &Pod) {
        let first = First { pod: pod.key.clone(), uid: pod.uid.clone() };
        let version = budget.resource_version.clone();
        self.budgets.insert(budget.key.clone(), Turn::InFlight { first, version });
    }

    /// It was answered.
    pub(super) fn answered(&mut self, budget: &ObjectKey, answer: &Answer, now: Timestamp) {
        let Some(Turn::InFlight { first, version }) = self.budgets.remove(budget) else { return };
        let refused = |reason, message: &str, wait| {
            let block = Block::new(reason, format!("budget {budget}: {message}"));
            Some(Turn::Refused { version: version.clone(), until: later(now, wait), block })
        };
        let turn = match answer {
            Answer::BudgetRefused(message) => refused(BlockReason::BudgetExhausted, message, REFUSED_FOR),
            Answer::BudgetNotObserved(message, wait) => refused(BlockReason::BudgetNotObserved, message, *wait),
            Answer::BudgetSyncFailed(message) => refused(BlockReason::BudgetSyncFailed, message, REFUSED_FOR),
            Answer::BudgetOverrun(message) => refused(BlockReason::BudgetExhausted, message, OVERRUN),
            // What is not known to have failed may have been counted.
            Answer::Accepted | Answer::Lost(_) | Answer::KubeVirtFailed(_) | Answer::WebhookUnavailable(_) => {
                Some(Turn::Settling { first, version, until: later(now, SETTLES_WITHIN) })
            }
            _ => None,
        };
        if let Some(turn) = turn {
            self.budgets.insert(budget.clone(), turn);
        }
    }

    /// The eviction of that pod was not carried out after all.
    pub(super) fn not_carried_out(&mut self, uid: &Uid) {
        self.budgets.retain(|_, turn| !matches!(turn, Turn::Settling { first, .. } if first.uid == *uid));
    }
}
