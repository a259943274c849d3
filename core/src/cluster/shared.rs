//! What the watches write and everybody reads.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError, RwLock},
};

use tokio::sync::{broadcast, watch};

use super::{Concerned, Snapshot, apply::Part};
use crate::metrics::Metrics;

/// So many changes may be outstanding before a reader is told only that everything may have changed.
const CHANGES: usize = 4096;

/// The snapshot that the watches keep up to date, and the news of its changes.
#[derive(Debug)]
pub(super) struct Shared {
    snapshot: RwLock<Snapshot>,
    changes: broadcast::Sender<Concerned>,
    states: watch::Sender<WatchStates>,
    /// What could not be followed for a while, and why.
    old: Mutex<BTreeMap<(&'static str, Part), String>>,
    pub(super) metrics: Metrics,
}

/// The state of every watch, by kind and part.
pub(super) type WatchStates = BTreeMap<(&'static str, Part), WatchState>;

/// The state of one watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// The first list has not come yet.
    Syncing,
    /// It follows.
    Synced,
    /// It has failed and is tried again; what is known may be old, or is not known yet.
    Failing {
        /// What the API server says.
        error: String,
    },
    /// Its CustomResourceDefinition is not installed; it starts when it is.
    NotServed,
    /// It may not be read, and can be done without: what depends on it is said to be unknown.
    NotAllowed {
        /// What the API server says.
        error: String,
    },
}

impl WatchState {
    /// Whether there is nothing more to wait for.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Self::Synced | Self::NotServed | Self::NotAllowed { .. })
    }
}

impl fmt::Display for WatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syncing => f.write_str("its first list has not come yet"),
            Self::Synced => f.write_str("it is known"),
            Self::Failing { error } => f.write_str(error),
            Self::NotServed => f.write_str("it is not installed"),
            Self::NotAllowed { error } => write!(f, "it may not be read: {error}"),
        }
    }
}

impl Shared {
    pub(super) fn new(snapshot: Snapshot, metrics: Metrics) -> Self {
        Self {
            snapshot: RwLock::new(snapshot),
            changes: broadcast::Sender::new(CHANGES),
            states: watch::Sender::new(WatchStates::new()),
            old: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        // A snapshot is replaced field by field by code that does not panic; a poisoned one is still consistent.
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the snapshot and tells everybody.
    pub(super) fn change(&self, change: impl FnOnce(&mut Snapshot) -> Concerned) {
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let concerned = change(&mut snapshot);
        if !concerned.is_empty() {
            // Before anybody sees the snapshot: what is in it has been told. An error says only that nobody listens.
            self.changes.send(concerned).ok();
        }
    }

    /// What all news so far has come to, and the snapshot that has these changes and no others.
    pub(super) fn taken<T>(&self, take: impl FnOnce() -> T) -> (T, Snapshot) {
        // Nothing changes, and nothing is told, as long as it is borrowed.
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        (take(), snapshot.clone())
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Concerned> {
        self.changes.subscribe()
    }

    pub(super) fn set_state(&self, kind: &'static str, part: &Part, state: WatchState) {
        self.states.send_if_modified(|states| {
            let old = states.get(&(kind, part.clone()));
            // A watch that has synced once keeps its readers ready while it reconnects: what it shows is old, not
            // absent.
            let is_failure = matches!(state, WatchState::Failing { .. } | WatchState::NotAllowed { .. });
            if old == Some(&state) || (old == Some(&WatchState::Synced) && is_failure) {
                return false;
            }
            states.insert((kind, part.clone()), state);
            true
        });
    }

    /// Takes up that what is known of a kind is old, because of that failure, or is not; whoever acts looks again then.
    pub(super) fn set_old(&self, kind: &'static str, part: &Part, failure: Option<&str>) {
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match failure {
            Some(failure) => old.insert((kind, part.clone()), failure.to_owned()),
            None => old.remove(&(kind, part.clone())),
        };
        if before.as_deref() != failure {
            // An error says only that nobody listens.
            self.changes.send(Concerned::everything()).ok();
        }
    }

    /// A kind that was known and could not be followed for a while, and why; `None` when all are up to date.
    pub(super) fn old(&self) -> Option<(&'static str, String)> {
        let old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        let states = self.states.borrow();
        let known = old.iter().find(|(watch, _)| states.get(*watch) == Some(&WatchState::Synced));
        known.map(|((kind, _), failure)| (*kind, failure.clone()))
    }

    pub(super) fn states(&self) -> watch::Receiver<WatchStates> {
        self.states.subscribe()
    }
}
