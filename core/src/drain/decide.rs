//! What one workload needs next, not counting the others.

use std::time::Duration;

use super::{
    Action, Machine, WorkloadState,
    ask::{Ask, AskState, Mark},
    machine::Draft,
    motion::{Motion, motion},
    obstacles::{deletion_overdue, evacuation_withdrawn, launcher_overdue, nothing_shows, termination_overdue},
};
use crate::{
    clock::later,
    cluster::Snapshot,
    model::{
        ObjectKey, Pod, Uid,
        virtual_machine::{EvictionStrategy, Migration, MigrationPhase, VirtualMachineInstance},
    },
    plan::{Block, BlockReason, MigrateBy, ShutDownBy, Verdict, is_launcher, strategy_of, vmi_of},
};

/// A pod that has not gone so long after its grace is said to be overdue.
const OVERDUE_AFTER: Duration = Duration::from_secs(30);

/// What follows for one workload.
pub(super) enum Decided {
    /// There is nothing to do.
    State(WorkloadState),
    /// Something is in its way.
    Blocked(Block),
    /// It can be asked to leave, if it is its turn.
    Ready(How),
}

/// How a workload is asked to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By eviction; of a launcher pod that KubeVirt may mark for it, with the VMI that has to be recorded first.
    Evict { record: Option<Uid> },
    /// By deleting the pod.
    Delete,
    /// By deleting the VMI.
    DeleteInstance { instance: ObjectKey, instance_uid: Uid },
    /// By a migration of our own.
    Migrate { instance: ObjectKey, attempt: u32 },
}

impl Machine {
    /// What follows for a workload that has to leave.
    pub(super) fn decide(&mut self, pod: &Pod, verdict: &Verdict, motion: Motion, draft: &mut Draft<'_>) -> Decided {
        let now = draft.now;
        if let Some(deletion) = pod.deletion {
            let overdue_at = later(deletion.deadline, OVERDUE_AFTER);
            if overdue_at <= now {
                return Decided::Blocked(termination_overdue(pod));
            }
            draft.wake(overdue_at);
            return Decided::State(WorkloadState::Terminating { deadline: deletion.deadline });
        }
        match motion {
            Motion::Still => {}
            Motion::Moving { migration: None } => {
                let since = *self.ask(&pod.uid).left_since.get_or_insert(now);
                let overdue_at = later(since, OVERDUE_AFTER);
                if overdue_at <= now {
                    return Decided::Blocked(launcher_overdue(pod));
                }
                draft.wake(overdue_at);
                return Decided::State(WorkloadState::Migrating { migration: None });
            }
            Motion::Moving { migration } => return Decided::State(WorkloadState::Migrating { migration }),
            Motion::Waits(block) => return Decided::Blocked(block),
        }
        let vmi = vmi_of(pod, draft.snapshot);
        if let Some(vmi) = vmi.filter(|vmi| vmi.deleting) {
            return self.instance_deleted(pod, vmi, draft);
        }
        if let Some(decided) = self.decide_by_ask(pod, verdict, draft) {
            return decided;
        }
        let ask = self.asks.get(&pod.uid);
        match how(pod, verdict, draft.snapshot, ask) {
            // An evacuation that somebody took back is not asked for again; whatever else takes the VM away is.
            Decided::Ready(How::Evict { record: Some(_) }) if ask.is_some_and(|ask| ask.mark == Mark::TakenBack) => {
                Decided::Blocked(match verdict {
                    Verdict::Blocked(block) => block.clone(),
                    _ => evacuation_withdrawn(pod, draft.snapshot),
                })
            }
            decided => decided,
        }
    }

    /// Whether the caches show the VM on its way. What was asked for it and had not shown yet is settled then.
    pub(super) fn observe(&mut self, pod: &Pod, verdict: &Verdict, draft: &Draft<'_>) -> Motion {
        let motion = motion(pod, verdict, &self.node, draft);
        let snapshot = draft.snapshot;
        let moves = !matches!(motion, Motion::Still);
        let vmi = vmi_of(pod, snapshot);
        if vmi.is_some_and(|vmi| self.withdrawn.remove(&vmi.key)) {
            self.ask(&pod.uid).mark_withdrawn();
        }
        let is_marked = |vmi: &VirtualMachineInstance| vmi.evacuation_node.as_ref() == Some(&self.node);
        if vmi.is_some_and(|vmi| is_marked(vmi) && self.recorded.contains(&vmi.uid)) {
            self.ask(&pod.uid).mark_shown(moves);
        } else if let Some(ask) = self.asks.get_mut(&pod.uid) {
            ask.no_mark_shown();
            if moves {
                ask.migration_shown();
            }
        }
        motion
    }

    /// Its VMI is being deleted, by whomever: the pod ends with it.
    fn instance_deleted(&mut self, pod: &Pod, vmi: &VirtualMachineInstance, draft: &mut Draft<'_>) -> Decided {
        let now = draft.now;
        let since = *self.ask(&pod.uid).instance_deleted.get_or_insert(now);
        let overdue_at = later(since, OVERDUE_AFTER);
        if overdue_at <= now {
            return Decided::Blocked(deletion_overdue(&vmi.key));
        }
        draft.wake(overdue_at);
        Decided::State(WorkloadState::Asked)
    }

    /// What follows from what was asked before, if anything does.
    fn decide_by_ask(&mut self, pod: &Pod, verdict: &Verdict, draft: &mut Draft<'_>) -> Option<Decided> {
        let now = draft.now;
        let (delete_from, stopped) = (self.delete_from(), self.stopped);
        let ask = self.asks.get_mut(&pod.uid)?;
        settle(ask, pod, draft);
        match &ask.state {
            AskState::Idle => None,
            AskState::InFlight { .. } => {
                Some(ask.stuck.clone().map_or(Decided::State(WorkloadState::Asked), Decided::Blocked))
            }
            AskState::Accepted { at } | AskState::Marked { at } | AskState::Migrating { at, .. } => {
                draft.wake(ask.doubtful_at(*at));
                Some(match verdict {
                    Verdict::Blocked(block) => Decided::Blocked(block.clone()),
                    _ => Decided::State(WorkloadState::Asked),
                })
            }
            AskState::Refused { block, .. }
                if !ask.deletes && is_evictable(pod, verdict, block) && draft.is_over(delete_from) =>
            {
                Some(Decided::Ready(How::Delete))
            }
            AskState::Refused { until, .. } if *until <= now => None,
            AskState::Refused { until, block } => {
                draft.wake(*until);
                Some(Decided::Blocked(block.clone()))
            }
            AskState::Lost { at, block } => {
                let block = block.clone();
                let at = draft.quiet_until.map_or(*at, |quiet| quiet.max(*at));
                if at > now {
                    draft.wake(at);
                } else if !stopped {
                    let instance = vmi_of(pod, draft.snapshot).map(|vmi| vmi.key.clone());
                    let look = Action::LookAtPod { pod: pod.key.clone(), uid: pod.uid.clone(), instance };
                    draft.actions.push(look);
                    ask.state = AskState::Looking { block: block.clone() };
                }
                Some(Decided::Blocked(block))
            }
            AskState::Looking { block } => Some(Decided::Blocked(block.clone())),
        }
    }
}

/// What the caches do not show in time becomes doubtful; what they have shown and show no more has ended.
fn settle(ask: &mut Ask, pod: &Pod, draft: &Draft<'_>) {
    let now = draft.now;
    match ask.state {
        AskState::Accepted { at } | AskState::Marked { at } if ask.doubtful_at(at) <= now => {
            ask.state = AskState::Lost { at: now, block: nothing_shows() };
        }
        AskState::Migrating { at, shown } => {
            // The caches of migrations may be ahead of those of VMIs, which are to show that it has moved.
            let at = if shown { now } else { at };
            ask.state = AskState::Migrating { at, shown: false };
            let failed = last_failed_of_ours(pod, draft.snapshot);
            if let Some(failed) = failed.filter(|failed| ask.failed_before.as_ref() != Some(&failed.uid)) {
                let reason = failed.failure_reason.as_deref().unwrap_or("KubeVirt gives no reason");
                ask.migration_failed(&format!("migration {} failed: {reason}", failed.key), now);
            } else if ask.doubtful_at(at) <= now {
                ask.migration_failed("the migration that was made for it is not there any more", now);
            }
        }
        _ => {}
    }
}

/// Whether a pod whose eviction was refused may be deleted instead, once it is time for that: never a VM, nor a part of
/// one.
fn is_evictable(pod: &Pod, verdict: &Verdict, refusal: &Block) -> bool {
    // Deleting what comes back is no way out either.
    let of_no_use = [BlockReason::HotplugFollowsVirtualMachine, BlockReason::ReturnsToNode];
    *verdict == Verdict::Evict && !is_launcher(pod) && !of_no_use.contains(&refusal.reason)
}

/// How a workload with that verdict is asked to leave, if it can be.
fn how(pod: &Pod, verdict: &Verdict, snapshot: &Snapshot, ask: Option<&Ask>) -> Decided {
    let vmi = vmi_of(pod, snapshot);
    let recorded = || vmi.map(|vmi| vmi.uid.clone());
    let how = match verdict {
        Verdict::Skip(reason) => return Decided::State(WorkloadState::Skipped(*reason)),
        Verdict::Evict => Some(How::Evict { record: None }),
        Verdict::Delete => Some(How::Delete),
        Verdict::Migrate(MigrateBy::Evacuation) => Some(How::Evict { record: recorded() }),
        Verdict::Migrate(MigrateBy::OwnMigration) => vmi.map(|vmi| How::Migrate {
            instance: vmi.key.clone(),
            attempt: next_attempt(vmi, snapshot).max(ask.map_or(0, |ask| ask.attempt)),
        }),
        // With a strategy, KubeVirt may find at the last moment that it can migrate, and mark it.
        Verdict::ShutDown { by: ShutDownBy::Eviction, .. } => {
            let may_be_marked = vmi.is_some_and(|vmi| *strategy_of(vmi, snapshot) != EvictionStrategy::None);
            Some(How::Evict { record: if may_be_marked { recorded() } else { None } })
        }
        Verdict::ShutDown { by: ShutDownBy::DeletingTheInstance, .. } => {
            vmi.map(|vmi| How::DeleteInstance { instance: vmi.key.clone(), instance_uid: vmi.uid.clone() })
        }
        // Whoever is responsible moves it when KubeVirt has marked it; so that is asked for.
        Verdict::Blocked(block) if block.reason == BlockReason::ExternalStrategy => {
            Some(How::Evict { record: recorded() })
        }
        Verdict::Blocked(block) => return Decided::Blocked(block.clone()),
    };
    how.map_or(Decided::State(WorkloadState::Asked), Decided::Ready)
}

/// The number of the next migration of ours of that VM: beyond all that KubeVirt has kept, which are the last few only.
fn next_attempt(vmi: &VirtualMachineInstance, snapshot: &Snapshot) -> u32 {
    let failed = || ours(&vmi.key, snapshot);
    let count = u32::try_from(failed().count()).unwrap_or(u32::MAX);
    let number = |migration: &Migration| migration.key.name.rsplit_once('-')?.1.parse::<u32>().ok();
    let last = failed().filter_map(number).max().map_or(0, |last| last.saturating_add(1));
    count.max(last)
}

/// The last migration of ours that has failed.
pub(super) fn last_failed_of_ours<'a>(pod: &Pod, snapshot: &'a Snapshot) -> Option<&'a Migration> {
    ours(&vmi_of(pod, snapshot)?.key, snapshot).max_by_key(|migration| migration.created)
}

fn ours<'a>(vmi: &'a ObjectKey, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Migration> {
    let all = snapshot.migrations_of(vmi).map(AsRef::as_ref);
    all.filter(|migration: &&Migration| migration.actor.is_some() && migration.phase == MigrationPhase::Failed)
}
