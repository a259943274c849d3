//! Whose turn it is, and what is sent then.

use std::sync::Arc;

use super::{
    Action, Evict, Machine, WorkloadState,
    ask::AskState,
    decide::{How, last_failed_of_ours},
    machine::{Draft, Recording},
    obstacles::{goes_later, quiet},
};
use crate::{
    model::{Budget, Pod, Uid},
    plan::{Block, BlockReason, BudgetRule, Tier, budget_rule, is_launcher, several_budgets, tier},
};

/// So many requests of one drain may be on their way at once.
const MAX_IN_FLIGHT: usize = 32;

/// One workload that may be asked to leave now, as far as it is concerned itself.
pub(super) struct Candidate<'a> {
    pub(super) pod: &'a Pod,
    pub(super) index: usize,
    pub(super) tier: Tier,
    pub(super) how: How,
}

impl Machine {
    /// Asks those to leave whose turn it is.
    pub(super) fn proceed(&mut self, candidates: Vec<Candidate<'_>>, draft: &mut Draft<'_>) {
        if let Some(until) = draft.quiet_until {
            draft.wake(until);
            for candidate in candidates {
                self.hold(&candidate, quiet(), draft);
            }
            return;
        }
        let first = self.first_tier(draft);
        let mut unrecorded = Vec::new();
        let mut free = MAX_IN_FLIGHT.saturating_sub(self.in_flight());
        for candidate in candidates {
            if candidate.tier > first {
                self.hold(&candidate, goes_later(), draft);
            } else if let How::Evict { record: Some(vmi) } = &candidate.how
                && !self.recorded.contains(vmi)
            {
                unrecorded.push((vmi.clone(), candidate));
            } else if free > 0 && self.send(&candidate, draft) {
                free -= 1;
            }
        }
        self.record(unrecorded, draft);
    }

    /// The first tier that still has workloads.
    fn first_tier(&self, draft: &Draft<'_>) -> Tier {
        let left = draft.workloads.iter().filter(|w| !matches!(w.state, WorkloadState::Skipped(_)));
        let pods = left.filter_map(|workload| draft.snapshot.pod(&workload.workload.pod));
        pods.map(|pod| tier(pod, self.own_pod.as_ref())).min().unwrap_or(Tier::First)
    }

    /// Sends what one workload needs; says whether a request is on its way.
    fn send(&mut self, candidate: &Candidate<'_>, draft: &mut Draft<'_>) -> bool {
        let Candidate { pod, tier, how, .. } = candidate;
        let (action, budget) = match how {
            How::Evict { .. } => match self.budget_for(pod, draft) {
                Ok(budget) => {
                    let evict = Evict {
                        pod: pod.key.clone(),
                        uid: pod.uid.clone(),
                        resource_version: is_launcher(pod).then(|| pod.resource_version.clone()),
                        is_own_pod: *tier == Tier::OwnPod,
                    };
                    (Action::Evict(evict), budget)
                }
                // The force ladder, never for a VM.
                Err(_) if !is_launcher(pod) && draft.is_over(self.delete_from()) => (delete(pod), None),
                Err(block) => {
                    self.hold(candidate, block, draft);
                    return false;
                }
            },
            How::Delete => (delete(pod), None),
            How::DeleteInstance { instance, instance_uid } => {
                let (instance, instance_uid) = (instance.clone(), instance_uid.clone());
                (Action::DeleteInstance { instance, instance_uid, uid: pod.uid.clone() }, None)
            }
            How::Migrate { instance, attempt } => {
                let failed_before = last_failed_of_ours(pod, draft.snapshot).map(|failed| failed.uid.clone());
                let ask = self.ask(&pod.uid);
                ask.attempt = *attempt;
                ask.failed_before = failed_before;
                let (instance, attempt) = (instance.clone(), *attempt);
                (Action::CreateMigration { instance, uid: pod.uid.clone(), attempt }, None)
            }
        };
        if let Some(budget) = &budget {
            self.turns.sent(budget, pod);
        }
        let ask = self.ask(&pod.uid);
        ask.deletes = matches!(action, Action::DeletePod { .. } | Action::DeleteInstance { .. });
        ask.state = AskState::InFlight { budget: budget.map(|budget| budget.key.clone()) };
        let state = self.asked_again(&pod.uid, draft.now).unwrap_or(WorkloadState::Asked);
        draft.workloads[candidate.index].state = state;
        draft.actions.push(action);
        true
    }

    /// The budget that the eviction counts on, if it allows one now.
    fn budget_for(&mut self, pod: &Pod, draft: &mut Draft<'_>) -> Result<Option<Arc<Budget>>, Block> {
        match budget_rule(pod, draft.snapshot) {
            BudgetRule::NotAsked => Ok(None),
            BudgetRule::Several(names) => Err(several_budgets(pod, &names)),
            BudgetRule::One(budget) => match self.turns.may_go(&budget, draft.snapshot, draft.now) {
                Ok(()) => Ok(Some(budget)),
                Err((block, until)) => {
                    if let Some(until) = until {
                        draft.wake(until);
                    }
                    Err(block)
                }
            },
        }
    }

    /// Writes the VMIs down that are about to be evacuated; their evictions go when that is done.
    fn record(&mut self, unrecorded: Vec<(Uid, Candidate<'_>)>, draft: &mut Draft<'_>) {
        if unrecorded.is_empty() {
            return;
        }
        match &self.recording {
            Recording::InFlight => {}
            Recording::Failed { retry_at, message } if *retry_at > draft.now => {
                let message = format!("the node's record cannot be written: {message}");
                draft.wake(*retry_at);
                for (_, candidate) in unrecorded {
                    let block = Block::new(BlockReason::ApiServerUnavailable, message.clone());
                    self.hold(&candidate, block, draft);
                }
            }
            Recording::Idle | Recording::Failed { .. } => {
                self.recording = Recording::InFlight;
                let vmis = unrecorded.into_iter().map(|(vmi, _)| vmi).collect();
                draft.actions.push(Action::RecordEvacuations(vmis));
            }
        }
    }

    fn hold(&mut self, candidate: &Candidate<'_>, block: Block, draft: &mut Draft<'_>) {
        draft.workloads[candidate.index].state = self.blocked(&candidate.pod.uid, block, draft.now);
    }
}

fn delete(pod: &Pod) -> Action {
    Action::DeletePod { pod: pod.key.clone(), uid: pod.uid.clone() }
}
