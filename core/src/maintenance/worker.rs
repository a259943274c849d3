//! Carries one accepted maintenance out: the steps by which a node goes out of service and stays there.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    NodeMaintenance,
    accept::{Accepted, actor, understand},
    context::Context,
    intent::intent,
    news::News,
    orphans,
    overlay::Overlay,
    requests::{self, WriteError, has_finalizer},
    status::{self, Trouble},
};
use crate::{
    cluster::Snapshot,
    drain::{Drain, DrainPhase, Machine, Progress},
    lease::{NodeLease, NodeLeaseError, NodeLeaseState},
    model::{Node, Uid},
    node::{self, Actor, DrainStage, Lifecycle, Record, RecordReading},
};

/// Waits after something went wrong: from one second, doubling, to 30 seconds.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Two looks that nothing but time has caused are at least so far apart.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// A node Lease in other hands is looked at this often: nobody tells when it is let go.
const LEASE_RETRY: Duration = Duration::from_secs(10);

/// One accepted maintenance.
pub(super) struct Worker {
    pub(super) context: Context,
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) accepted: Accepted,
    pub(super) lease: Option<HeldNode>,
    pub(super) drain: Option<Drain>,
    pub(super) trouble: Option<Trouble>,
    pub(super) lease_errors: i32,
    /// Where the drain was at the last look.
    pub(super) last: Option<(DrainPhase, Progress)>,
    /// Since when it has been drained, as this worker saw it.
    pub(super) drained_at: Option<Timestamp>,
    retry: Retry,
    pub(super) status_due: Option<Timestamp>,
    /// Since when there is progress that the status does not show yet.
    pub(super) unshown_since: Option<Timestamp>,
    own_object: Overlay<NodeMaintenance>,
    own_node: Overlay<Node>,
}

/// The node Lease, while we have it.
pub(super) struct HeldNode {
    node_uid: Uid,
    pub(super) lease: NodeLease,
    state: watch::Receiver<NodeLeaseState>,
}

/// When something that went wrong is tried again.
#[derive(Default)]
struct Retry {
    failures: u32,
    at: Option<Timestamp>,
}

/// How a step went.
enum Progressed {
    /// It is done; the next may begin.
    Done,
    /// It has to be waited for.
    Waits,
}

/// Why a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The maintenance has gone, and the node is as it was.
    Gone,
    /// This replica stops; the next leader goes on.
    Stopped,
}

impl Worker {
    pub(super) fn new(context: Context, object: &NodeMaintenance, accepted: Accepted) -> Self {
        let actor = actor(object);
        Self {
            context,
            name: actor.name,
            uid: actor.uid,
            accepted,
            lease: None,
            drain: None,
            trouble: None,
            lease_errors: object.status.as_ref().and_then(|status| status.error_on_lease_count).unwrap_or(0),
            last: None,
            drained_at: None,
            retry: Retry::default(),
            status_due: None,
            unshown_since: None,
            own_object: Overlay::default(),
            own_node: Overlay::default(),
        }
    }

    /// Works until the maintenance is gone or this replica stops. `wake` tells of changes.
    pub(super) async fn run(mut self, wake: Arc<Notify>, mut stopping: watch::Receiver<bool>) -> Ended {
        loop {
            if *stopping.borrow() {
                self.settle().await;
                return Ended::Stopped;
            }
            let (snapshot, object) = self.look();
            let Some(object) = object else {
                // Removed by force: the record on the node says what is to be undone, and the leader finds it there.
                self.settle().await;
                self.show_blocked(None);
                return Ended::Gone;
            };
            if object.metadata.deletion_timestamp.is_some() {
                return self.stop(&wake, &mut stopping).await;
            }
            self.take_up_spec(&object);
            let wake_at = self.proceed(&object, &snapshot).await;
            let status_at = self.write_status().await;
            let now = self.now();
            let until = [wake_at, status_at, self.retry.at.filter(|at| *at > now)].into_iter().flatten().min();
            // Never twice at the same moment, whatever a step asks for.
            let until = until.map(|until| until.max(now + SHORTEST_WAIT));
            let clock = self.context.clock;
            tokio::select! {
                () = wake.notified() => {}
                outcome = next_outcome(&mut self.drain) => {
                    let (snapshot, _) = self.look();
                    let now = self.now();
                    if let Some(drain) = &mut self.drain {
                        drain.handle(outcome, &snapshot, now);
                    }
                }
                () = lease_changed(self.lease.as_mut()) => {}
                () = clock.sleep_until(until.unwrap_or(Timestamp::MAX)), if until.is_some() => {}
                _ = stopping.changed() => {}
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// The cluster as it is best known, our own last writes included, and the maintenance in it.
    pub(super) fn look(&mut self) -> (Snapshot, Option<Arc<NodeMaintenance>>) {
        let mut snapshot = self.context.cluster.snapshot();
        let node = snapshot.node(&self.accepted.node).map(|node| node.resource_version.clone());
        if let Some(node) = node.and_then(|version| self.own_node.over(&version).cloned()) {
            snapshot.put(Node::clone(&node));
        }
        let cached = snapshot.maintenance(&self.name).cloned();
        let object = cached.map(|cached| {
            let version = cached.metadata.resource_version.clone().unwrap_or_default();
            self.own_object.over(&version).cloned().unwrap_or(cached)
        });
        let object = object.filter(|object| object.metadata.uid.as_deref() == Some(self.uid.as_str()));
        (snapshot, object)
    }

    /// The actor in whose name this worker writes.
    pub(super) fn actor(&self) -> Actor {
        Actor { kind: node::ActorKind::Maintenance, name: self.name.clone(), uid: self.uid.clone() }
    }

    /// A changed spec: its drain options count from now on.
    fn take_up_spec(&mut self, object: &NodeMaintenance) {
        match understand(object) {
            Ok(accepted) => {
                if self.accepted.options != accepted.options {
                    self.accepted.options = accepted.options.clone();
                    self.retry = Retry::default();
                    if let Some(drain) = &mut self.drain {
                        drain.machine().set_options(accepted.options);
                    }
                }
                self.trouble.take_if(|trouble| trouble.reason == "InvalidSpec");
            }
            Err(refused) => self.trouble = Some(Trouble::new(refused.reason, refused.message)),
        }
    }

    /// Takes the steps in their order, up to the first that has to wait; returns when to look again at the latest.
    async fn proceed(&mut self, object: &NodeMaintenance, snapshot: &Snapshot) -> Option<Timestamp> {
        if self.retry.at.is_some_and(|at| at > self.now()) {
            return self.retry.at;
        }
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else {
            self.last = Some((DrainPhase::NodeGone, Progress::default()));
            self.drain = None;
            self.lease = None;
            let message = format!(
                "node {} is not in the cluster: it is taken out of service when it comes back",
                self.accepted.node
            );
            self.trouble = Some(Trouble::new("NodeGone", message));
            return None;
        };
        for step in [Step::HoldObject, Step::HoldNode, Step::TakeOut, Step::SayInProgress] {
            let outcome = match step {
                Step::HoldObject => self.hold_object(object).await,
                Step::HoldNode => self.hold_node(&node).await.map(|()| Progressed::Done),
                Step::TakeOut => self.take_out(object, &node, snapshot).await,
                Step::SayInProgress => self.say().await,
            };
            match outcome {
                Ok(Progressed::Done) => {}
                Ok(Progressed::Waits) => return self.retry.at,
                Err(trouble) => return Some(self.failed(trouble)),
            }
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.reason != "InvalidSpec") {
            self.trouble = None;
        }
        self.retry = Retry::default();
        self.drain_on(object)
    }

    /// The finalizer makes sure that the node is restored before the object goes.
    async fn hold_object(&mut self, object: &NodeMaintenance) -> Result<Progressed, Trouble> {
        if has_finalizer(object) {
            return Ok(Progressed::Done);
        }
        let from = self.cached_object_version();
        match requests::add_finalizer(self.context.cluster.client(), object).await {
            Ok(written) => {
                if let Some(written) = written {
                    self.wrote_object(&from, written);
                }
                self.context.publisher.of_maintenance(object, News::BeginMaintenance);
                Ok(Progressed::Done)
            }
            Err(WriteError::Changed(_)) => Ok(Progressed::Waits),
            Err(error) => Err(Trouble::new("ApiServerUnavailable", error.to_string())),
        }
    }

    /// The node Lease: nobody else acts on the node while we do.
    pub(super) async fn hold_node(&mut self, node: &Node) -> Result<(), Trouble> {
        if self.lease.take_if(|held| held.node_uid != node.uid).is_some() {
            // The node has left and come back: its Lease went with it, and what was asked of its pods means nothing.
            self.drain = None;
        }
        let state = self.lease.as_mut().map(|held| held.state.borrow_and_update().clone());
        match state {
            Some(NodeLeaseState::Held { until }) if tokio::time::Instant::now() < until => return Ok(()),
            Some(NodeLeaseState::Unconfirmed { error }) => {
                return Err(Trouble::new("NodeLeaseUnconfirmed", error.to_string()));
            }
            Some(NodeLeaseState::Lost { .. } | NodeLeaseState::Held { .. }) => {
                self.lease = None;
                self.drain = None;
            }
            None => {}
        }
        let client = self.context.cluster.client().clone();
        let holder = self.actor().lease_holder();
        match NodeLease::acquire(client, self.context.clock, &node.name, &node.uid, holder).await {
            Ok(lease) => {
                self.lease = Some(HeldNode { node_uid: node.uid.clone(), state: lease.state(), lease });
                Ok(())
            }
            Err(error) => {
                let reason = match &error {
                    NodeLeaseError::HeldBy { .. } => {
                        // It is looked at again and again; that is found once.
                        if self.trouble.as_ref().is_none_or(|trouble| trouble.reason != "NodeLeaseHeld") {
                            self.lease_errors = self.lease_errors.saturating_add(1);
                        }
                        "NodeLeaseHeld"
                    }
                    NodeLeaseError::NamespaceMissing { .. } => "NamespaceMissing",
                    NodeLeaseError::Forbidden { .. } => "Forbidden",
                    NodeLeaseError::Request { .. } => "ApiServerUnavailable",
                };
                Err(Trouble::new(reason, error.to_string()))
            }
        }
    }

    /// Record, cordon and taint, in one write; again whenever somebody undoes them.
    async fn take_out(
        &mut self,
        object: &NodeMaintenance,
        node: &Node,
        snapshot: &Snapshot,
    ) -> Result<Progressed, Trouble> {
        let settings = &self.context.settings;
        let now = self.now();
        let (key, kubevirt_key) = (settings.drain_taint_key.clone(), snapshot.kubevirt().node_drain_taint_key.clone());
        if let Some(left_behind) = orphans::left_behind(object, node, snapshot, &key)
            && orphans::is_gone(self.context.cluster.client(), &left_behind).await.unwrap_or(false)
        {
            self.inherit(node, left_behind).await?;
            return Ok(Progressed::Waits);
        }
        let wanted = intent(object, node, &key, now)?;
        let was_out = matches!(Record::read(node), RecordReading::Present(_)) || wanted.mended.is_some();
        let patch = |node: &Node| match intent(object, node, &key, now) {
            Ok(intent) => node::take_out(node, &intent.record, &key, &kubevirt_key),
            Err(_) => Ok(None),
        };
        let from = self.cached_node_version();
        let written = node::change(self.context.cluster.client(), node, patch).await;
        let written = written.map_err(|error| trouble_with_node(&error))?;
        if let Some(written) = written {
            tracing::info!(node = %written.name, maintenance = self.name, "cordoned, tainted and recorded");
            if was_out {
                let undone = format!(
                    "node {} was uncordoned or changed during its maintenance, and is taken out again",
                    written.name
                );
                let news = News::NodeTakenOutAgain(wanted.mended.unwrap_or(undone));
                self.context.publisher.of_maintenance(object, news);
            }
            self.wrote_node(&from, written);
        }
        Ok(Progressed::Done)
    }

    /// The record of a maintenance that was removed by force becomes ours: it says what the node was like before either.
    async fn inherit(&mut self, node: &Node, left_behind: Record) -> Result<(), Trouble> {
        tracing::warn!(node = %node.name, from = left_behind.actor.name, to = self.name, "takes the node over");
        let old = left_behind.actor.clone();
        let inherited = Record { actor: self.actor(), ..left_behind };
        let from = self.cached_node_version();
        let written = node::change(self.context.cluster.client(), node, |node| match Record::read(node) {
            RecordReading::Present(found) if found.actor == old => Ok(node::write_record(node, &inherited)),
            _ => Ok(None),
        });
        if let Some(written) = written.await.map_err(|error| trouble_with_node(&error))? {
            self.wrote_node(&from, written);
        }
        self.retry.at = Some(self.now());
        Ok(())
    }

    /// The node conditions.
    async fn say(&mut self) -> Result<Progressed, Trouble> {
        let (snapshot, object) = self.look();
        let Some(object) = object else { return Ok(Progressed::Waits) };
        let last = self.last.as_ref().map(|(phase, progress)| (phase, progress));
        let stage = match last {
            last if status::is_drained(&object, last) => DrainStage::Completed,
            Some((DrainPhase::TimedOut, _)) => DrainStage::Ended,
            _ => DrainStage::InProgress,
        };
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else { return Ok(Progressed::Waits) };
        let actor = self.actor();
        let wanted = Lifecycle { actor: &actor, drain: stage };
        let from = self.cached_node_version();
        let client = self.context.cluster.client();
        match node::set_conditions(client, &node, Some(&wanted), self.now()).await {
            Ok(written) => {
                if let Some(written) = written {
                    self.wrote_node(&from, written);
                }
                Ok(Progressed::Done)
            }
            Err(error) => Err(trouble_with_node(&error)),
        }
    }

    /// Drains, and goes on watching when that is done.
    fn drain_on(&mut self, object: &NodeMaintenance) -> Option<Timestamp> {
        let now = self.now();
        let (snapshot, _) = self.look();
        let node = snapshot.node(&self.accepted.node)?;
        let record = match Record::read(node) {
            RecordReading::Present(record) => record,
            RecordReading::Absent | RecordReading::Unreadable(_) => return None,
        };
        if self.drain.is_none() {
            let status = object.status.as_ref();
            // What arrives on a node that was drained has the whole time of the options.
            let started = status.and_then(|status| status.drained_at.or(status.started_at)).unwrap_or(record.since);
            let machine = Machine::new(
                self.accepted.node.clone(),
                self.accepted.options.clone(),
                self.context.settings.own_pod.clone(),
                started,
                record.evacuations,
            );
            let (cluster, hand_over) = (self.context.cluster.clone(), self.context.hand_over.clone());
            self.drain = Some(Drain::new(machine, cluster, self.accepted.node.clone(), self.actor(), hand_over));
        }
        let step = self.drain.as_mut()?.step(&snapshot, now);
        self.show_blocked(Some(&step.progress));
        let finished = step.phase == DrainPhase::Drained && !matches!(self.last, Some((DrainPhase::Drained, _)));
        if finished {
            self.drained_at = Some(now);
        }
        self.last = Some((step.phase, step.progress));
        // What has just become true is said on the node as well.
        if finished { Some(now) } else { step.wake_at }
    }

    /// Notes what went wrong; returns when it is tried again.
    pub(super) fn failed(&mut self, trouble: Trouble) -> Timestamp {
        let wait = if trouble.reason == "NodeLeaseHeld" {
            LEASE_RETRY
        } else {
            Duration::from_secs(1).saturating_mul(1 << self.retry.failures.min(5)).min(LONGEST_RETRY)
        };
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(maintenance = self.name, node = %self.accepted.node, reason = trouble.reason, message = trouble.message, "waits");
        }
        self.retry.failures = self.retry.failures.saturating_add(1);
        self.trouble = Some(trouble);
        let at = self.now() + wait;
        self.retry.at = Some(at);
        at
    }

    /// What failed before says nothing about what comes now.
    pub(super) fn begin_anew(&mut self) {
        self.retry = Retry::default();
    }

    pub(super) fn cached_object_version(&self) -> String {
        let cached = self.context.cluster.snapshot().maintenance(&self.name).cloned();
        cached.and_then(|cached| cached.metadata.resource_version.clone()).unwrap_or_default()
    }

    /// Takes up the answer to a write; if the watch has moved on meanwhile, what it shows counts.
    pub(super) fn wrote_object(&mut self, from: &str, written: NodeMaintenance) {
        if self.cached_object_version() == from {
            let version = written.metadata.resource_version.clone().unwrap_or_default();
            self.own_object.wrote(from, &version, written);
        }
    }

    fn cached_node_version(&self) -> String {
        let cached = self.context.cluster.snapshot().node(&self.accepted.node).cloned();
        cached.map(|cached| cached.resource_version.clone()).unwrap_or_default()
    }

    /// As [`Self::wrote_object`], for the node.
    fn wrote_node(&mut self, from: &str, written: Node) {
        if self.cached_node_version() == from {
            let version = written.resource_version.clone();
            self.own_node.wrote(from, &version, written);
        }
    }

    /// Starts nothing more, and waits for the requests that are on their way.
    pub(super) async fn settle(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.settle().await;
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    HoldObject,
    HoldNode,
    TakeOut,
    SayInProgress,
}

pub(super) fn trouble_with_node(error: &node::NodeError) -> Trouble {
    let reason = match error {
        node::NodeError::Forbidden { .. } => "Forbidden",
        node::NodeError::Refused(_) | node::NodeError::Rejected { .. } => "NodeNotChanged",
        node::NodeError::Gone { .. } | node::NodeError::Replaced { .. } => "NodeGone",
        node::NodeError::Timeout { .. } | node::NodeError::Unreachable { .. } | node::NodeError::Contended { .. } => {
            "ApiServerUnavailable"
        }
    };
    Trouble::new(reason, error.to_string())
}

async fn next_outcome(drain: &mut Option<Drain>) -> crate::drain::Outcome {
    match drain {
        Some(drain) => drain.next().await,
        None => std::future::pending().await,
    }
}

async fn lease_changed(held: Option<&mut HeldNode>) {
    let changed = match held {
        Some(held) => held.state.changed().await,
        None => std::future::pending().await,
    };
    if changed.is_err() {
        // Its task has ended, and said before what became of the Lease.
        std::future::pending::<()>().await;
    }
}
