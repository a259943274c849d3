//! The node Lease: one actor at a time changes a node. The operators of [medik8s](https://www.medik8s.io) honour it
//! too.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Namespace,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Client};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    contender::{Contender, Expiry, GiveAway, Outcome},
    decision::Decision,
    fields::Claimant,
    request::{self, LeaseError, REQUEST_TIMEOUT, post_params},
};
use crate::{
    answer::Answer,
    clock::Clock,
    model::{NodeClaim, NodeName, Uid},
    names::NODE_LEASE_NAMESPACE,
};

const DURATION: Duration = Duration::from_secs(90);
/// We stop this long after a renewal was sent: 15 s before another may begin.
const HELD_FOR: Duration = Duration::from_secs(75);
const RENEW_PERIOD: Duration = Duration::from_secs(30);
/// After a renewal that failed; eight of these fit before the Lease is no longer ours to act on.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

/// Why a node Lease is not ours.
#[derive(Debug, thiserror::Error)]
pub enum NodeLeaseError {
    /// Somebody else acts on the node.
    #[error("node {node} is held by {holder}{}: wait until it is done with the node", until_text(*until))]
    HeldBy {
        /// The node.
        node: NodeName,
        /// Who holds the Lease.
        holder: String,
        /// When the Lease expires if it is not renewed.
        until: Option<Timestamp>,
    },
    /// The namespace of the node Leases is not there.
    #[error(
        "node {node} cannot be held, because the namespace {NODE_LEASE_NAMESPACE} does not exist: create it, or allow \
         Careen to create namespaces"
    )]
    NamespaceMissing {
        /// The node.
        node: NodeName,
    },
    /// The right is missing.
    #[error(
        "node {node} cannot be held: grant the right to {verb} leases.coordination.k8s.io in namespace \
         {NODE_LEASE_NAMESPACE} ({message})"
    )]
    Forbidden {
        /// The node.
        node: NodeName,
        /// `get`, `create`, `update` or `delete`.
        verb: &'static str,
        /// What the API server says.
        message: String,
    },
    /// Anything else; trying again is harmless.
    #[error("node {node}: {source}")]
    Request {
        /// The node.
        node: NodeName,
        /// What went wrong.
        source: LeaseError,
    },
}

fn until_text(time: Option<Timestamp>) -> String {
    time.map(|time| format!(" until {time:.0}")).unwrap_or_default()
}

/// Whether we hold the node. Check it at the moment of use, and again after every wait.
#[derive(Clone, Debug)]
pub enum NodeLeaseState {
    /// Ours, until then.
    Held {
        /// If the Lease cannot be renewed before, we stop: well before another may take it.
        until: Instant,
    },
    /// It could not be renewed in time, so we must not act; it is tried again, and may be ours again.
    Unconfirmed {
        /// What is wrong, in a sentence.
        error: Arc<LeaseError>,
    },
    /// Somebody else has it. This is final: acquire it anew.
    Lost {
        /// Who that is.
        to: String,
    },
}

impl NodeLeaseState {
    /// Whether we may act on the node at that moment.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        matches!(self, Self::Held { until } if now < *until)
    }
}

/// A node Lease that is ours, renewed by a task of its own.
///
/// If it is dropped, it is renewed no longer and otherwise left alone: right for a replica that leads no longer,
/// because the next leader holds it under the same name. To end an operation, [`release`](Self::release) it.
#[derive(Debug)]
pub struct NodeLease {
    node: NodeName,
    state: watch::Receiver<NodeLeaseState>,
    contender: Arc<Mutex<Contender>>,
    task: JoinHandle<()>,
}

impl NodeLease {
    /// Takes the Lease of a node: at once if it is free, or ours already (from before a restart), or if its holder has
    /// let it lapse. Must be called within a tokio runtime.
    ///
    /// A foreign Lease has lapsed when the time in it, plus 10 s for clocks that differ, is over: that is how the
    /// medik8s operators judge it, and the Lease may be made for an hour, so it is not observed for its duration first.
    ///
    /// Two requests; more only if somebody else writes the Lease at the same time.
    pub async fn acquire(
        client: Client,
        clock: Clock,
        node: &NodeName,
        node_uid: &Uid,
        holder: impl Into<String>,
    ) -> Result<Self, NodeLeaseError> {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.to_string(),
            uid: node_uid.to_string(),
            ..OwnerReference::default()
        };
        let claimant = Claimant { holder: holder.into(), duration: DURATION, owner: Some(owner) };
        let mut contender = Contender::new(client, clock, NodeClaim::key_of(node), claimant);
        match contender.attempt(Expiry::ByWallClock).await {
            Ok(Outcome::Mine { sent }) => {
                let (publisher, state) = watch::channel(NodeLeaseState::Held { until: sent + HELD_FOR });
                let contender = Arc::new(Mutex::new(contender));
                let task = tokio::spawn(renew(contender.clone(), publisher, sent + RENEW_PERIOD));
                Ok(Self { node: node.clone(), state, contender, task })
            }
            Ok(Outcome::HeldBy { holder, .. }) => {
                Err(NodeLeaseError::HeldBy { node: node.clone(), holder, until: contender.expires_at() })
            }
            Err(error) => Err(failure(node, error)),
        }
    }

    /// Who holds the Lease of a node, and how long yet if they do not renew it; `None` where nobody does, or it has
    /// lapsed. One request.
    pub async fn holder(
        client: Client,
        clock: Clock,
        node: &NodeName,
    ) -> Result<Option<(String, Duration)>, NodeLeaseError> {
        let nobody = Claimant { holder: String::new(), duration: DURATION, owner: None };
        let mut contender = Contender::new(client, clock, NodeClaim::key_of(node), nobody);
        contender.look().await.map_err(|error| failure(node, error))?;
        match contender.decide(Expiry::ByWallClock) {
            Decision::HeldBy { holder, expires_in } => Ok(Some((holder, expires_in))),
            Decision::Create | Decision::TakeOver | Decision::Renew => Ok(None),
        }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Whether we hold the node, now and from now on. A change is signalled when that changes, not when the Lease is
    /// renewed.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<NodeLeaseState> {
        self.state.clone()
    }

    /// Whether we may act on the node at this moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state.borrow().is_held(Instant::now())
    }

    /// Deletes the Lease if it is still ours, so that others can act on the node; it is renewed no longer, whatever
    /// comes of that. On an error other than `HeldBy`, try again; if nobody does, the Lease lapses by itself.
    pub async fn release(&mut self) -> Result<(), NodeLeaseError> {
        self.task.abort();
        // The task lets go of it when it ends; a renewal of ours that is cut off is looked up before the Lease is
        // deleted.
        let mut contender = self.contender.lock().await;
        give_away(&mut contender, &self.node).await
    }

    /// Deletes the Lease of a node that `holder` has from before a restart, and has no more use for. One request if it
    /// has none.
    pub async fn release_left_behind(
        client: Client,
        clock: Clock,
        node: &NodeName,
        holder: impl Into<String>,
    ) -> Result<(), NodeLeaseError> {
        let claimant = Claimant { holder: holder.into(), duration: DURATION, owner: None };
        match give_away(&mut Contender::new(client, clock, NodeClaim::key_of(node), claimant), node).await {
            Err(NodeLeaseError::HeldBy { .. }) => Ok(()),
            released => released,
        }
    }
}

impl Drop for NodeLease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Creates the namespace of the node Leases, for where [`NodeLease::acquire`] finds it missing.
pub async fn ensure_namespace(client: Client) -> Result<(), LeaseError> {
    let metadata = ObjectMeta { name: Some(NODE_LEASE_NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    match Answer::within(REQUEST_TIMEOUT, Api::all(client).create(&post_params(), &namespace)).await {
        Answer::Done(_) => Ok(()),
        Answer::Refused(status) if status.is_already_exists() => Ok(()),
        failed => {
            let object = format!("the namespace {NODE_LEASE_NAMESPACE}");
            Err(request::failure(failed, "create", "namespaces", object))
        }
    }
}

async fn give_away(contender: &mut Contender, node: &NodeName) -> Result<(), NodeLeaseError> {
    match contender.give_away(GiveAway::Delete).await {
        Ok(None) => Ok(()),
        Ok(Some(holder)) => Err(NodeLeaseError::HeldBy { node: node.clone(), holder, until: contender.expires_at() }),
        Err(error) => Err(failure(node, error)),
    }
}

fn failure(node: &NodeName, error: LeaseError) -> NodeLeaseError {
    let node = node.clone();
    match error {
        LeaseError::NamespaceMissing { .. } => NodeLeaseError::NamespaceMissing { node },
        LeaseError::Forbidden { verb, message, .. } => NodeLeaseError::Forbidden { node, verb, message },
        source => NodeLeaseError::Request { node, source },
    }
}

/// Renews until the Lease is somebody else's, or the task is aborted.
async fn renew(contender: Arc<Mutex<Contender>>, state: watch::Sender<NodeLeaseState>, mut next: Instant) {
    let mut contender = contender.lock().await;
    let mut last_error: Option<Arc<LeaseError>> = None;
    loop {
        let expiry = match *state.borrow() {
            NodeLeaseState::Held { until } => Some(until),
            _ => None,
        };
        let outcome = tokio::select! {
            biased;
            () = sleep_until(expiry.unwrap_or(next)), if expiry.is_some() => None,
            outcome = attempt(&mut contender, next) => Some(outcome),
        };
        match outcome {
            Some(Ok(Outcome::Mine { sent })) => {
                last_error = None;
                next = sent + RENEW_PERIOD;
                publish(&state, NodeLeaseState::Held { until: sent + HELD_FOR });
            }
            Some(Ok(Outcome::HeldBy { holder, .. })) => {
                tracing::warn!(lease = %contender.key(), holder, "the node Lease is held by another");
                publish(&state, NodeLeaseState::Lost { to: holder });
                return;
            }
            Some(Err(error)) => {
                if last_error.is_none() {
                    tracing::warn!(lease = %contender.key(), "the node Lease is not renewed: {error}");
                }
                last_error = Some(Arc::new(error));
                next = Instant::now() + RETRY_PERIOD;
            }
            None => {
                let error = last_error.clone().unwrap_or_else(|| {
                    let object = format!("the Lease {}", contender.key());
                    Arc::new(LeaseError::Timeout { verb: "update", object, after: HELD_FOR })
                });
                tracing::warn!(lease = %contender.key(), "the node Lease was not renewed in time: {error}");
                publish(&state, NodeLeaseState::Unconfirmed { error });
            }
        }
    }
}

async fn attempt(contender: &mut Contender, at: Instant) -> Result<Outcome, LeaseError> {
    sleep_until(at).await;
    contender.attempt(Expiry::Never).await
}

fn publish(state: &watch::Sender<NodeLeaseState>, new: NodeLeaseState) {
    state.send_if_modified(|published| {
        let is_news = std::mem::discriminant(published) != std::mem::discriminant(&new);
        *published = new;
        is_news
    });
}

#[cfg(test)]
mod tests;
