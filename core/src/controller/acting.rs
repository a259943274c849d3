//! What whoever acts on a node has, be it for a maintenance or for a drain order: the node Lease, the drain, and what went
//! wrong.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{context::Context, overlay::Overlay};
use crate::{
    cluster::Snapshot,
    drain::{Drain, DrainPhase, Machine, Outcome, Progress, Step},
    lease::{NodeLease, NodeLeaseError, NodeLeaseState},
    migration::take_back,
    model::{Actor, DrainOptions, Node, NodeName, Record, RecordReading, Trouble, TroubleReason, Uid},
    node::{self, DrainStage, Lifecycle, NodeError},
};

/// Waits after something went wrong: from one second, doubling, to 30 seconds.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A node Lease in other hands is looked at this often: nobody tells when it is let go.
const LEASE_RETRY: Duration = Duration::from_secs(10);

/// One that acts on a node.
pub(super) struct Acting {
    pub(super) context: Context,
    pub(super) node: NodeName,
    /// In whose name.
    pub(super) actor: Actor,
    pub(super) lease: Option<HeldNode>,
    pub(super) drain: Option<Drain>,
    pub(super) trouble: Option<Trouble>,
    /// How many times the node Lease was found in other hands.
    pub(super) lease_errors: i32,
    /// Where the drain was at the last look.
    pub(super) last: Option<(DrainPhase, Progress)>,
    /// When the drain has to be looked at again, if nothing changes before.
    pub(super) wake_at: Option<Timestamp>,
    pub(super) retry: Retry,
    /// The record of a drain as it was last seen or written: it is put back when somebody removes it.
    record: Option<Record>,
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
pub(super) struct Retry {
    failures: u32,
    pub(super) at: Option<Timestamp>,
}

impl Acting {
    pub(super) fn new(context: Context, node: NodeName, actor: Actor) -> Self {
        Self {
            context,
            node,
            actor,
            lease: None,
            drain: None,
            trouble: None,
            lease_errors: 0,
            last: None,
            wake_at: None,
            retry: Retry::default(),
            record: None,
            own_node: Overlay::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// The cluster as it is best known, our own last write of the node included.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.context.cluster.snapshot();
        let node = snapshot.node(&self.node).map(|node| node.resource_version.clone());
        if let Some(node) = node.and_then(|version| self.own_node.over(&version).cloned()) {
            snapshot.put(Node::clone(&node));
        }
        snapshot
    }

    pub(super) fn cached_node_version(&self) -> String {
        let cached = self.context.cluster.snapshot().node(&self.node).cloned();
        cached.map(|cached| cached.resource_version.clone()).unwrap_or_default()
    }

    /// Takes up the answer to a write; if the watch has moved on meanwhile, what it shows counts, unless that is an
    /// earlier write of ours.
    pub(super) fn wrote_node(&mut self, from: &str, written: Node) {
        let cached = self.cached_node_version();
        if cached == from || self.own_node.has_been(&cached) {
            let version = written.resource_version.clone();
            self.own_node.wrote(&cached, &version, written);
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
                return Err(Trouble::new(TroubleReason::NodeLeaseUnconfirmed, error.to_string()));
            }
            Some(NodeLeaseState::Lost { .. } | NodeLeaseState::Held { .. }) => {
                self.lease = None;
                self.drain = None;
            }
            None => {}
        }
        let client = self.context.cluster.client().clone();
        let holder = self.actor.lease_holder();
        match NodeLease::acquire(client, self.context.clock, &node.name, &node.uid, holder).await {
            Ok(lease) => {
                self.lease = Some(HeldNode { node_uid: node.uid.clone(), state: lease.state(), lease });
                Ok(())
            }
            Err(error) => {
                let trouble = trouble_with_lease(&error);
                let is_held = |trouble: &Trouble| trouble.reason == TroubleReason::NodeLeaseHeld;
                // It is looked at again and again; that is found once.
                if is_held(&trouble) && !self.trouble.as_ref().is_some_and(is_held) {
                    self.lease_errors = self.lease_errors.saturating_add(1);
                }
                Err(trouble)
            }
        }
    }

    /// Lets the node Lease go, also one from before a restart. On an error, try again: others wait for it, until it lapses
    /// by itself.
    pub(super) async fn release_node(&mut self) -> Result<(), Trouble> {
        let (released, is_kept) = if let Some(held) = &mut self.lease {
            (held.lease.release().await, held.lease.is_held())
        } else {
            let (client, clock) = (self.context.cluster.client().clone(), self.context.clock);
            (NodeLease::release_left_behind(client, clock, &self.node, self.actor.lease_holder()).await, true)
        };
        if let Err(error) = released {
            let trouble = trouble_with_lease(&error);
            if is_kept && trouble.reason == TroubleReason::ApiServerUnavailable {
                return Err(trouble);
            }
            tracing::warn!(actor = self.actor.name, %error, "the node Lease was not released; it lapses by itself");
        }
        self.lease = None;
        Ok(())
    }

    /// The record that the node should carry for a drain.
    pub(super) fn intended_record(&self, node: &Node) -> Result<Record, Trouble> {
        let kept = self.record.clone().filter(|record| record.node_uid == node.uid);
        let or_new = || Record::begin(&self.actor, node, None, self.now());
        match Record::read(node) {
            RecordReading::Present(found) if found.actor == self.actor && found.node_uid == node.uid => Ok(found),
            RecordReading::Present(found) if found.node_uid == node.uid => {
                let message = format!(
                    "node {} carries the record of {:?} {}: wait for its end, or uncordon the node if that has ended",
                    node.name, found.actor.kind, found.actor.name
                );
                Err(Trouble::new(TroubleReason::RecordOfAnother, message))
            }
            RecordReading::Unreadable(error) => {
                kept.ok_or_else(|| Trouble::new(TroubleReason::RecordUnreadable, error.to_string()))
            }
            RecordReading::Absent | RecordReading::Present(_) => Ok(kept.unwrap_or_else(or_new)),
        }
    }

    /// Record and cordon of a drain, in one write; again whenever somebody undoes them.
    pub(super) async fn cordon_and_record(&mut self, node: &Node) -> Result<(), Trouble> {
        let wanted = self.intended_record(node)?;
        let drain_taint_key = &self.context.settings.drain_taint_key;
        let patch = |node: &Node| match self.intended_record(node) {
            // A drain adds no taint.
            Ok(record) => node::take_out(node, &record, drain_taint_key, ""),
            Err(_) => Ok(None),
        };
        let from = self.cached_node_version();
        let written = node::change(self.context.cluster.client(), node, patch).await;
        let Some(written) = written.map_err(|error| trouble_with_node(&error))? else {
            self.record = Some(wanted);
            return Ok(());
        };
        tracing::info!(node = %written.name, drain = self.actor.name, "cordoned and recorded");
        if let RecordReading::Present(record) = Record::read(&written) {
            self.record = Some(record);
        }
        self.wrote_node(&from, written);
        Ok(())
    }

    /// Ends a drain: what was asked is taken back unless it is done, the conditions say so, the record goes. The node
    /// stays cordoned. `left_behind` is what could not be taken back, once that was tried.
    pub(super) async fn let_go(
        &mut self,
        node: &Node,
        is_done: bool,
        options: &DrainOptions,
        left_behind: &mut Option<Vec<String>>,
    ) -> Result<(), Trouble> {
        if !self.is_ours(node) {
            return Ok(());
        }
        self.hold_node(node).await?;
        let client = self.context.cluster.client().clone();
        // The VMIs that were asked to leave a moment ago are on the node; its watch may be behind.
        let node = match node::read(&client, node).await {
            Ok(node) => node,
            Err(NodeError::Gone { .. } | NodeError::Replaced { .. }) => return Ok(()),
            Err(error) => return Err(trouble_with_node(&error)),
        };
        if let RecordReading::Present(record) = Record::read(&node)
            && left_behind.is_none()
            && !is_done
        {
            *left_behind = Some(take_back(&self.context.cluster, &self.node, &record, options).await);
        }
        let said = self.say_of(&node, if is_done { DrainStage::Completed } else { DrainStage::Ended }).await?;
        let node = said.unwrap_or(node);
        // The record goes last: what is not done before it goes would never be done.
        let from = self.cached_node_version();
        let forgotten =
            node::change(&client, &node, |node| Ok(if self.is_ours(node) { node::forget_record(node) } else { None }));
        if let Some(written) = forgotten.await.map_err(|error| trouble_with_node(&error))? {
            self.wrote_node(&from, written);
        }
        Ok(())
    }

    fn is_ours(&self, node: &Node) -> bool {
        matches!(
            Record::read(node),
            RecordReading::Present(found) if found.actor == self.actor && found.node_uid == node.uid
        )
    }

    /// The node conditions.
    pub(super) async fn say(&mut self, stage: DrainStage) -> Result<(), Trouble> {
        let Some(node) = self.snapshot().node(&self.node).cloned() else { return Ok(()) };
        self.say_of(&node, stage).await.map(drop)
    }

    /// The same, of the node as it is known to be. Gives it as it is then, if that has changed something.
    async fn say_of(&mut self, node: &Node, stage: DrainStage) -> Result<Option<Node>, Trouble> {
        let wanted = Lifecycle { actor: &self.actor, drain: stage };
        let from = self.cached_node_version();
        let client = self.context.cluster.client();
        let written = node::set_conditions(client, node, Some(&wanted), self.now()).await;
        let written = written.map_err(|error| trouble_with_node(&error))?;
        if let Some(written) = &written {
            self.wrote_node(&from, written.clone());
        }
        Ok(written)
    }

    /// Nothing is asked to leave before every kind is known: one that came late (KubeVirt) and is not listed yet would
    /// look as if there were no VMs.
    pub(super) fn caches_are_filled(&self) -> Result<(), Trouble> {
        let Some((kind, state)) = self.context.cluster.not_ready().into_iter().next() else { return Ok(()) };
        let message = format!("nothing is asked to leave before every {kind} is known: {state}");
        Err(Trouble::new(TroubleReason::CachesNotFilled, message))
    }

    /// What is known may be old: it goes on, for each request says what it expects, but whoever wonders is told.
    pub(super) fn caches_are_old(&self) -> Option<Trouble> {
        let (kind, failure) = self.context.cluster.old()?;
        let message = format!("what is known of every {kind} is old: its watch fails: {failure}");
        Some(Trouble::new(TroubleReason::CachesOld, message))
    }

    /// One step of the drain, which is begun if it has not been; `None` while the node does not carry our record.
    /// `began` says when it began.
    pub(super) fn drain_step(
        &mut self,
        options: &DrainOptions,
        began: impl FnOnce(&Record, Timestamp) -> Timestamp,
    ) -> Option<Step> {
        let now = self.now();
        let snapshot = self.snapshot();
        let record = match Record::read(snapshot.node(&self.node)?) {
            RecordReading::Present(record) => record,
            RecordReading::Absent | RecordReading::Unreadable(_) => return None,
        };
        if self.drain.is_none() {
            let started = began(&record, now);
            let own_pod = self.context.settings.own_pod.clone();
            let machine = Machine::new(self.node.clone(), options.clone(), own_pod, started, record.evacuations);
            let (cluster, hand_over) = (self.context.cluster.clone(), self.context.hand_over.clone());
            self.drain = Some(Drain::new(machine, cluster, self.node.clone(), self.actor.clone(), hand_over));
        }
        let step = self.drain.as_mut()?.step(&snapshot, now);
        self.show_blocked(Some(&step.progress));
        Some(step)
    }

    /// Takes up what became of a request of the drain.
    pub(super) fn take_up(&mut self, outcome: Outcome) {
        let snapshot = self.snapshot();
        let now = self.now();
        if let Some(drain) = &mut self.drain {
            drain.handle(outcome, &snapshot, now);
        }
    }

    /// Notes what went wrong; returns when it is tried again.
    pub(super) fn failed(&mut self, trouble: Trouble) -> Timestamp {
        let wait = if trouble.reason == TroubleReason::NodeLeaseHeld {
            LEASE_RETRY
        } else {
            Duration::from_secs(1).saturating_mul(1 << self.retry.failures.min(5)).min(LONGEST_RETRY)
        };
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(actor = self.actor.name, node = %self.node, reason = %trouble.reason, message = trouble.message, "waits");
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

    /// Starts nothing more, and waits for the requests that are on their way.
    pub(super) async fn settle(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.settle().await;
        }
    }

    /// Shows what blocks in the metrics; `None`: nothing any more.
    pub(super) fn show_blocked(&self, progress: Option<&Progress>) {
        self.context.blocked.set(self.context.cluster.metrics(), &self.actor.name, progress);
    }
}

/// The next outcome of a request of the drain; waits for ever while there is none.
pub(super) async fn next_outcome(drain: &mut Option<Drain>) -> Outcome {
    match drain {
        Some(drain) => drain.next().await,
        None => std::future::pending().await,
    }
}

/// Waits until what is known of the node Lease changes.
pub(super) async fn lease_changed(held: Option<&mut HeldNode>) {
    let changed = match held {
        Some(held) => held.state.changed().await,
        None => std::future::pending().await,
    };
    if changed.is_err() {
        // Its task has ended, and said before what became of the Lease.
        std::future::pending::<()>().await;
    }
}

/// What went wrong with the node Lease, as a trouble of whoever acts on the node.
pub(super) fn trouble_with_lease(error: &NodeLeaseError) -> Trouble {
    let reason = match error {
        NodeLeaseError::HeldBy { node, holder, .. } => {
            // Not until when: that changes with each renewal, and the status with it.
            let message = format!("node {node} is held by {holder}: wait until it is done with the node");
            return Trouble::new(TroubleReason::NodeLeaseHeld, message);
        }
        NodeLeaseError::NamespaceMissing { .. } => TroubleReason::NamespaceMissing,
        NodeLeaseError::Forbidden { .. } => TroubleReason::Forbidden,
        NodeLeaseError::Request { .. } => TroubleReason::ApiServerUnavailable,
    };
    Trouble::new(reason, error.to_string())
}

/// What went wrong with a node, as a trouble of whoever acts on it.
pub(super) fn trouble_with_node(error: &NodeError) -> Trouble {
    let reason = match error {
        NodeError::Forbidden { .. } => TroubleReason::Forbidden,
        NodeError::Refused(_) | NodeError::Rejected { .. } => TroubleReason::NodeNotChanged,
        NodeError::Gone { .. } | NodeError::Replaced { .. } => TroubleReason::NodeGone,
        NodeError::Timeout { .. } | NodeError::Unreachable { .. } | NodeError::Contended { .. } => {
            TroubleReason::ApiServerUnavailable
        }
    };
    Trouble::new(reason, error.to_string())
}
