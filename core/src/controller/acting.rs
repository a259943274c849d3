//! What whoever acts on a node has, be it for a maintenance or for a drain order: the node Lease, the drain, and what
//! went wrong.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{context::Context, overlay::Overlay};
use crate::{
    clock::Backoff,
    cluster::Snapshot,
    drain::{Drain, DrainPhase, Outcome, Progress},
    lease::{NodeLease, NodeLeaseError, NodeLeaseState},
    model::{Actor, Node, NodeName, Record, Trouble, TroubleReason, Uid},
    node::{self, DrainStage, Lifecycle, NodeError},
};

/// Waits after something went wrong: from one second, doubling, to 30 seconds.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// A node Lease in other hands is looked at this often: nobody tells when it is let go.
const LEASE_RETRY: Duration = Duration::from_secs(10);

/// Two looks that nothing but time has caused are at least so far apart, whatever a step asks for.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(10);

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
    pub(super) record: Option<Record>,
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
        self.take_lease(node).await.map_err(|error| {
            let trouble = trouble_with_lease(&error);
            let is_held = |trouble: &Trouble| trouble.reason == TroubleReason::NodeLeaseHeld;
            // It is looked at again and again; that is found once.
            if is_held(&trouble) && !self.trouble.as_ref().is_some_and(is_held) {
                self.lease_errors = self.lease_errors.saturating_add(1);
            }
            trouble
        })
    }

    /// Takes the node Lease, which we do not have.
    pub(super) async fn take_lease(&mut self, node: &Node) -> Result<(), NodeLeaseError> {
        let (client, clock) = (self.context.cluster.client().clone(), self.context.clock);
        let lease = NodeLease::acquire(client, clock, &node.name, &node.uid, self.actor.lease_holder()).await?;
        self.lease = Some(HeldNode { node_uid: node.uid.clone(), state: lease.state(), lease });
        Ok(())
    }

    /// Lets the node Lease go, also one from before a restart. On an error, try again: others wait for it, until it
    /// lapses by itself.
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

    /// The node conditions.
    pub(super) async fn say(&mut self, stage: DrainStage) -> Result<(), Trouble> {
        let Some(node) = self.snapshot().node(&self.node).cloned() else { return Ok(()) };
        self.say_of(&node, stage).await.map(drop)
    }

    /// The same, of the node as it is known to be. Gives it as it is then, if that has changed something.
    pub(super) async fn say_of(&mut self, node: &Node, stage: DrainStage) -> Result<Option<Node>, Trouble> {
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

    /// Waits until there is something new: at the earliest of these times, if nothing happens before.
    pub(super) async fn wait(
        &mut self,
        looks_at: [Option<Timestamp>; 2],
        wake: &Notify,
        stopping: &mut watch::Receiver<bool>,
    ) {
        let now = self.now();
        let retry_at = self.retry.at.filter(|at| *at > now);
        let until = looks_at.into_iter().flatten().chain(retry_at).min();
        let until = until.map(|until| until.max(now + SHORTEST_WAIT));
        let clock = self.context.clock;
        tokio::select! {
            biased;
            outcome = next_outcome(&mut self.drain) => self.take_up(outcome),
            () = lease_changed(self.lease.as_mut()) => {}
            () = wake.notified() => {}
            () = clock.sleep_until(until.unwrap_or(Timestamp::MAX)), if until.is_some() => {}
            _ = stopping.changed() => {}
        }
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
            BACKOFF.after(self.retry.failures)
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
