//! Who works on what, while this replica leads: one worker for each accepted maintenance; none waits for another.

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
    NodeMaintenance, Phase,
    accept::{Accepted, Decision, OptionsOrigin, Refused, actor, decide, understand},
    context::Context,
    courier::Courier,
    news::News,
    order::{OrderWorker, forget, refuse},
    orphans::{self, Finding},
    requests::{self, WriteError, has_finalizer},
    status,
    worker::{Ended, Worker},
};
use crate::{
    cluster::{Concerned, Snapshot},
    config_map::ConfigMapError,
    metrics::{MaintenancePhase, Metrics, PhaseLabels},
    model::{DrainOptions, DrainOrder, NodeName, Trouble, Uid},
    node,
    order::{self, Duty, duty},
};

/// What failed is looked at again after this time.
const RETRY: Duration = Duration::from_secs(15);

/// The work of a leader.
pub(super) struct Supervisor {
    context: Context,
    workers: BTreeMap<Uid, Member>,
    /// Those that tell others of maintenances.
    couriers: BTreeMap<Uid, Member>,
    /// Drain orders that are being carried out, by id.
    orders: BTreeMap<Uid, Member>,
    /// Orders that are being refused or forgotten, or were, by id: the cache may not show it yet.
    settled_orders: BTreeSet<(Uid, bool)>,
    /// Orders that were carried out here, by id: the cache may not show that they have ended.
    ended_orders: BTreeSet<Uid>,
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
    /// The node it acts on; a courier acts on none.
    node: Option<NodeName>,
    name: String,
    wake: Arc<Notify>,
    task: task::Id,
}

/// A task that has ended.
enum Done {
    Worker(Uid),
    Courier(Uid),
    Order(Uid, Ended),
    SettledOrder((Uid, bool), Result<(), ConfigMapError>),
    Refusal(Uid, Result<(), WriteError>),
    Record(NodeName, Result<(), String>),
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
            if member.node.as_ref().is_some_and(|node| concerned.concerns(node))
                || concerned.maintenances.contains(&member.name)
            {
                member.wake.notify_one();
            }
        }
        if concerned.everything || !concerned.maintenances.is_empty() || !concerned.nodes.is_empty() {
            self.assign(snapshot.clone(), stopping);
            self.look_after_records(concerned, &snapshot);
        }
        if concerned.everything || !concerned.maintenances.is_empty() {
            count(self.context.cluster.metrics(), &snapshot);
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
        for order in self.orders_in_hand(&snapshot) {
            snapshot.put(as_begun(&order, self.context.clock.now()));
        }
        self.refused.retain(|uid, _| objects.iter().any(|object| uid_of(object) == *uid));
        self.send_couriers(&objects, stopping);
        for object in objects {
            let uid = uid_of(&object);
            if self.workers.contains_key(&uid) {
                continue;
            }
            match standing(&object, &snapshot) {
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
                    Decision::Refused(refused) => {
                        let now = self.context.clock.now();
                        let status = Some(status::of_refused(&object, &refused, now));
                        snapshot.put(NodeMaintenance { status, ..NodeMaintenance::clone(&object) });
                        self.refuse(object, refused);
                    }
                },
            }
        }
        self.assign_orders(&snapshot, stopping);
    }

    /// The orders that are being carried out here.
    fn orders_in_hand(&self, snapshot: &Snapshot) -> Vec<Arc<DrainOrder>> {
        snapshot.drain_orders().filter(|order| self.orders.contains_key(order.id())).cloned().collect()
    }

    /// Does its duty about every drain order; `snapshot` holds what was decided about maintenances just now.
    fn assign_orders(&mut self, snapshot: &Snapshot, stopping: &watch::Receiver<bool>) {
        let now = self.context.clock.now();
        let orders: Vec<_> = snapshot.drain_orders().cloned().collect();
        self.settled_orders.retain(|(id, _)| orders.iter().any(|order| order.id() == id));
        self.ended_orders.retain(|id| orders.iter().any(|order| order.id() == id));
        for order in orders {
            if self.orders.contains_key(order.id()) {
                continue;
            }
            match duty(&order, snapshot, now) {
                Duty::CarryOut(_) if self.ended_orders.contains(order.id()) => {}
                Duty::CarryOut(options) => self.carry_out(&order, options, stopping),
                Duty::Keep(None) => {}
                Duty::Keep(Some(at)) => self.retry_at = Some(self.retry_at.map_or(at, |retry| retry.min(at))),
                Duty::Refuse(refused) => {
                    let (reason, message) = (refused.reason, &refused.message);
                    tracing::info!(drain = %order.id(), node = %order.node(), reason, message, "not carried out");
                    self.settle_order(order, Some(refused));
                }
                Duty::Forget => self.settle_order(order, None),
            }
        }
    }

    fn carry_out(
        &mut self,
        order: &DrainOrder,
        options: Result<DrainOptions, Trouble>,
        stopping: &watch::Receiver<bool>,
    ) {
        tracing::info!(drain = %order.id(), node = %order.node(), "carries a drain order out");
        let wake = Arc::new(Notify::new());
        let worker = OrderWorker::new(self.context.clone(), order, options);
        let (woken, stopping, id) = (wake.clone(), stopping.clone(), order.id().clone());
        let task = self.tasks.spawn(async move {
            let ended = worker.run(woken, stopping).await;
            tracing::debug!(drain = %id, ?ended, "a worker has ended");
            Done::Order(id, ended)
        });
        let member = Member { node: Some(order.node().clone()), name: String::new(), wake, task: task.id() };
        self.orders.insert(order.id().clone(), member);
    }

    /// Refuses an order, or forgets it.
    fn settle_order(&mut self, order: Arc<DrainOrder>, refused: Option<order::Refused>) {
        let what = (order.id().clone(), refused.is_some());
        if !self.settled_orders.insert(what.clone()) {
            return;
        }
        let context = self.context.clone();
        self.tasks.spawn(async move {
            let settled = match refused {
                Some(refused) => refuse(&context, &order, refused).await,
                None => forget(&context, &order).await,
            };
            Done::SettledOrder(what, settled)
        });
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
        self.workers.insert(uid, Member { node: Some(node), name, wake, task: task.id() });
    }

    /// One for each maintenance of which others are still to be told something.
    fn send_couriers(&mut self, objects: &[Arc<NodeMaintenance>], stopping: &watch::Receiver<bool>) {
        let Some(delivery) = self.context.delivery.clone() else { return };
        for object in objects {
            let uid = uid_of(object);
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

    fn refuse(&mut self, object: Arc<NodeMaintenance>, refused: Refused) {
        tracing::info!(maintenance = object.name(), reason = refused.reason, message = refused.message, "not accepted");
        let uid = uid_of(&object);
        self.refused.insert(uid.clone(), object.metadata.generation);
        let context = self.context.clone();
        self.tasks.spawn(async move {
            let now = context.clock.now();
            let mut wanted = status::of_refused(&object, &refused, now);
            context.note(object.status.as_ref(), &mut wanted);
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
            let acts = |member: &Member| member.node.as_ref() == Some(&node.name);
            let worked_on = self.workers.values().any(acts);
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
        let failed = self.records.values().filter_map(|(_, state)| match state {
            RecordState::Failed(at) if *at > now => Some(*at),
            _ => None,
        });
        self.retry_at = failed.chain(self.retry_at).min();
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
            Ok(Done::Refusal(_, Ok(())) | Done::Record(_, Ok(())) | Done::SettledOrder(_, Ok(()))) => {}
            Ok(Done::SettledOrder(what, Err(error))) => {
                tracing::warn!(%error, "what became of a drain order could not be written");
                self.settled_orders.remove(&what);
                self.retry_later();
            }
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
                self.couriers.retain(|_, member| member.task != error.id());
                self.orders.retain(|_, member| member.task != error.id());
                self.retry_later();
            }
        }
        Concerned::default()
    }

    fn retry_later(&mut self) {
        let at = self.context.clock.now() + RETRY;
        self.retry_at = Some(self.retry_at.map_or(at, |retry| retry.min(at)));
    }
}

/// Shows how many maintenances there are, by phase.
pub(super) fn count(metrics: &Metrics, snapshot: &Snapshot) {
    let mut counts = ALL_PHASES.map(|phase| (phase, 0_i64));
    for object in snapshot.maintenances() {
        let phase = match object.status.as_ref().and_then(|status| status.phase) {
            None => MaintenancePhase::Undecided,
            Some(Phase::Running) => MaintenancePhase::Running,
            Some(Phase::Succeeded) => MaintenancePhase::Succeeded,
            Some(Phase::Failed) => MaintenancePhase::Failed,
        };
        counts.iter_mut().filter(|(counted, _)| *counted == phase).for_each(|(_, count)| *count += 1);
    }
    for (phase, count) in counts {
        metrics.maintenances.get_or_create(&PhaseLabels { phase }).set(count);
    }
}

const ALL_PHASES: [MaintenancePhase; 4] =
    [MaintenancePhase::Undecided, MaintenancePhase::Running, MaintenancePhase::Succeeded, MaintenancePhase::Failed];

/// Where a maintenance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Careen's finalizer alone proves nothing: it comes back with an object that is restored from a copy.
fn standing(object: &NodeMaintenance, snapshot: &Snapshot) -> Standing {
    let condition = object.condition(status::condition::ACCEPTED);
    let is_accepted = condition.is_some_and(|condition| condition.status == "True");
    let is_going = object.metadata.deletion_timestamp.is_some();
    if has_finalizer(object) && (is_going || is_accepted || is_recorded(object, snapshot)) {
        return Standing::Accepted;
    }
    match condition {
        _ if is_going => Standing::Going,
        _ if is_accepted => Standing::Accepted,
        Some(condition) if condition.observed_generation == object.metadata.generation => Standing::Refused,
        _ => Standing::Open,
    }
}

/// Whether its node says that it was taken out of service for it.
fn is_recorded(object: &NodeMaintenance, snapshot: &Snapshot) -> bool {
    let node = object.node().ok().and_then(|name| snapshot.node(&name).cloned());
    node.is_some_and(
        |node| matches!(node::Record::read(&node), node::RecordReading::Present(found) if found.actor == actor(object)),
    )
}

/// An accepted one whose spec was spoilt afterwards is still understood as far as its node goes: it must be restored.
fn accepted_before(object: &NodeMaintenance) -> Result<Accepted, Refused> {
    understand(object).or_else(|refused| {
        let mut plain = object.clone();
        plain.spec.drain = None;
        let accepted = understand(&plain).map_err(|_| refused)?;
        Ok(Accepted { origin: OptionsOrigin::Unknown, ..accepted })
    })
}

fn as_accepted(object: &NodeMaintenance, now: Timestamp) -> NodeMaintenance {
    let mut accepted = object.clone();
    accepted.status = Some(status::of_accepted(object, &status::Known::default(), now));
    accepted
}

fn as_begun(order: &DrainOrder, now: Timestamp) -> DrainOrder {
    let mut begun = order.clone();
    begun.status.started_at.get_or_insert(now);
    begun
}

fn uid_of(object: &NodeMaintenance) -> Uid {
    Uid(object.metadata.uid.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::testing::{self, at, maintenance},
        names::FINALIZER,
    };

    fn fresh() -> NodeMaintenance {
        maintenance("m", "node02")
    }

    fn held(mut object: NodeMaintenance) -> NodeMaintenance {
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        object
    }

    fn changed(mut object: NodeMaintenance) -> NodeMaintenance {
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        object
    }

    #[test]
    fn a_maintenance_stands_where_its_finalizer_and_its_condition_say() {
        let cases = [
            ("new", fresh(), Standing::Open),
            ("restored from a copy, finalizer and all", held(fresh()), Standing::Open),
            ("refused, and restored from a copy", held(fresh().decided(false)), Standing::Refused),
            ("deleted with a finalizer that came from a copy", held(fresh()).stopping(at(1)), Standing::Accepted),
            ("held", held(fresh().decided(true)), Standing::Accepted),
            ("accepted", fresh().decided(true), Standing::Accepted),
            ("accepted, its spec was changed", changed(fresh().decided(true)), Standing::Accepted),
            ("refused", fresh().decided(false), Standing::Refused),
            ("refused, its spec was changed", changed(fresh().decided(false)), Standing::Open),
            ("being restored", held(fresh().decided(true)).stopping(at(1)), Standing::Accepted),
            ("deleted before it was decided on", fresh().stopping(at(1)), Standing::Going),
            ("refused and deleted", fresh().decided(false).stopping(at(1)), Standing::Going),
            ("its finalizer was removed by force", fresh().decided(true).stopping(at(1)), Standing::Going),
        ];
        for (what, object, expected) in cases {
            assert_eq!(standing(&object, &Snapshot::default()), expected, "{what}");
        }
    }

    #[test]
    fn a_maintenance_whose_status_was_wiped_is_known_by_the_record_on_its_node() {
        let object = held(fresh());
        let record = node::Record::begin(&actor(&object), &testing::node("node02"), None, at(0));
        let snapshot = Snapshot::default().with(testing::node("node02").with_record(&record));
        assert_eq!(standing(&object, &snapshot), Standing::Accepted);
    }

    #[test]
    fn a_spec_that_was_spoilt_afterwards_is_understood_as_far_as_its_node_goes() {
        let mut object = fresh();
        object.spec.drain = Some(crate::drain::DrainSpec { timeout: Some("soon".to_owned()), ..Default::default() });
        assert_eq!(accepted_before(&object).unwrap().node.as_str(), "node02");
        object.spec.node_name = "NO NODE".to_owned();
        assert_eq!(accepted_before(&object).unwrap_err().reason, "InvalidSpec");
    }

    #[test]
    fn maintenances_are_counted_by_phase() {
        let of = |name: &str, phase| {
            let status = super::super::NodeMaintenanceStatus { phase, ..Default::default() };
            NodeMaintenance { status: Some(status), ..maintenance(name, "node02") }
        };
        let snapshot = Snapshot::default()
            .with(of("a", Some(Phase::Running)))
            .with(of("b", Some(Phase::Running)))
            .with(of("c", Some(Phase::Failed)))
            .with(of("d", None));
        let metrics = Metrics::default();
        let shown = || ALL_PHASES.map(|phase| metrics.maintenances.get_or_create(&PhaseLabels { phase }).get());
        count(&metrics, &snapshot);
        assert_eq!(shown(), [1, 2, 0, 1]);
        count(&metrics, &Snapshot::default());
        assert_eq!(shown(), [0; 4]);
    }
}
