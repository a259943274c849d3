//! Who works on what, while this replica leads: one worker for each accepted maintenance; none waits for another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::{self, JoinError, JoinSet},
};

use super::{
    NodeMaintenance, Phase,
    accept::{Accepted, Decision, Refused, decide, understand},
    context::Context,
    news::News,
    orphans::{self, Finding},
    requests::{self, WriteError, has_finalizer},
    status,
    worker::Worker,
};
use crate::{
    cluster::{Concerned, Snapshot},
    metrics::{MaintenancePhase, PhaseLabels},
    model::{NodeName, Uid},
};

/// What failed is looked at again after this time.
const RETRY: Duration = Duration::from_secs(15);

/// The work of a leader.
pub(super) struct Supervisor {
    context: Context,
    workers: BTreeMap<Uid, Member>,
    tasks: JoinSet<Done>,
    /// Refusals that are being written, or were, by UID and generation: the cache may not show them yet.
    refused: BTreeMap<Uid, Option<i64>>,
    /// Records that were looked after, by node: the text, and when to look again.
    records: BTreeMap<NodeName, (String, RecordState)>,
    retry_at: Option<Timestamp>,
}

#[derive(PartialEq, Eq)]
enum RecordState {
    Reported,
    BeingRestored,
    Failed(Timestamp),
}

struct Member {
    node: NodeName,
    name: String,
    wake: Arc<Notify>,
    task: task::Id,
}

/// A task that has ended.
enum Done {
    Worker(Uid),
    Refusal(Uid, Result<(), WriteError>),
    Record(NodeName, Result<(), String>),
}

impl Supervisor {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            workers: BTreeMap::new(),
            tasks: JoinSet::new(),
            refused: BTreeMap::new(),
            records: BTreeMap::new(),
            retry_at: None,
        }
    }

    /// Works until told to stop, then waits until the workers have finished what is on its way. Dropped, it stops at once.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut changes = self.context.cluster.changes();
        let mut concerned = Concerned::everything();
        loop {
            if *stopping.borrow() {
                break;
            }
            self.take_up(&concerned, &stopping);
            let clock = self.context.clock;
            let retry_at = self.retry_at;
            concerned = tokio::select! {
                concerned = changes.next() => concerned,
                Some(done) = self.tasks.join_next() => self.take_up_done(done),
                () = clock.sleep_until(retry_at.unwrap_or(Timestamp::MAX)), if retry_at.is_some() => {
                    self.retry_at = None;
                    Concerned::everything()
                }
                _ = stopping.changed() => Concerned::default(),
            };
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn take_up(&mut self, concerned: &Concerned, stopping: &watch::Receiver<bool>) {
        let snapshot = self.context.cluster.snapshot();
        for member in self.workers.values() {
            if concerned.concerns(&member.node) || concerned.maintenances.contains(&member.name) {
                member.wake.notify_one();
            }
        }
        if concerned.everything || !concerned.maintenances.is_empty() || !concerned.nodes.is_empty() {
            self.assign(snapshot.clone(), stopping);
            self.look_after_records(concerned, &snapshot);
        }
        if concerned.everything || !concerned.maintenances.is_empty() {
            self.count(&snapshot);
        }
    }

    /// Decides on those that are not decided, oldest first, and gives every accepted one a worker.
    fn assign(&mut self, mut snapshot: Snapshot, stopping: &watch::Receiver<bool>) {
        let mut objects: Vec<_> = snapshot.maintenances().cloned().collect();
        objects.sort_by_key(|object| (object.metadata.creation_timestamp.clone().map(|time| time.0), uid_of(object)));
        // What was decided here but is not in the cache yet counts for the others.
        for object in &objects {
            if self.workers.contains_key(&uid_of(object)) {
                snapshot.put(as_accepted(object, self.context.clock.now()));
            }
        }
        self.refused.retain(|uid, _| objects.iter().any(|object| uid_of(object) == *uid));
        for object in objects {
            let uid = uid_of(&object);
            if self.workers.contains_key(&uid) {
                continue;
            }
            match standing(&object) {
                Standing::Accepted => match accepted_before(&object) {
                    Ok(accepted) => self.employ(&object, accepted, stopping),
                    Err(refused) => {
                        let message = refused.message;
                        tracing::error!(
                            maintenance = object.name(),
                            message,
                            "accepted, but its spec cannot be understood"
                        );
                    }
                },
                Standing::Refused | Standing::Going => {}
                Standing::Open if self.refused.get(&uid) == Some(&object.metadata.generation) => {}
                Standing::Open => match decide(&object, &snapshot) {
                    Decision::Accepted(accepted) => {
                        tracing::info!(maintenance = object.name(), node = %accepted.node, "accepted");
                        snapshot.put(as_accepted(&object, self.context.clock.now()));
                        self.employ(&object, accepted, stopping);
                    }
                    Decision::Refused(refused) => self.refuse(object, refused),
                },
            }
        }
    }

    fn employ(&mut self, object: &NodeMaintenance, accepted: Accepted, stopping: &watch::Receiver<bool>) {
        let wake = Arc::new(Notify::new());
        let uid = uid_of(object);
        let (name, node) = (object.name().to_owned(), accepted.node.clone());
        let worker = Worker::new(self.context.clone(), object, accepted);
        let (woken, stopping, done) = (wake.clone(), stopping.clone(), uid.clone());
        let task = self.tasks.spawn(async move {
            let ended = worker.run(woken, stopping).await;
            tracing::debug!(uid = %done, ?ended, "a worker has ended");
            Done::Worker(done)
        });
        self.workers.insert(uid, Member { node, name, wake, task: task.id() });
    }

    fn refuse(&mut self, object: Arc<NodeMaintenance>, refused: Refused) {
        tracing::info!(maintenance = object.name(), reason = refused.reason, message = refused.message, "not accepted");
        let uid = uid_of(&object);
        self.refused.insert(uid.clone(), object.metadata.generation);
        let context = self.context.clone();
        self.tasks.spawn(async move {
            let now = context.clock.now();
            let wanted = status::of_refused(&object, &refused, now);
            let written = match status::patch(object.status.as_ref(), &wanted, now) {
                Some(patch) => requests::write_status(context.cluster.client(), &object, patch).await.map(drop),
                None => Ok(()),
            };
            if written.is_ok() {
                context.publisher.of_maintenance(&object, News::FailedMaintenance(refused.message));
            }
            Done::Refusal(uid, written)
        });
    }

    /// Records of maintenances that are gone.
    fn look_after_records(&mut self, concerned: &Concerned, snapshot: &Snapshot) {
        let now = self.context.clock.now();
        let nodes: Vec<_> = snapshot.nodes().filter(|node| concerned.concerns(&node.name)).cloned().collect();
        for node in nodes {
            let Some(text) = node.record.clone() else {
                self.records.remove(&node.name);
                continue;
            };
            let known = self.records.get(&node.name).is_some_and(|(known, state)| {
                *known == text && !matches!(state, RecordState::Failed(at) if *at <= now)
            });
            // A record that is obeyed stands in for a maintenance that this replica has a worker for no longer.
            let worked_on = self.workers.values().any(|member| member.node == node.name);
            if known || worked_on {
                continue;
            }
            match orphans::find(&node, snapshot, &self.context.settings.drain_taint_key) {
                Finding::Fine => {}
                Finding::Report(why) => {
                    self.context.cluster.metrics().rejected_records.inc();
                    self.context.publisher.of_node(&node, News::RecordRejected(why));
                    self.records.insert(node.name.clone(), (text, RecordState::Reported));
                }
                Finding::Restore(record) => {
                    self.records.insert(node.name.clone(), (text, RecordState::BeingRestored));
                    let context = self.context.clone();
                    self.tasks.spawn(async move {
                        let restored = orphans::restore(&context, &node, &record).await;
                        Done::Record(node.name.clone(), restored)
                    });
                }
            }
        }
    }

    fn take_up_done(&mut self, done: Result<Done, JoinError>) -> Concerned {
        match done {
            Ok(Done::Worker(uid)) => {
                self.workers.remove(&uid);
                return Concerned::everything();
            }
            Ok(Done::Refusal(_, Ok(())) | Done::Record(_, Ok(()))) => {}
            Ok(Done::Refusal(uid, Err(error))) => {
                tracing::warn!(%error, "a refusal could not be written");
                self.refused.remove(&uid);
                self.retry_later();
            }
            Ok(Done::Record(node, Err(error))) => {
                tracing::warn!(%node, error, "a node whose maintenance is gone could not be restored yet");
                let at = self.context.clock.now() + RETRY;
                if let Some((_, state)) = self.records.get_mut(&node) {
                    *state = RecordState::Failed(at);
                }
                self.retry_later();
            }
            Err(error) => {
                // A fault of ours. If it was a worker, another takes its place, from what is in the cluster.
                tracing::error!(%error, "a task of the controller failed");
                self.workers.retain(|_, member| member.task != error.id());
                self.retry_later();
            }
        }
        Concerned::default()
    }

    fn retry_later(&mut self) {
        let at = self.context.clock.now() + RETRY;
        self.retry_at = Some(self.retry_at.map_or(at, |retry| retry.min(at)));
    }

    fn count(&self, snapshot: &Snapshot) {
        let mut counts = BTreeMap::new();
        for phase in ALL_PHASES {
            counts.insert(phase as u8, (phase, 0_i64));
        }
        for object in snapshot.maintenances() {
            let phase = match object.status.as_ref().and_then(|status| status.phase) {
                None => MaintenancePhase::Undecided,
                Some(Phase::Running) => MaintenancePhase::Running,
                Some(Phase::Succeeded) => MaintenancePhase::Succeeded,
                Some(Phase::Failed) => MaintenancePhase::Failed,
            };
            counts.entry(phase as u8).or_insert((phase, 0)).1 += 1;
        }
        for (phase, count) in counts.into_values() {
            self.context.cluster.metrics().maintenances.get_or_create(&PhaseLabels { phase }).set(count);
        }
    }
}

const ALL_PHASES: [MaintenancePhase; 4] =
    [MaintenancePhase::Undecided, MaintenancePhase::Running, MaintenancePhase::Succeeded, MaintenancePhase::Failed];

/// Where a maintenance stands.
enum Standing {
    /// It was accepted, and holds its node until it is gone.
    Accepted,
    /// It was refused, and its spec has not changed since.
    Refused,
    /// It goes without ever having been accepted.
    Going,
    /// It is to be decided.
    Open,
}

fn standing(object: &NodeMaintenance) -> Standing {
    let condition = object.condition(status::condition::ACCEPTED);
    let is_accepted = condition.is_some_and(|condition| condition.status == "True");
    if has_finalizer(object) || (is_accepted && object.metadata.deletion_timestamp.is_none()) {
        return Standing::Accepted;
    }
    if object.metadata.deletion_timestamp.is_some() {
        return Standing::Going;
    }
    match condition {
        Some(condition) if condition.observed_generation == object.metadata.generation => Standing::Refused,
        _ => Standing::Open,
    }
}

/// An accepted one whose spec was spoilt afterwards is still understood as far as its node goes: it must be restored.
fn accepted_before(object: &NodeMaintenance) -> Result<Accepted, Refused> {
    understand(object).or_else(|refused| {
        let mut plain = object.clone();
        plain.spec.drain = None;
        understand(&plain).map_err(|_| refused)
    })
}

fn as_accepted(object: &NodeMaintenance, now: Timestamp) -> NodeMaintenance {
    let mut accepted = object.clone();
    accepted.status = Some(status::of_accepted(object, &status::Known::default(), now));
    accepted
}

fn uid_of(object: &NodeMaintenance) -> Uid {
    Uid(object.metadata.uid.clone().unwrap_or_default())
}
