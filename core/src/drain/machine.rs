//! The drain machine: observations and a time go in; actions, progress and the next time to look come out.
//!
//! It does no I/O and holds no cluster state: what is there it reads from a snapshot each time, what was asked it
//! remembers by pod UID. What the caches show always goes before what it remembers.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Action, Answer, DrainOptions, Outcome, Progress, Seen, WorkloadProgress, WorkloadState,
    ask::{Ask, AskState},
    decide::Decided,
    last_look::LastLook,
    obstacles::{self, arriving, unreachable},
    returns::{Return, Returns},
    send::Candidate,
    turns::Turns,
};
use crate::{
    clock::later,
    cluster::Snapshot,
    migration::Queue,
    model::{Blocking, NodeName, ObjectKey, Pod, Uid},
    plan::{Block, BlockReason, Classified, Verdict, classify, is_work_left, tier},
};

/// A write of the record that failed is tried again after this time.
const RECORD_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A drain of one node.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) node: NodeName,
    options: DrainOptions,
    /// The pod that this program runs in, if it runs in one: it goes last.
    pub(super) own_pod: Option<ObjectKey>,
    started: Timestamp,
    pub(super) stopped: bool,
    pub(super) asks: BTreeMap<Uid, Ask>,
    pub(super) turns: Turns,
    /// VMIs that the node's record names.
    pub(super) recorded: BTreeSet<Uid>,
    /// VMIs whose evacuation somebody had taken back before a restart; until their pods are seen.
    pub(super) withdrawn: BTreeSet<ObjectKey>,
    pub(super) recording: Recording,
    pub(super) look: LastLook,
    /// The API server asked for quiet until then.
    quiet_until: Option<Timestamp>,
    blocked_since: BTreeMap<Uid, (BlockReason, Timestamp)>,
    /// Pods that had to leave since the drain began.
    had_to_leave: BTreeSet<Uid>,
    returns: Returns,
}

/// Whether a write of the record is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    Idle,
    InFlight,
    Failed { retry_at: Timestamp, message: String },
}

/// What follows from one look at the cluster.
#[derive(Clone, Debug)]
pub struct Step {
    /// What to do now.
    pub actions: Vec<Action>,
    /// Where the drain is.
    pub phase: DrainPhase,
    /// How far it has got.
    pub progress: Progress,
    /// When to look again, if nothing changes before.
    pub wake_at: Option<Timestamp>,
}

/// Where a drain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainPhase {
    /// Workloads have still to leave, or the last look has not been taken.
    Draining,
    /// Something about the node itself is in the way, so that nobody can say that it is empty.
    Waiting(Block),
    /// The API server has confirmed that nothing is left.
    Drained,
    /// Its time is over; nothing new starts.
    TimedOut,
    /// The node does not exist.
    NodeGone,
    /// It was stopped; nothing new starts.
    Stopped,
}

/// What the step works on: its output, as far as it is known.
pub(super) struct Draft<'a> {
    pub(super) now: Timestamp,
    pub(super) snapshot: &'a Snapshot,
    pub(super) actions: Vec<Action>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) workloads: Vec<WorkloadProgress>,
    /// Nothing is asked of the API server before.
    pub(super) quiet_until: Option<Timestamp>,
    queue: OnceCell<Queue>,
}

impl Draft<'_> {
    /// Has it looked at again then, if not before.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |wake| wake.min(at)));
    }

    /// Whether that time has come; if it is still to come, it is looked at again then.
    pub(super) fn is_over(&mut self, time: Option<Timestamp>) -> bool {
        let Some(time) = time else { return false };
        if time > self.now {
            self.wake(time);
        }
        time <= self.now
    }

    /// KubeVirt's queue of migrations, for all VMs of this step: it goes through those of the whole cluster.
    pub(super) fn queue(&self) -> &Queue {
        self.queue.get_or_init(|| Queue::of(self.snapshot))
    }

    /// Whether nothing is left on the node that has to leave.
    pub(super) fn is_empty(&self) -> bool {
        self.workloads.iter().all(|workload| matches!(workload.state, WorkloadState::Skipped(_)))
    }
}

impl Machine {
    /// A drain that begins (or, after a restart, began) at that time; `recorded` are the VMIs that the record names.
    #[must_use]
    pub fn new(
        node: NodeName,
        options: DrainOptions,
        own_pod: Option<ObjectKey>,
        started: Timestamp,
        recorded: impl IntoIterator<Item = Uid>,
    ) -> Self {
        Self {
            node,
            options,
            own_pod,
            started,
            stopped: false,
            asks: BTreeMap::new(),
            turns: Turns::default(),
            recorded: recorded.into_iter().collect(),
            withdrawn: BTreeSet::new(),
            recording: Recording::Idle,
            look: LastLook::default(),
            quiet_until: None,
            blocked_since: BTreeMap::new(),
            had_to_leave: BTreeSet::new(),
            returns: Returns::default(),
        }
    }

    /// Starts nothing more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Takes up what was in the way of this drain before a restart: an evacuation that somebody took back is not asked
    /// for again.
    pub fn resume(&mut self, blocking: &[Blocking]) {
        let withdrawn = blocking.iter().filter(|blocking| blocking.reason == BlockReason::EvacuationWithdrawn);
        self.withdrawn.extend(withdrawn.map(|blocking| ObjectKey::new(&blocking.namespace, &blocking.name)));
    }

    /// Takes other options: what had failed is tried again, and if its time was over it begins anew.
    pub fn set_options(&mut self, options: DrainOptions, now: Timestamp) {
        if self.options != options {
            if self.deadline().is_some_and(|deadline| deadline <= now) {
                self.started = now;
            }
            self.options = options;
            self.withdrawn.clear();
            self.asks.values_mut().for_each(Ask::options_changed);
            // A pod that they left out may be there without being in the caches yet.
            self.look.begin_again();
        }
    }

    /// When its time is over.
    fn deadline(&self) -> Option<Timestamp> {
        self.options.timeout.map(|timeout| later(self.started, timeout.get()))
    }

    /// Whether a request of this drain is on its way.
    #[must_use]
    pub fn is_waiting_for_answers(&self) -> bool {
        self.in_flight() > 0 || self.recording == Recording::InFlight
    }

    /// Takes up what became of an action.
    pub fn handle(&mut self, outcome: Outcome, snapshot: &Snapshot, now: Timestamp) {
        match outcome {
            Outcome::Recorded(Ok(vmis)) => {
                self.recorded.extend(vmis);
                self.recording = Recording::Idle;
            }
            Outcome::Recorded(Err(message)) => {
                self.recording = Recording::Failed { retry_at: later(now, RECORD_AGAIN_AFTER), message };
            }
            Outcome::Answered(uid, answer) => self.answered(&uid, &answer, now),
            Outcome::MigrationCreated(uid, outcome) => self.ask(&uid).migration_created(outcome, now),
            Outcome::LookedAt(uid, seen) => {
                if seen == Seen::Unchanged {
                    self.turns.not_carried_out(&uid);
                }
                self.ask(&uid).looked(seen, now);
            }
            Outcome::Listed(pods) => {
                let options = &self.options;
                self.look.listed(pods, &self.node, now, |pod| is_work_left(&classify(pod, snapshot, options).verdict));
            }
        }
    }

    fn answered(&mut self, uid: &Uid, answer: &Answer, now: Timestamp) {
        if let Answer::Overloaded(wait) = answer {
            let until = later(now, *wait);
            self.quiet_until = Some(self.quiet_until.map_or(until, |quiet| quiet.max(until)));
        }
        let ask = self.asks.entry(uid.clone()).or_default();
        let budget = match &ask.state {
            AskState::InFlight { budget } => budget.clone(),
            _ => None,
        };
        if let Some(budget) = &budget {
            self.turns.answered(budget, answer, now);
        }
        ask.answered(answer, budget.is_some(), now);
    }

    pub(super) fn ask(&mut self, uid: &Uid) -> &mut Ask {
        self.asks.entry(uid.clone()).or_default()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.asks.values().filter(|ask| matches!(ask.state, AskState::InFlight { .. })).count()
    }

    /// Looks at the cluster and decides.
    pub fn step(&mut self, snapshot: &Snapshot, now: Timestamp) -> Step {
        let quiet_until = self.quiet_until.filter(|quiet| *quiet > now);
        let workloads = Vec::new();
        let (actions, queue) = (Vec::new(), OnceCell::new());
        let mut draft = Draft { now, snapshot, actions, wake_at: None, workloads, quiet_until, queue };
        let Some(node) = snapshot.node(&self.node) else {
            return self.finish(draft, DrainPhase::NodeGone);
        };
        let pods: Vec<&Pod> = snapshot.pods_on(&self.node).map(AsRef::as_ref).collect();
        self.forget_those_gone(&pods);
        let unreachable = unreachable(node);
        let candidates = self.survey(&pods, unreachable.as_ref(), &mut draft);
        let unreachable = unreachable.filter(|_| !pods.is_empty());
        let phase = if self.stopped {
            DrainPhase::Stopped
        } else if draft.is_empty() {
            self.end(unreachable, &mut draft)
        } else {
            if self.look.is_clean() {
                // It was empty; what has arrived since has the whole time.
                self.started = now;
            }
            self.look.begin_again();
            if draft.is_over(self.deadline()) {
                DrainPhase::TimedOut
            } else if let Some(block) = unreachable {
                DrainPhase::Waiting(block)
            } else {
                self.proceed(candidates, &mut draft);
                DrainPhase::Draining
            }
        };
        self.finish(draft, phase)
    }

    /// The caches show that nothing is left: the last look.
    fn end(&mut self, unreachable: Option<Block>, draft: &mut Draft<'_>) -> DrainPhase {
        if let Some(block) = arriving(&self.node, draft.snapshot) {
            self.look.begin_again();
            return DrainPhase::Waiting(block);
        }
        if self.look.is_clean() {
            // Said once, it stays true while nothing arrives, also while the node is down for the work on it.
            return DrainPhase::Drained;
        }
        if let Some(block) = unreachable {
            self.look.begin_again();
            return DrainPhase::Waiting(block);
        }
        if let Some(quiet) = draft.quiet_until {
            draft.wake(quiet);
            return DrainPhase::Waiting(obstacles::quiet());
        }
        draft.actions.extend(self.look.ask(draft.now));
        let Some((retry_at, block)) = self.look.miss() else { return DrainPhase::Draining };
        draft.wake(retry_at);
        DrainPhase::Waiting(block)
    }

    /// Classifies every pod; returns those that may be asked to leave.
    fn survey<'a>(
        &mut self,
        pods: &[&'a Pod],
        unreachable: Option<&Block>,
        draft: &mut Draft<'_>,
    ) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for pod in pods {
            let Classified { workload, verdict } = classify(pod, draft.snapshot, &self.options);
            if is_work_left(&verdict) && self.had_to_leave.insert(pod.uid.clone()) {
                self.arrived(pod, &verdict, draft);
            }
            // Also while the node does not answer: a mark that comes and goes meanwhile was taken back.
            let motion = self.observe(pod, &verdict, draft);
            let decided = match (&verdict, unreachable) {
                (Verdict::Skip(reason), _) => Decided::State(WorkloadState::Skipped(*reason)),
                (_, Some(block)) => Decided::Blocked(block.clone()),
                (verdict, None) => self.decide(pod, verdict, motion, draft),
            };
            let index = draft.workloads.len();
            let state = match decided {
                Decided::State(state) => state,
                Decided::Blocked(block) => self.blocked(&pod.uid, block, draft.now),
                Decided::Ready(how) => {
                    let tier = tier(pod, self.own_pod.as_ref());
                    candidates.push(Candidate { pod, index, tier, how });
                    self.asked_again(&pod.uid, draft.now).unwrap_or(WorkloadState::Next)
                }
            };
            draft.workloads.push(WorkloadProgress { workload, state });
        }
        candidates
    }

    /// One that has to leave is seen for the first time.
    fn arrived(&mut self, pod: &Pod, verdict: &Verdict, draft: &Draft<'_>) {
        let Some(Return { block, before }) = self.returns.see_new(pod, draft.snapshot) else { return };
        if matches!(verdict, Verdict::Evict | Verdict::ShutDown { .. }) {
            self.ask(&pod.uid).returned(block, before, draft.now);
        }
    }

    /// Of a workload that is asked again after only a change could help: what it was refused for, until it is known
    /// whether that still holds.
    pub(super) fn asked_again(&mut self, uid: &Uid, now: Timestamp) -> Option<WorkloadState> {
        let block = self.asks.get(uid)?.stuck.clone()?;
        Some(self.blocked(uid, block, now))
    }

    /// From when on pods whose eviction is refused are deleted: off unless asked for.
    pub(super) fn delete_from(&self) -> Option<Timestamp> {
        self.options.delete_after.map(|after| later(self.started, after.get()))
    }

    pub(super) fn blocked(&mut self, uid: &Uid, block: Block, now: Timestamp) -> WorkloadState {
        let since = match self.blocked_since.get(uid) {
            Some((reason, since)) if *reason == block.reason => *since,
            _ => now,
        };
        self.blocked_since.insert(uid.clone(), (block.reason, since));
        WorkloadState::Blocked { block, since }
    }

    fn forget_those_gone(&mut self, pods: &[&Pod]) {
        let present: BTreeSet<&Uid> = pods.iter().map(|pod| &pod.uid).collect();
        self.returns.see_gone(&present);
        // An answer may still be under way for a pod that has gone already.
        self.asks.retain(|uid, ask| present.contains(uid) || matches!(ask.state, AskState::InFlight { .. }));
    }

    fn finish(&mut self, draft: Draft<'_>, phase: DrainPhase) -> Step {
        let Draft { actions, wake_at, workloads, .. } = draft;
        // Who is asked again has not got further: if it comes to the same, it has blocked all the time.
        let still_blocked = |state: &WorkloadState| {
            matches!(state, WorkloadState::Blocked { .. } | WorkloadState::Next | WorkloadState::Asked)
        };
        let blocked = workloads.iter().filter(|workload| still_blocked(&workload.state));
        let blocked: BTreeSet<&Uid> = blocked.map(|workload| &workload.workload.uid).collect();
        self.blocked_since.retain(|uid, _| blocked.contains(uid));
        let progress = Progress { workloads, had_to_leave: self.had_to_leave.len() };
        Step { actions, phase, progress, wake_at }
    }
}
