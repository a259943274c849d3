//! How far the machine has got with one pod.

use std::time::Duration;

use jiff::Timestamp;

use super::{Answer, Seen};
use crate::{
    clock::{Backoff, later},
    model::{ObjectKey, Uid},
    plan::{Block, BlockClass, BlockReason},
};

/// What was asked for a pod, and what came of it. What the caches show goes before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) state: AskState,
    pub(super) mark: Mark,
    /// Why it was refused last, if only a change can help: it is asked again all the same, for nobody tells of one.
    pub(super) stuck: Option<Block>,
    /// Whether the last request was the deletion of the pod or of the VMI.
    pub(super) deletes: bool,
    /// Number of the next migration of our own: KubeVirt forgets the oldest of those that have failed.
    pub(super) attempt: u32,
    /// The last migration of our own that had failed when the present one was asked for.
    pub(super) failed_before: Option<Uid>,
    /// Since when the VMI has been seen to be deleted, by whomever.
    pub(super) instance_deleted: Option<Timestamp>,
    /// Since when the VM has been seen to have left, while its launcher pod has not ended.
    pub(super) left_since: Option<Timestamp>,
    /// How many times the API server was asked what became of what was accepted, and knew.
    looks: u32,
    /// Failures in a row; the next try waits the longer.
    failures: u32,
    /// How many times KubeVirt called a VM not migratable of which the caches say that it is.
    not_migratable: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) enum AskState {
    /// Nothing is under way.
    #[default]
    Idle,
    /// A request is on its way; of an eviction the budget that it counts on.
    InFlight { budget: Option<ObjectKey> },
    /// It was accepted; the caches will show it.
    Accepted { at: Timestamp },
    /// KubeVirt has marked the VM; the caches will show it.
    Marked { at: Timestamp },
    /// A migration of our own was made; `shown` once the caches have shown it.
    Migrating { at: Timestamp, shown: bool },
    /// It was refused; not before `until` again.
    Refused { until: Timestamp, block: Block },
    /// Whether it was carried out is not known, or nothing shows of it; the API server is asked at `at`.
    Lost { at: Timestamp, block: Block },
    /// The API server is being asked.
    Looking { block: Block },
}

/// What is known of the mark that KubeVirt was asked to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    #[default]
    Unknown,
    /// KubeVirt says that it is on; the caches will show it.
    Told,
    /// The caches show it.
    Shown,
    /// It was on and is no more, and the VM has not moved: somebody took it back.
    TakenBack,
}

/// Waits after failures: from half a second, doubling, to 30 seconds.
const SHORT: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
/// Waits where only a change helps, and nobody tells of it: from five seconds, doubling, to five minutes.
const LONG: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };
/// What was accepted shows in the caches within this time; else the API server is asked, and again ever later.
const SHOWS: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(300) };
/// Waits after failed migrations: those of KubeVirt's own evacuation.
const MIGRATION: Backoff = Backoff { first: Duration::from_secs(20), longest: Duration::from_secs(320) };
/// "Too many evictions not confirmed": Kubernetes confirms or drops them within two minutes.
pub(super) const OVERRUN: Duration = Duration::from_secs(120);
/// So many times a VM that KubeVirt calls not migratable is taken for one that is starting.
const STARTS_WITHIN_TRIES: u32 = 4;

impl Ask {
    /// Takes up the answer to an eviction or a deletion; `of_budget` if a budget is known that the refusal holds for.
    pub(super) fn answered(&mut self, answer: &Answer, of_budget: bool, now: Timestamp) {
        self.stuck = None;
        self.state = match answer {
            Answer::Accepted | Answer::Gone => self.accepted(now),
            Answer::EvacuationStarted | Answer::EvacuationUnderWay => {
                self.failures = 0;
                self.marked(now)
            }
            // Everybody waits, not this pod alone.
            Answer::Overloaded(_) => AskState::Idle,
            // The budget's other pods wait as well.
            Answer::BudgetRefused(_) | Answer::BudgetNotObserved(..) | Answer::BudgetOverrun(_) if of_budget => {
                AskState::Idle
            }
            Answer::BudgetSyncFailed(message) if of_budget => {
                self.stuck = Some(Block::new(BlockReason::BudgetSyncFailed, message));
                AskState::Idle
            }
            Answer::BudgetRefused(message) => self.refused(SHORT, BlockReason::BudgetExhausted, message, now),
            Answer::BudgetNotObserved(message, wait) => {
                let block = Block::new(BlockReason::BudgetNotObserved, message);
                AskState::Refused { until: later(now, *wait), block }
            }
            Answer::BudgetOverrun(message) => {
                let block = Block::new(BlockReason::BudgetExhausted, message);
                AskState::Refused { until: later(now, OVERRUN), block }
            }
            Answer::BudgetSyncFailed(message) => self.refused(LONG, BlockReason::BudgetSyncFailed, message, now),
            Answer::NamespaceTerminating(message) => {
                self.refused(LONG, BlockReason::NamespaceTerminating, message, now)
            }
            Answer::Contended(message) => self.refused(SHORT, BlockReason::ApiServerUnavailable, message, now),
            Answer::SeveralBudgets(message) => self.refused(LONG, BlockReason::SeveralBudgets, message, now),
            Answer::NotLiveMigratable(message) => self.not_migratable(message, now),
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
    }

    /// When it becomes doubtful what was accepted at that time, if nothing shows of it.
    pub(super) fn doubtful_at(&self, accepted_at: Timestamp) -> Timestamp {
        later(accepted_at, SHOWS.after(self.looks))
    }

    /// Takes up what a look after a lost answer showed.
    pub(super) fn looked(&mut self, seen: Seen, now: Timestamp) {
        let AskState::Looking { block } = &self.state else { return };
        let block = block.clone();
        if seen != Seen::Unknown {
            self.looks = self.looks.saturating_add(1);
        }
        self.state = match seen {
            Seen::Gone | Seen::Terminating => self.accepted(now),
            // Of a deletion the mark says nothing: it is of an eviction before.
            Seen::Marked if !self.deletes => self.marked(now),
            Seen::Marked | Seen::Unchanged => AskState::Refused { until: now, block },
            Seen::Unknown => AskState::Lost { at: later(now, self.next_wait(SHORT)), block },
        };
        if seen == Seen::Unchanged && self.mark == Mark::Told {
            self.mark = Mark::TakenBack;
        }
    }

    /// Takes up that the caches show the mark that was asked for; `moves` if the VM is to move by it.
    pub(super) fn mark_shown(&mut self, moves: bool) {
        self.mark = Mark::Shown;
        self.stuck = None;
        // The answer to a request that is on its way still comes; that to a deletion is not in the mark.
        if !matches!(self.state, AskState::InFlight { .. }) && (moves || !self.deletes) {
            self.state = AskState::Idle;
        }
    }

    /// Takes up that the caches show no mark.
    pub(super) fn no_mark_shown(&mut self) {
        if self.mark == Mark::Shown {
            self.mark = Mark::TakenBack;
        }
    }

    /// Takes up that somebody took the mark back before a restart.
    pub(super) fn mark_withdrawn(&mut self) {
        self.mark = Mark::TakenBack;
    }

    /// Takes up that the caches show the VM on its way.
    pub(super) fn migration_shown(&mut self) {
        if let AskState::Migrating { shown, .. } = &mut self.state {
            *shown = true;
        }
    }

    /// Takes up whether a migration could be made.
    pub(super) fn migration_created(&mut self, outcome: Result<(), String>, now: Timestamp) {
        self.stuck = None;
        self.state = match outcome {
            Ok(()) => {
                self.failures = 0;
                AskState::Migrating { at: now, shown: false }
            }
            Err(message) => self.refused(LONG, BlockReason::MigrationBackoff, &message, now),
        };
    }

    /// Takes up that a migration of our own came to nothing.
    pub(super) fn migration_failed(&mut self, message: &str, now: Timestamp) {
        let until = later(now, MIGRATION.after(self.attempt));
        self.attempt = self.attempt.saturating_add(1);
        self.state = AskState::Refused { until, block: Block::new(BlockReason::MigrationBackoff, message) };
    }

    /// Takes up that its controller has sent it back to the node, as it did `before` this one.
    pub(super) fn returned(&mut self, block: Block, before: u32, now: Timestamp) {
        self.stuck = Some(block.clone());
        self.state = AskState::Refused { until: later(now, LONG.after(before)), block };
    }

    /// Takes up that the options have changed: what came to nothing is tried again at once.
    pub(super) fn options_changed(&mut self) {
        if self.mark == Mark::TakenBack {
            self.mark = Mark::Unknown;
        }
        self.stuck = None;
        if matches!(self.state, AskState::Refused { .. }) {
            self.state = AskState::Idle;
            self.failures = 0;
            self.not_migratable = 0;
        }
    }

    fn marked(&mut self, now: Timestamp) -> AskState {
        if self.mark != Mark::Shown {
            self.mark = Mark::Told;
        }
        AskState::Marked { at: now }
    }

    fn accepted(&mut self, now: Timestamp) -> AskState {
        self.failures = 0;
        AskState::Accepted { at: now }
    }

    /// The caches said that it can migrate, so they are behind, or the VM has just started; unless it stays so.
    fn not_migratable(&mut self, message: &str, now: Timestamp) -> AskState {
        self.not_migratable = self.not_migratable.saturating_add(1);
        if self.not_migratable <= STARTS_WITHIN_TRIES {
            self.refused(SHORT, BlockReason::VirtualMachineStarting, message, now)
        } else {
            self.refused(LONG, BlockReason::NotLiveMigratable, message, now)
        }
    }

    fn refused(&mut self, backoff: Backoff, reason: BlockReason, message: &str, now: Timestamp) -> AskState {
        let until = later(now, self.next_wait(backoff));
        let block = Block::new(reason, message);
        self.stuck = (block.class() == BlockClass::Stuck).then(|| block.clone());
        AskState::Refused { until, block }
    }

    fn lost(&mut self, reason: BlockReason, message: &str, now: Timestamp) -> AskState {
        let at = later(now, self.next_wait(SHORT));
        AskState::Lost { at, block: Block::new(reason, message) }
    }

    fn next_wait(&mut self, backoff: Backoff) -> Duration {
        let wait = backoff.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}
