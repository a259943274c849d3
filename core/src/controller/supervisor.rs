//! Who works on what, while this replica leads: one worker for each accepted maintenance; none waits for another.

mod orders;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::{self, JoinError, JoinSet},
};

use super::{
    context::{Context, RETRY},
    courier::Courier,
    gauges,
    left_behind::{self, Reply},
    records::Records,
    refusal::{self, RefusalError},
    requests::{self, WriteError},
    standing::{Standing, accepted_before, standing},
    worker::{Ended, Worker},
};
use crate::{
    cluster::{Concerned, Snapshot},
    maintenance::{
        accept::{Accepted, Decision, decide},
        status,
    },
    model::{Node, NodeMaintenance, NodeName, Record, RecordReading, Uid, condition},
    plan::Refused,
};

/// The watch of nodes shows a change within this time, as a rule.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);

/// The work of a leader.
pub(super) struct Supervisor {
    context: Context,
    workers: BTreeMap<Uid, Member>,
    /// Those that tell others of maintenances.
    couriers: BTreeMap<Uid, Member>,
    /// Drain orders that are being carried out, by id.
    orders: BTreeMap<Uid, Member>,
    /// Orders that are being refused or forgotten, or were, by id: the cache may not show it yet.
    settled_orders: BTreeSet<(Uid, Settled)>,
    /// Orders that were carried out here, by id: the cache may not show that they have ended, or their record.
    ended_orders: BTreeSet<Uid>,
    tasks: JoinSet<Done>,
    /// Refusals that are being written, or were, by UID and generation: the cache may not show them yet.
    refused: BTreeMap<Uid, Option<i64>>,
    /// Those that name nothing that could be a node, as they were when that was logged.
    nameless: BTreeMap<Uid, Nameless>,
    /// What has failed, and when it may be tried again: not at whatever happens before.
    failed: Vec<(Timestamp, Failed)>,
    records: Records,
    retry_at: Option<Timestamp>,
}

/// What could not be done about something that nobody carries out.
enum Failed {
    Refusal(Uid),
    SettledOrder((Uid, Settled)),
    LetGo(Uid),
}

/// What became of an order that nobody carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Settled {
    Refused,
    Forgotten,
}

/// A maintenance that names nothing that could be a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nameless {
    generation: Option<i64>,
    is_stopping: bool,
}

struct Member {
    /// The node it acts on; a courier acts on none.
    node: Option<NodeName>,
    name: String,
    wake: Arc<Notify>,
    task: task::Id,
}

impl Member {
    fn is_concerned(&self, concerned: &Concerned) -> bool {
        // A reader that has fallen behind is told of everything, and of nothing by its name.
        concerned.everything
            || self.node.as_ref().is_some_and(|node| concerned.concerns(node))
            || concerned.maintenances.contains(&self.name)
    }
}

/// A task that has ended.
enum Done {
    Worker(Uid),
    Courier(Uid),
    Order(Uid, Ended),
    SettledOrder((Uid, Settled), Result<(), RefusalError>),
    Refusal(Uid, Result<(), RefusalError>),
    LetGo(Uid, Result<(), WriteError>),
    Record(Arc<Node>, Result<Reply, String>),
}

impl Supervisor {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            workers: BTreeMap::new(),
            couriers: BTreeMap::new(),
            orders: BTreeMap::new(),
            settled_orders: BTreeSet::new(),
            ended_orders: BTreeSet::new(),
            tasks: JoinSet::new(),
            refused: BTreeMap::new(),
            nameless: BTreeMap::new(),
            failed: Vec::new(),
            records: Records::default(),
            retry_at: None,
        }
    }

    /// Works until told to stop, then waits until the workers have finished what is on its way. Dropped, it stops at
    /// once.
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
                biased;
                Some(done) = self.tasks.join_next() => self.take_up_done(done),
                () = clock.sleep_until(retry_at.unwrap_or(Timestamp::MAX)), if retry_at.is_some() => {
                    self.retry_at = None;
                    Concerned::everything()
                }
                concerned = changes.next() => concerned,
                _ = stopping.changed() => Concerned::default(),
            };
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn take_up(&mut self, concerned: &Concerned, stopping: &watch::Receiver<bool>) {
        let snapshot = self.context.cluster.snapshot();
        for member in self.workers.values().chain(self.couriers.values()).chain(self.orders.values()) {
            if member.is_concerned(concerned) {
                member.wake.notify_one();
            }
        }
        if concerned.everything || !concerned.maintenances.is_empty() || !concerned.nodes.is_empty() {
            self.assign(snapshot.clone(), stopping);
            self.look_after_records(concerned, &snapshot);
        }
        if concerned.everything || !concerned.maintenances.is_empty() {
            gauges::count_maintenances(self.context.cluster.metrics(), &snapshot);
        }
    }

    /// Decides on those that are not decided, oldest first, and gives every accepted one a worker.
    fn assign(&mut self, mut snapshot: Snapshot, stopping: &watch::Receiver<bool>) {
        let mut objects: Vec<_> = snapshot.maintenances().cloned().collect();
        objects.sort_by_key(|object| (object.metadata.creation_timestamp.clone().map(|time| time.0), object.uid()));
        // What was decided here but is not in the cache yet counts for the others.
        for object in &objects {
            if !object.says(condition::ACCEPTED) && self.workers.contains_key(&object.uid()) {
                snapshot.put(as_accepted(object, self.context.clock.now()));
            }
        }
        self.count_orders_in_hand(&mut snapshot);
        self.try_again();
        self.refused.retain(|uid, _| objects.iter().any(|object| object.uid() == *uid));
        self.nameless.retain(|uid, _| objects.iter().any(|object| object.uid() == *uid));
        self.send_couriers(&objects, stopping);
        for object in objects {
            let uid = object.uid();
            if self.workers.contains_key(&uid) {
                continue;
            }
            match standing(&object, &snapshot) {
                Standing::Accepted => match accepted_before(&object) {
                    Ok(accepted) => self.employ(&object, accepted, stopping),
                    Err(refused) => self.names_no_node(object, &refused),
                },
                Standing::Refused | Standing::Going => {}
                Standing::Open if self.refused.get(&uid) == Some(&object.metadata.generation) => {}
                Standing::Open => match decide(&object, &snapshot) {
                    Decision::Accepted(accepted) => {
                        tracing::info!(maintenance = object.name(), node = %accepted.node, "accepted");
                        snapshot.put(as_accepted(&object, self.context.clock.now()));
                        self.employ(&object, accepted, stopping);
                    }
                    Decision::Refused(refused) => {
                        let now = self.context.clock.now();
                        let status = Some(status::of_refused(&object, &refused, now));
                        let known = snapshot.clone();
                        snapshot.put(NodeMaintenance { status, ..NodeMaintenance::clone(&object) });
                        self.refuse(object, known);
                    }
                },
            }
        }
        self.assign_orders(snapshot, stopping);
    }

    fn employ(&mut self, object: &NodeMaintenance, accepted: Accepted, stopping: &watch::Receiver<bool>) {
        let wake = Arc::new(Notify::new());
        let uid = object.uid();
        let (name, node) = (object.name().to_owned(), accepted.node.clone());
        let worker = Worker::new(self.context.clone(), object, accepted);
        let (woken, stopping, done) = (wake.clone(), stopping.clone(), uid.clone());
        let task = self.tasks.spawn(async move {
            let ended = worker.run(woken, stopping).await;
            tracing::debug!(uid = %done, ?ended, "a worker has ended");
            Done::Worker(done)
        });
        self.workers.insert(uid, Member { node: Some(node), name, wake, task: task.id() });
    }

    /// One for each maintenance of which others are still to be told something.
    fn send_couriers(&mut self, objects: &[Arc<NodeMaintenance>], stopping: &watch::Receiver<bool>) {
        let Some(delivery) = self.context.delivery.clone() else { return };
        for object in objects {
            let uid = object.uid();
            let notices = object.status.as_ref().and_then(|status| status.notices.as_ref());
            let waits = notices.is_some_and(|notices| notices.waiting(0).next().is_some());
            if !waits || self.couriers.contains_key(&uid) {
                continue;
            }
            let wake = Arc::new(Notify::new());
            let courier = Courier::new(self.context.clone(), delivery.clone(), object);
            let (woken, stopping, done) = (wake.clone(), stopping.clone(), uid.clone());
            let task = self.tasks.spawn(async move {
                courier.run(woken, stopping).await;
                Done::Courier(done)
            });
            let name = object.name().to_owned();
            self.couriers.insert(uid, Member { node: None, name, wake, task: task.id() });
        }
    }

    /// Refuses one that is to be refused by what is known.
    fn refuse(&mut self, object: Arc<NodeMaintenance>, known: Snapshot) {
        let uid = object.uid();
        self.refused.insert(uid.clone(), object.metadata.generation);
        let context = self.context.clone();
        self.tasks
            .spawn(async move { Done::Refusal(uid, refusal::refuse_maintenance(&context, &object, known).await) });
    }

    /// One that counts as accepted by its finalizer or its status, which came from a copy: no node has such a name, so
    /// nothing can have been done because of it, and it may go.
    fn names_no_node(&mut self, object: Arc<NodeMaintenance>, refused: &Refused) {
        let (uid, is_stopping) = (object.uid(), object.is_stopping());
        let seen = Nameless { generation: object.metadata.generation, is_stopping };
        if self.nameless.insert(uid.clone(), seen) == Some(seen) {
            return;
        }
        tracing::error!(maintenance = object.name(), message = refused.message, is_stopping, "names no node");
        if !is_stopping {
            return;
        }
        let client = self.context.cluster.client().clone();
        self.tasks.spawn(async move { Done::LetGo(uid, requests::remove_finalizer(&client, &object).await) });
    }

    /// Records of maintenances that are gone.
    fn look_after_records(&mut self, concerned: &Concerned, snapshot: &Snapshot) {
        let now = self.context.clock.now();
        let is_in_hand = |node: &Node| {
            // A record that is obeyed stands in for a maintenance that this replica has a worker for no longer.
            let works = |member: &Member| member.node.as_ref() == Some(&node.name);
            let drains = |id: &Uid| self.orders.contains_key(id) || self.ended_orders.contains(id);
            self.workers.values().any(works) || recorded_by(node).is_some_and(|id| drains(&id))
        };
        for (node, question) in self.records.look(concerned, snapshot, &self.context, is_in_hand) {
            let context = self.context.clone();
            self.tasks.spawn(async move {
                let reply = left_behind::ask(&context, &node, &question).await;
                Done::Record(node, reply)
            });
        }
        self.look_again_at(self.records.look_again_at(now));
    }

    fn take_up_done(&mut self, done: Result<Done, JoinError>) -> Concerned {
        match done {
            Ok(Done::Worker(uid)) => {
                self.workers.remove(&uid);
                return Concerned::everything();
            }
            Ok(Done::Courier(uid)) => {
                self.couriers.remove(&uid);
            }
            Ok(Done::Order(id, ended)) => {
                self.orders.remove(&id);
                if ended == Ended::Gone {
                    self.ended_orders.insert(id);
                }
                return Concerned::everything();
            }
            Ok(Done::Refusal(_, Ok(())) | Done::LetGo(_, Ok(())) | Done::SettledOrder(_, Ok(()))) => {}
            Ok(Done::Record(node, reply)) => {
                self.records.take_up(&self.context, &node, reply);
                self.look_again_at(self.records.look_again_at(self.context.clock.now()));
            }
            Ok(Done::SettledOrder(what, Err(error))) => {
                tracing::warn!(%error, "what becomes of a drain order is not written");
                self.again_after(pause_after(&error), Failed::SettledOrder(what));
            }
            Ok(Done::Refusal(uid, Err(error))) => {
                tracing::warn!(%error, "not refused");
                self.again_after(pause_after(&error), Failed::Refusal(uid));
            }
            Ok(Done::LetGo(uid, Err(error))) => {
                tracing::warn!(%error, "a NodeMaintenance that names no node could not be let go");
                self.again_after(RETRY, Failed::LetGo(uid));
            }
            Err(error) => {
                // A fault of ours. If it was a worker, another takes its place, from what is in the cluster.
                tracing::error!(%error, "a task of the controller failed");
                self.workers.retain(|_, member| member.task != error.id());
                self.couriers.retain(|_, member| member.task != error.id());
                self.orders.retain(|_, member| member.task != error.id());
                self.retry_later();
            }
        }
        Concerned::default()
    }

    fn again_after(&mut self, pause: Duration, failed: Failed) {
        let at = self.context.clock.now() + pause;
        self.failed.push((at, failed));
        self.look_again_at(Some(at));
    }

    /// Decides again on what has failed and may be tried again.
    fn try_again(&mut self) {
        let now = self.context.clock.now();
        for (at, failed) in std::mem::take(&mut self.failed) {
            match failed {
                failed if at > now => {
                    self.failed.push((at, failed));
                    // The one timer may have been for something else.
                    self.look_again_at(Some(at));
                }
                Failed::Refusal(uid) => drop(self.refused.remove(&uid)),
                Failed::SettledOrder(what) => drop(self.settled_orders.remove(&what)),
                Failed::LetGo(uid) => drop(self.nameless.remove(&uid)),
            }
        }
    }

    fn retry_later(&mut self) {
        self.look_again_at(Some(self.context.clock.now() + RETRY));
    }

    fn look_again_at(&mut self, at: Option<Timestamp>) {
        self.retry_at = self.retry_at.into_iter().chain(at).min();
    }
}

/// How long to wait before something is decided on again.
fn pause_after(error: &RefusalError) -> Duration {
    match error {
        RefusalError::NodeChanged(_) => SHOWS_WITHIN,
        RefusalError::NodeUnknown { .. } | RefusalError::Maintenance(_) | RefusalError::Order(_) => RETRY,
    }
}

fn as_accepted(object: &NodeMaintenance, now: Timestamp) -> NodeMaintenance {
    let mut accepted = object.clone();
    accepted.status = Some(status::of_accepted(object, &status::Known::default(), now));
    accepted
}

/// Who acts on a node, by its record.
fn recorded_by(node: &Node) -> Option<Uid> {
    match Record::read(node) {
        RecordReading::Present(record) => Some(record.actor.uid),
        RecordReading::Absent | RecordReading::Unreadable(_) => None,
    }
}
