//! A connection with its watch caches, and news of what changes in them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use kube::Client;
use tokio::{sync::broadcast, task::JoinSet};

use super::{
    Concerned, Snapshot, View, WatchState, nodes,
    shared::{Shared, WatchStates},
    whole,
};
use crate::{metrics::Metrics, model::NodeName};

/// A connection to a cluster with its watch caches. Cloning shares them; they end with the last clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    shared: Arc<Shared>,
    watches: Arc<Mutex<JoinSet<()>>>,
}

impl Cluster {
    /// Starts to watch the whole cluster.
    #[must_use]
    pub fn whole(client: Client, metrics: Metrics) -> Self {
        Self::watching(client, View::Whole, metrics, whole::start)
    }

    /// Starts to watch the whole cluster, the drain orders and receipts in Careen's own namespace, and the node Leases.
    #[must_use]
    pub fn with_orders(client: Client, namespace: &str, metrics: Metrics) -> Self {
        Self::watching(client, View::Whole, metrics, |client, shared, watches| {
            whole::start(client, shared, watches);
            whole::follow_orders(client, namespace, shared, watches);
            whole::follow_node_leases(client, shared, watches);
        })
    }

    /// Starts to watch some nodes, and what is around them. Maintenances are not watched: the record on a node says who
    /// acts on it.
    #[must_use]
    pub fn nodes(client: Client, names: impl IntoIterator<Item = NodeName>, metrics: Metrics) -> Self {
        Self::watching(client, View::Nodes, metrics, |client, shared, watches| {
            nodes::start(client, names.into_iter().collect(), shared, watches);
        })
    }

    /// As [`Self::nodes`], and all maintenances as well, if their kind is served: for whoever starts, changes or stops
    /// one.
    #[must_use]
    pub fn nodes_and_maintenances(client: Client, names: impl IntoIterator<Item = NodeName>, metrics: Metrics) -> Self {
        Self::watching(client, View::Nodes, metrics, |client, shared, watches| {
            nodes::start(client, names.into_iter().collect(), shared, watches);
            nodes::follow_maintenances(client, shared, watches);
        })
    }

    /// With the watches that `start` starts.
    fn watching(
        client: Client,
        view: View,
        metrics: Metrics,
        start: impl FnOnce(&Client, &Arc<Shared>, &mut JoinSet<()>),
    ) -> Self {
        let shared = Arc::new(Shared::new(Snapshot::of(view), metrics));
        let mut watches = JoinSet::new();
        start(&client, &shared, &mut watches);
        Self { client, shared, watches: Arc::new(Mutex::new(watches)) }
    }

    /// Ends the watches, whoever else has a clone: what is known stays as it is now.
    pub fn end(&self) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// The client, for what is not in the caches.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// News of changes, from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes { receiver: self.shared.subscribe() }
    }

    /// The kinds whose caches are not filled yet, each with what the API server says; empty when all are.
    #[must_use]
    pub fn not_ready(&self) -> BTreeMap<&'static str, WatchState> {
        not_ready(&self.shared.states().borrow())
    }

    /// A kind whose cache was filled and could not be kept up to date for more than a minute, and what the API server
    /// says.
    #[must_use]
    pub fn old(&self) -> Option<(&'static str, String)> {
        self.shared.old()
    }

    /// Whether a kind is served by the API server, as far as it is known.
    #[must_use]
    pub fn serves(&self, kind: &'static str) -> bool {
        serves(&self.shared.states().borrow(), kind)
    }

    /// Waits until a kind is served by the API server, or is not.
    pub async fn until_served(&self, kind: &'static str, served: bool) {
        let mut states = self.shared.states();
        // The sender lives as long as `self`, so this cannot fail.
        states.wait_for(|states| serves(states, kind) == served).await.ok();
    }

    /// Waits until every cache is filled.
    pub async fn ready(&self) {
        let mut states = self.shared.states();
        // The sender lives as long as `self`, so this cannot fail.
        states.wait_for(|states| states.values().all(WatchState::is_settled)).await.ok();
    }
}

pub(super) fn not_ready(states: &WatchStates) -> BTreeMap<&'static str, WatchState> {
    let mut waiting: BTreeMap<&'static str, WatchState> = BTreeMap::new();
    for ((kind, _), state) in states.iter().filter(|(_, state)| !state.is_settled()) {
        // Of several watches of a kind, one that fails says more than one that has only begun.
        let found = waiting.entry(kind).or_insert_with(|| state.clone());
        if *found == WatchState::Syncing {
            found.clone_from(state);
        }
    }
    waiting
}

fn serves(states: &WatchStates, kind: &str) -> bool {
    states.iter().any(|((name, _), state)| *name == kind && *state != WatchState::NotServed)
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// News of changes.
#[derive(Debug)]
pub struct Changes {
    pub(super) receiver: broadcast::Receiver<Concerned>,
}

impl Changes {
    /// Waits for the next change, and takes all that have come since. A snapshot that is taken afterwards may have more.
    pub async fn next(&mut self) -> Concerned {
        let first = self.first().await;
        self.with_all_since(first)
    }

    /// As [`Self::next`], with the snapshot that has exactly these changes: for whoever compares snapshots.
    pub async fn next_in(&mut self, cluster: &Cluster) -> (Concerned, Snapshot) {
        let first = self.first().await;
        cluster.shared.taken(|| self.with_all_since(first))
    }

    async fn first(&mut self) -> Concerned {
        match self.receiver.recv().await {
            Ok(concerned) => concerned,
            Err(broadcast::error::RecvError::Lagged(_)) => Concerned::everything(),
            // The cluster has gone; nothing will change any more.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }

    fn with_all_since(&mut self, mut concerned: Concerned) -> Concerned {
        loop {
            match self.receiver.try_recv() {
                Ok(more) => concerned.merge(more),
                Err(broadcast::error::TryRecvError::Lagged(_)) => concerned = Concerned::everything(),
                Err(_) => return concerned,
            }
        }
    }
}
