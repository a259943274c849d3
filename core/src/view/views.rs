//! What all views are made of.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};

use jiff::Timestamp;

use super::acting::ActingDrain;
use crate::{
    cluster::Snapshot,
    migration::Queue,
    model::{NodeMaintenance, NodeName},
    plan::maintenances_by_node,
};

/// Answers questions about one moment. What many answers need (KubeVirt's queue, the maintenance of each node, the
/// drain that acts on one) is worked out once, when it is first needed; everything else is found by an index of the
/// snapshot.
#[derive(Debug)]
pub struct Views {
    pub(super) snapshot: Snapshot,
    pub(super) now: Timestamp,
    pub(super) queue: OnceLock<Queue>,
    pub(super) maintenances: OnceLock<BTreeMap<String, Arc<NodeMaintenance>>>,
    pub(super) acting: Mutex<BTreeMap<NodeName, Option<Arc<ActingDrain>>>>,
}

impl Views {
    /// The views of that moment.
    #[must_use]
    pub fn of(snapshot: Snapshot, now: Timestamp) -> Self {
        Self { snapshot, now, queue: OnceLock::new(), maintenances: OnceLock::new(), acting: Mutex::default() }
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(super) fn queue(&self) -> &Queue {
        self.queue.get_or_init(|| Queue::of(&self.snapshot))
    }

    /// The maintenance that a node has: the accepted one, else the one that will be if it may.
    #[must_use]
    pub fn maintenance_of(&self, node: &NodeName) -> Option<&Arc<NodeMaintenance>> {
        let index = self.maintenances.get_or_init(|| maintenances_by_node(&self.snapshot));
        index.get(node.as_str())
    }
}
