//! How far the machine has got with one pod.

use std::time::Duration;

use jiff::Timestamp;

use super::{Answer, Seen};
use crate::{
    model::ObjectKey,
    plan::{Block, BlockReason},
};

/// What was asked for a pod, and what came of it. What the caches show goes before it.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) state: AskState,
    /// Failures in a row; the next try waits the longer.
    failures: u32,
}

#[derive(Clone, Debug)]
pub(super) enum AskState {
    /// Nothing is under way.
    Idle,
    /// A request is on its way; of an eviction the budget that it counts on.
    InFlight { budget: Option<ObjectKey> },
    /// It was accepted; the caches will show it.
    Accepted { at: Timestamp },
    /// KubeVirt has marked the VM; `seen` once the caches have shown that.
    Marked { at: Timestamp, seen: bool },
    /// A migration of our own was made.
    Migrating { at: Timestamp },
    /// It was refused; not before `until` again.
    Refused { until: Timestamp, block: Block },
    /// Whether it was carried out is not known; the API server is asked at `at`.
    Lost { at: Timestamp, block: Block },
    /// The API server is being asked.
    Looking { block: Block },
}

/// Waits after failures: from half a second, doubling, to 30 seconds.
const SHORT: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
/// Waits where only a change helps, and nobody tells of it: from five seconds, doubling, to five minutes.
const LONG: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };
/// Waits after failed migrations: those of KubeVirt's own evacuation.
const MIGRATION: Backoff = Backoff { first: Duration::from_secs(20), longest: Duration::from_secs(320) };
/// "Too many evictions not confirmed": Kubernetes confirms or drops them within two minutes.
const OVERRUN: Duration = Duration::from_secs(120);

#[derive(Clone, Copy)]
struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(self.longest)
    }
}

impl Default for Ask {
    fn default() -> Self {
        Self { state: AskState::Idle, failures: 0 }
    }
}

impl Ask {
    /// Takes up the answer to an eviction or a deletion.
    pub(super) fn answered(&mut self, answer: &Answer, now: Timestamp) {
        let state = match answer {
            Answer::Accepted | Answer::Gone => AskState::Accepted { at: now },
            Answer::EvacuationStarted | Answer::EvacuationUnderWay => AskState::Marked { at: now, seen: false },
            // The budget, or everybody, waits; not this pod alone.
            Answer::BudgetRefused(_) | Answer::BudgetNotObserved(..) | Answer::Overloaded(_) => {
                self.failures += 1;
                self.state = AskState::Idle;
                return;
            }
            Answer::NamespaceTerminating(message) => {
                self.refused(LONG, BlockReason::NamespaceTerminating, message, now)
            }
            Answer::Contended(message) => self.refused(SHORT, BlockReason::ApiServerUnavailable, message, now),
            Answer::BudgetSyncFailed(message) => self.refused(LONG, BlockReason::BudgetSyncFailed, message, now),
            Answer::SeveralBudgets(message) => self.refused(LONG, BlockReason::SeveralBudgets, message, now),
            Answer::BudgetOverrun(message) => {
                let block = Block::new(BlockReason::BudgetExhausted, message);
                AskState::Refused { until: now + OVERRUN, block }
            }
            // The caches said that it can migrate, so they are behind, or the VM has just started; unless it stays so.
            Answer::NotLiveMigratable(message) if self.failures < 4 => {
                self.refused(SHORT, BlockReason::VirtualMachineStarting, message, now)
            }
            Answer::NotLiveMigratable(message) => self.refused(LONG, BlockReason::NotLiveMigratable, message, now),
            Answer::MigrationTarget => {
                let message = "KubeVirt says that it is the target of a migration";
                self.refused(SHORT, BlockReason::MigrationIncoming, message, now)
            }
            Answer::HotplugPod(message) => self.refused(SHORT, BlockReason::HotplugFollowsVirtualMachine, message, now),
            Answer::InstanceMissing(message) => self.refused(LONG, BlockReason::OrphanedLauncher, message, now),
            Answer::WebhookRefused(message) | Answer::Rejected(message) => {
                self.refused(LONG, BlockReason::EvictionRefused, message, now)
            }
            Answer::Forbidden(message) => self.refused(LONG, BlockReason::Forbidden, message, now),
            // A webhook that timed out may have marked the VM all the same.
            Answer::KubeVirtFailed(message) | Answer::WebhookUnavailable(message) => {
                self.lost(BlockReason::WebhookUnavailable, message, now)
            }
            Answer::Lost(message) => self.lost(BlockReason::ApiServerUnavailable, message, now),
        };
        self.state = state;
    }

    /// Takes up what a look after a lost answer showed.
    pub(super) fn looked(&mut self, seen: Seen, now: Timestamp) {
        let AskState::Looking { block } = &self.state else { return };
        self.state = match seen {
            Seen::Gone | Seen::Terminating => AskState::Accepted { at: now },
            Seen::Marked => AskState::Marked { at: now, seen: false },
            Seen::Unchanged => AskState::Refused { until: now, block: block.clone() },
            Seen::Unknown => {
                let (block, wait) = (block.clone(), self.next_wait(SHORT));
                AskState::Lost { at: now + wait, block }
            }
        };
    }

    /// Takes up whether a migration could be made.
    pub(super) fn migration_created(&mut self, outcome: Result<(), String>, now: Timestamp) {
        self.state = match outcome {
            Ok(()) => AskState::Migrating { at: now },
            Err(message) => self.refused(LONG, BlockReason::MigrationBackoff, &message, now),
        };
    }

    /// Takes up that a migration of our own has failed.
    pub(super) fn migration_failed(&mut self, message: &str, now: Timestamp) {
        self.state = self.refused(MIGRATION, BlockReason::MigrationBackoff, message, now);
    }

    fn refused(&mut self, backoff: Backoff, reason: BlockReason, message: &str, now: Timestamp) -> AskState {
        let until = now + self.next_wait(backoff);
        AskState::Refused { until, block: Block::new(reason, message) }
    }

    fn lost(&mut self, reason: BlockReason, message: &str, now: Timestamp) -> AskState {
        let at = now + self.next_wait(SHORT);
        AskState::Lost { at, block: Block::new(reason, message) }
    }

    fn next_wait(&mut self, backoff: Backoff) -> Duration {
        let wait = backoff.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}
