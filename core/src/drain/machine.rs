//! The drain machine: observations and a time go in; actions, progress and the next time to look come out.
//!
//! It does no I/O and holds no cluster state: what is there it reads from a snapshot each time, what was asked it
//! remembers by pod UID. What the caches show always goes before what it remembers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Action, Answer, DrainOptions, Evict, Outcome, Progress, WorkloadProgress, WorkloadState,
    ask::{Ask, AskState},
    last_look::LastLook,
    motion::{Motion, motion},
    turns::Turns,
};
use crate::{
    cluster::Snapshot,
    model::{Budget, Node, NodeName, ObjectKey, Pod, Readiness, Uid},
    plan::{
        Block, BlockReason, BudgetRule, Classified, MigrateBy, ShutDownBy, Tier, Verdict, budget_rule, classify,
        is_work_left, several_budgets, tier, vmi_of,
    },
};

/// So many requests of one drain may be on their way at once.
const MAX_IN_FLIGHT: usize = 32;
/// What was accepted shows in the caches within this time; else the API server is asked.
const SHOWS_WITHIN: Duration = Duration::from_secs(10);
/// A pod that has not gone so long after its grace is said to be overdue.
const OVERDUE_AFTER: Duration = Duration::from_secs(30);

/// A drain of one node.
#[derive(Clone, Debug)]
pub struct Machine {
    node: NodeName,
    options: DrainOptions,
    /// The pod that this program runs in, if it runs in one: it goes last.
    own_pod: Option<ObjectKey>,
    started: Timestamp,
    stopped: bool,
    asks: BTreeMap<Uid, Ask>,
    turns: Turns,
    /// VMIs that the node's record names.
    recorded: BTreeSet<Uid>,
    recording: Recording,
    look: LastLook,
    /// The API server asked for quiet until then.
    quiet_until: Option<Timestamp>,
    blocked_since: BTreeMap<Uid, (BlockReason, Timestamp)>,
    /// Pods that had to leave since the drain began.
    had_to_leave: BTreeSet<Uid>,
}

/// Whether a write of the record is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Recording {
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

/// One workload that may be asked to leave now, as far as it is concerned itself.
struct Candidate<'a> {
    pod: &'a Pod,
    index: usize,
    tier: Tier,
    how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    /// By eviction; of a launcher pod, with the VMI that has to be recorded first.
    Evict {
        record: Option<Uid>,
    },
    Delete,
    DeleteInstance {
        instance: ObjectKey,
        instance_uid: Uid,
    },
    Migrate {
        instance: ObjectKey,
        attempt: u32,
    },
}

/// What the step works on: its output, as far as it is known.
struct Draft<'a> {
    now: Timestamp,
    snapshot: &'a Snapshot,
    actions: Vec<Action>,
    wake_at: Option<Timestamp>,
    workloads: Vec<WorkloadProgress>,
}

impl Draft<'_> {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |wake| wake.min(at)));
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
            recording: Recording::Idle,
            look: LastLook::default(),
            quiet_until: None,
            blocked_since: BTreeMap::new(),
            had_to_leave: BTreeSet::new(),
        }
    }

    /// Starts nothing more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Takes other options: what had failed is tried again.
    pub fn set_options(&mut self, options: DrainOptions) {
        if self.options != options {
            self.options = options;
            self.asks
                .retain(|_, ask| !matches!(ask.state, AskState::Refused { .. } | AskState::Marked { seen: true, .. }));
        }
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
                self.recording = Recording::Failed { retry_at: now + Duration::from_secs(2), message };
            }
            Outcome::Answered(uid, answer) => self.answered(&uid, &answer, now),
            Outcome::MigrationCreated(uid, outcome) => self.ask(&uid).migration_created(outcome, now),
            Outcome::LookedAt(uid, seen) => self.ask(&uid).looked(seen, now),
            Outcome::Listed(pods) => {
                let options = &self.options;
                self.look.listed(pods, &self.node, now, |pod| is_work_left(&classify(pod, snapshot, options).verdict));
            }
        }
    }

    fn answered(&mut self, uid: &Uid, answer: &Answer, now: Timestamp) {
        if let Answer::Overloaded(wait) = answer {
            self.quiet_until = Some(now + *wait);
        }
        let ask = self.asks.entry(uid.clone()).or_default();
        if let AskState::InFlight { budget: Some(budget) } = &ask.state {
            let budget = budget.clone();
            let refused = |reason, message: &str| Block::new(reason, format!("budget {budget}: {message}"));
            match answer {
                Answer::Accepted => self.turns.accepted(&budget, now),
                Answer::BudgetRefused(message) => {
                    self.turns.refused(&budget, refused(BlockReason::BudgetExhausted, message), None, now);
                }
                Answer::BudgetNotObserved(message, wait) => {
                    let block = refused(BlockReason::BudgetNotObserved, message);
                    self.turns.refused(&budget, block, Some(*wait), now);
                }
                _ => self.turns.dropped(&budget),
            }
        }
        ask.answered(answer, now);
    }

    fn ask(&mut self, uid: &Uid) -> &mut Ask {
        self.asks.entry(uid.clone()).or_default()
    }

    fn in_flight(&self) -> usize {
        self.asks.values().filter(|ask| matches!(ask.state, AskState::InFlight { .. })).count()
    }

    /// Looks at the cluster and decides.
    pub fn step(&mut self, snapshot: &Snapshot, now: Timestamp) -> Step {
        let mut draft = Draft { now, snapshot, actions: Vec::new(), wake_at: None, workloads: Vec::new() };
        let Some(node) = snapshot.node(&self.node) else {
            return self.finish(draft, DrainPhase::NodeGone);
        };
        let deadline = self.options.timeout.map(|timeout| self.started + timeout.get());
        let pods: Vec<&Pod> = snapshot.pods_on(&self.node).map(AsRef::as_ref).collect();
        self.forget_those_gone(&pods);
        let unreachable = unreachable(node);
        let candidates = self.survey(&pods, unreachable.as_ref(), &mut draft);
        let phase = if self.stopped {
            DrainPhase::Stopped
        } else if self.look.is_clean() && draft.workloads.iter().all(|w| matches!(w.state, WorkloadState::Skipped(_))) {
            // Said once, it stays true while nothing arrives, also while the node is down for the work on it.
            DrainPhase::Drained
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            DrainPhase::TimedOut
        } else if let Some(block) = unreachable.filter(|_| !pods.is_empty()) {
            self.look.begin_again();
            DrainPhase::Waiting(block)
        } else {
            deadline.into_iter().for_each(|deadline| draft.wake(deadline));
            self.proceed(candidates, &mut draft).map_or(DrainPhase::Draining, DrainPhase::Waiting)
        };
        self.finish(draft, phase)
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
            if is_work_left(&verdict) {
                self.had_to_leave.insert(pod.uid.clone());
            }
            let decided = match (&verdict, unreachable) {
                (Verdict::Skip(reason), _) => Decided::State(WorkloadState::Skipped(*reason)),
                (_, Some(block)) => Decided::Blocked(block.clone()),
                (verdict, None) => self.decide(pod, verdict, draft),
            };
            let index = draft.workloads.len();
            let state = match decided {
                Decided::State(state) => state,
                Decided::Blocked(block) => self.blocked(&pod.uid, block, draft.now),
                Decided::Ready(how) => {
                    let tier = tier(pod, self.own_pod.as_ref());
                    candidates.push(Candidate { pod, index, tier, how });
                    WorkloadState::Next
                }
            };
            draft.workloads.push(WorkloadProgress { workload, state });
        }
        candidates
    }

    /// What one workload does or waits for, not counting the others.
    fn decide(&mut self, pod: &Pod, verdict: &Verdict, draft: &mut Draft<'_>) -> Decided {
        let now = draft.now;
        if let Some(deletion) = pod.deletion {
            let overdue_at = deletion.deadline + OVERDUE_AFTER;
            if overdue_at <= now {
                return Decided::Blocked(termination_overdue(pod));
            }
            draft.wake(overdue_at);
            return Decided::State(WorkloadState::Terminating { deadline: deletion.deadline });
        }
        match motion(pod, verdict, &self.node, draft.snapshot) {
            Motion::Still => {}
            Motion::Moving { migration } => {
                self.mark_seen(&pod.uid);
                return Decided::State(WorkloadState::Migrating { migration });
            }
            Motion::Waits(block) => {
                self.mark_seen(&pod.uid);
                return Decided::Blocked(block);
            }
        }
        if let Some(decided) = self.decide_by_ask(pod, verdict, draft) {
            return decided;
        }
        how(pod, verdict, draft.snapshot, self.asks.get(&pod.uid)).map_or_else(
            || match verdict {
                Verdict::Blocked(block) => Decided::Blocked(block.clone()),
                _ => Decided::State(WorkloadState::Asked),
            },
            Decided::Ready,
        )
    }

    /// What follows from what was asked before, if anything does.
    fn decide_by_ask(&mut self, pod: &Pod, verdict: &Verdict, draft: &mut Draft<'_>) -> Option<Decided> {
        let now = draft.now;
        let snapshot = draft.snapshot;
        let ask = self.asks.get_mut(&pod.uid)?;
        match &ask.state {
            AskState::Idle => None,
            AskState::InFlight { .. } => Some(Decided::State(WorkloadState::Asked)),
            // What is asked was accepted, and nothing shows: it is looked at, not repeated.
            AskState::Accepted { at } | AskState::Marked { at, seen: false } => {
                let look_at = *at + SHOWS_WITHIN;
                if look_at <= now {
                    let block = Block::new(
                        BlockReason::ApiServerUnavailable,
                        "the API server accepted the eviction, and nothing shows of it",
                    );
                    ask.state = AskState::Lost { at: now, block };
                    return self.decide_by_ask(pod, verdict, draft);
                }
                draft.wake(look_at);
                Some(match verdict {
                    Verdict::Blocked(block) => Decided::Blocked(block.clone()),
                    _ => Decided::State(WorkloadState::Asked),
                })
            }
            AskState::Marked { seen: true, .. } => Some(Decided::Blocked(match verdict {
                Verdict::Blocked(block) => block.clone(),
                _ => evacuation_withdrawn(pod, snapshot),
            })),
            AskState::Migrating { at } => {
                let failed = own_migrations_failed(pod, snapshot);
                if failed.is_some() || *at + SHOWS_WITHIN <= now {
                    let message = failed.map_or_else(|| "the migration has gone".to_owned(), |(_, message)| message);
                    ask.migration_failed(&message, now);
                    return self.decide_by_ask(pod, verdict, draft);
                }
                draft.wake(*at + SHOWS_WITHIN);
                Some(Decided::State(WorkloadState::Asked))
            }
            AskState::Refused { until, .. } if *until <= now => None,
            AskState::Refused { until, block } => {
                draft.wake(*until);
                Some(Decided::Blocked(block.clone()))
            }
            AskState::Lost { at, block } => {
                let block = block.clone();
                if *at > now {
                    draft.wake(*at);
                } else if !self.stopped {
                    let instance = vmi_of(pod, snapshot).map(|vmi| vmi.key.clone());
                    let look = Action::LookAtPod { pod: pod.key.clone(), uid: pod.uid.clone(), instance };
                    draft.actions.push(look);
                    ask.state = AskState::Looking { block: block.clone() };
                }
                Some(Decided::Blocked(block))
            }
            AskState::Looking { block } => Some(Decided::Blocked(block.clone())),
        }
    }

    /// Asks those to leave whose turn it is, or takes the last look; returns what is in the way of the node as a whole.
    fn proceed(&mut self, candidates: Vec<Candidate<'_>>, draft: &mut Draft<'_>) -> Option<Block> {
        if draft.workloads.iter().all(|workload| matches!(workload.state, WorkloadState::Skipped(_))) {
            return self.look_last(draft);
        }
        self.look.begin_again();
        if let Some(until) = self.quiet_until.filter(|until| *until > draft.now) {
            draft.wake(until);
            let message = "the API server asked for fewer requests; nothing new is asked for a moment";
            return Some(Block::new(BlockReason::ApiServerUnavailable, message));
        }
        let first = self.first_tier(draft);
        let mut unrecorded = Vec::new();
        let mut free = MAX_IN_FLIGHT.saturating_sub(self.in_flight());
        for candidate in candidates {
            if candidate.tier > first {
                let message = "it leaves after the workloads that are not critical to the cluster";
                self.hold(&candidate, Block::new(BlockReason::OrderedAfterOthers, message), draft);
            } else if let How::Evict { record: Some(vmi) } = &candidate.how
                && !self.recorded.contains(vmi)
            {
                unrecorded.push((vmi.clone(), candidate));
            } else if free > 0 && self.send(&candidate, draft) {
                free -= 1;
            }
        }
        self.record(unrecorded, draft);
        None
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
                    let is_launcher = vmi_of(pod, draft.snapshot).is_some();
                    let evict = Evict {
                        pod: pod.key.clone(),
                        uid: pod.uid.clone(),
                        resource_version: is_launcher.then(|| pod.resource_version.clone()),
                        is_own_pod: *tier == Tier::OwnPod,
                    };
                    (Action::Evict(evict), budget)
                }
                Err(_) if self.may_delete_instead(pod, draft) => (delete(pod), None),
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
                let (instance, attempt) = (instance.clone(), *attempt);
                (Action::CreateMigration { instance, uid: pod.uid.clone(), attempt }, None)
            }
        };
        if let Some(budget) = &budget {
            self.turns.sent(budget, pod.key.clone());
        }
        self.ask(&pod.uid).state = AskState::InFlight { budget: budget.map(|budget| budget.key.clone()) };
        draft.workloads[candidate.index].state = WorkloadState::Asked;
        draft.actions.push(action);
        true
    }

    /// The budget that the eviction counts on, if it allows one now.
    fn budget_for<'a>(&mut self, pod: &Pod, draft: &mut Draft<'a>) -> Result<Option<std::sync::Arc<Budget>>, Block> {
        match budget_rule(pod, draft.snapshot) {
            BudgetRule::NotAsked => Ok(None),
            BudgetRule::Several(names) => Err(several_budgets(pod, &names)),
            BudgetRule::One(budget) => match self.turns.may_go(&budget, draft.snapshot, draft.now) {
                Ok(()) => Ok(Some(budget)),
                Err((block, until)) => {
                    until.into_iter().for_each(|until| draft.wake(until));
                    Err(block)
                }
            },
        }
    }

    /// The force ladder: off unless asked for, and never for a VM.
    fn may_delete_instead(&self, pod: &Pod, draft: &mut Draft<'_>) -> bool {
        let Some(after) = self.options.delete_after else { return false };
        let from = self.started + after.get();
        if from > draft.now {
            draft.wake(from);
        }
        from <= draft.now && !crate::plan::is_launcher(pod)
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

    fn look_last(&mut self, draft: &mut Draft<'_>) -> Option<Block> {
        if let Some(block) = arriving(&self.node, draft.snapshot) {
            self.look.begin_again();
            return Some(block);
        }
        draft.actions.extend(self.look.ask(draft.now));
        let (retry_at, block) = self.look.miss()?;
        draft.wake(retry_at);
        Some(block)
    }

    fn hold(&mut self, candidate: &Candidate<'_>, block: Block, draft: &mut Draft<'_>) {
        draft.workloads[candidate.index].state = self.blocked(&candidate.pod.uid, block, draft.now);
    }

    fn blocked(&mut self, uid: &Uid, block: Block, now: Timestamp) -> WorkloadState {
        let since = match self.blocked_since.get(uid) {
            Some((reason, since)) if *reason == block.reason => *since,
            _ => now,
        };
        self.blocked_since.insert(uid.clone(), (block.reason, since));
        WorkloadState::Blocked { block, since }
    }

    /// The caches show that KubeVirt works on it: from now on a mark that goes without a move was taken back.
    fn mark_seen(&mut self, uid: &Uid) {
        if let Some(Ask { state: AskState::Marked { seen, .. }, .. }) = self.asks.get_mut(uid) {
            *seen = true;
        }
    }

    fn forget_those_gone(&mut self, pods: &[&Pod]) {
        let present: BTreeSet<&Uid> = pods.iter().map(|pod| &pod.uid).collect();
        // An answer may still be under way for a pod that has gone already.
        self.asks.retain(|uid, ask| present.contains(uid) || matches!(ask.state, AskState::InFlight { .. }));
        self.blocked_since.retain(|uid, _| present.contains(uid));
    }

    fn finish(&mut self, mut draft: Draft<'_>, phase: DrainPhase) -> Step {
        if phase != DrainPhase::Draining {
            // Asking what became of something starts nothing.
            draft.actions.retain(|action| matches!(action, Action::LookAtPod { .. }));
        }
        let blocked: BTreeSet<&Uid> = draft
            .workloads
            .iter()
            .filter(|workload| matches!(workload.state, WorkloadState::Blocked { .. }))
            .map(|workload| &workload.workload.uid)
            .collect();
        self.blocked_since.retain(|uid, _| blocked.contains(uid));
        let progress = Progress { workloads: draft.workloads, had_to_leave: self.had_to_leave.len() };
        Step { actions: draft.actions, phase, progress, wake_at: draft.wake_at }
    }
}

enum Decided {
    State(WorkloadState),
    Blocked(Block),
    Ready(How),
}

/// How a workload with that verdict is asked to leave; `None` if there is nothing to ask.
fn how(pod: &Pod, verdict: &Verdict, snapshot: &Snapshot, ask: Option<&Ask>) -> Option<How> {
    let vmi = vmi_of(pod, snapshot);
    match verdict {
        Verdict::Skip(_) => None,
        Verdict::Evict => Some(How::Evict { record: None }),
        Verdict::Delete => Some(How::Delete),
        Verdict::Migrate(MigrateBy::Evacuation) => Some(How::Evict { record: vmi.map(|vmi| vmi.uid.clone()) }),
        Verdict::Migrate(MigrateBy::OwnMigration) => vmi.map(|vmi| How::Migrate {
            instance: vmi.key.clone(),
            attempt: own_migrations_failed(pod, snapshot).map_or(0, |(count, _)| count),
        }),
        Verdict::ShutDown { by: ShutDownBy::Eviction, .. } => Some(How::Evict { record: None }),
        Verdict::ShutDown { by: ShutDownBy::DeletingTheInstance, .. } => vmi
            .filter(|vmi| !vmi.deleting)
            .map(|vmi| How::DeleteInstance { instance: vmi.key.clone(), instance_uid: vmi.uid.clone() }),
        // Its owner moves it when KubeVirt has marked it; so it is asked for once.
        Verdict::Blocked(block) if block.reason == BlockReason::ExternalStrategy && ask.is_none() => {
            vmi.map(|vmi| How::Evict { record: Some(vmi.uid.clone()) })
        }
        Verdict::Blocked(_) => None,
    }
}

fn delete(pod: &Pod) -> Action {
    Action::DeletePod { pod: pod.key.clone(), uid: pod.uid.clone() }
}

/// How many migrations that Careen made for that VM have failed, and what the last one says.
fn own_migrations_failed(pod: &Pod, snapshot: &Snapshot) -> Option<(u32, String)> {
    let vmi = vmi_of(pod, snapshot)?;
    let failed = snapshot
        .migrations_of(&vmi.key)
        .filter(|migration| migration.actor.is_some() && migration.is_finished())
        .collect::<Vec<_>>();
    let last = failed.iter().max_by_key(|migration| migration.created)?;
    let reason = last.failure_reason.clone().unwrap_or_else(|| "KubeVirt gives no reason".to_owned());
    let count = u32::try_from(failed.len()).unwrap_or(u32::MAX);
    Some((count, format!("migration {} failed: {reason}", last.key)))
}

fn unreachable(node: &Node) -> Option<Block> {
    match &node.readiness {
        Readiness::Ready => None,
        Readiness::NotReady { message, .. } => Some(Block::new(
            BlockReason::NodeUnreachable,
            format!(
                "node {} is not ready ({message}): bring its kubelet back, or power it off and delete the Node",
                node.name
            ),
        )),
    }
}

/// A VM on its way to the node, whose pod here need not be in the caches yet.
fn arriving(node: &NodeName, snapshot: &Snapshot) -> Option<Block> {
    let migration = snapshot.migrations().filter(|migration| !migration.is_finished()).find(|migration| {
        let vmi = ObjectKey::new(&migration.key.namespace, &migration.vmi_name);
        let state = snapshot.virtual_machine_instance(&vmi).and_then(|vmi| vmi.migration_state.as_ref());
        state.is_some_and(|state| {
            state.target_node.as_deref() == Some(node.as_str())
                && state.migration_uid.as_deref() == Some(migration.uid.as_str())
        })
    })?;
    let message = format!("migration {} brings a VM to node {node}, and is not over", migration.key);
    Some(Block::new(BlockReason::MigrationIncoming, message))
}

fn termination_overdue(pod: &Pod) -> Block {
    let message = if pod.finalizers.is_empty() {
        format!("pod {} has not ended although its grace is over: look at the kubelet of its node", pod.key)
    } else {
        format!("pod {} has ended but its finalizers hold it: {}", pod.key, pod.finalizers.join(", "))
    };
    Block::new(BlockReason::TerminationOverdue, message)
}

fn evacuation_withdrawn(pod: &Pod, snapshot: &Snapshot) -> Block {
    let vmi = vmi_of(pod, snapshot).map_or_else(String::new, |vmi| vmi.key.to_string());
    let message = format!(
        "somebody took KubeVirt's evacuation of VirtualMachineInstance {vmi} back: change spec.drain to ask for it again, or move the VM by hand"
    );
    Block::new(BlockReason::EvacuationWithdrawn, message)
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
