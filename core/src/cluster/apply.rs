//! How a [`Snapshot`] takes up what the watches bring; the only code that changes one.

use std::{collections::BTreeSet, sync::Arc};

use kube::api::ObjectMeta;

use super::Snapshot;
use crate::model::{NodeName, Uid};

/// A kind of object that snapshots hold: where it is kept, and which nodes a change of it concerns.
pub trait Kept: Clone + Send + Sync + 'static {
    /// What tells two of them apart.
    type Key: Key;

    /// Its key.
    fn key(&self) -> Self::Key;
    /// Puts it in, in place of an older one; adds the nodes that are concerned.
    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned);
    /// Takes it out.
    fn take(snapshot: &mut Snapshot, key: &Self::Key, concerned: &mut Concerned);
    /// The keys of those that are in and belong to that part of the cluster.
    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<Self::Key>;
    /// The UID of the one with that key, if it is in and has one.
    fn uid(snapshot: &Snapshot, key: &Self::Key) -> Option<Uid>;
    /// Whether another watch has brought a later object of the same name.
    fn is_superseded(&self, _: &Snapshot) -> bool {
        false
    }
}

/// What tells objects of one kind apart.
pub trait Key: Ord + Clone + Send {
    /// That of an object of which only the metadata is known; `None` if it can be in no snapshot.
    fn of(metadata: &ObjectMeta) -> Option<Self>;
    /// Whether an object that has it may belong to that part of the cluster.
    fn is_in(&self, part: &Part) -> bool;
}

/// The part of the cluster that one watch covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Everything.
    All,
    /// A node, and the pods bound to it.
    Node(NodeName),
    /// The objects of a namespace.
    Namespace(String),
}

/// What a change concerns: whoever acts on one of these nodes looks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// The nodes.
    pub nodes: BTreeSet<NodeName>,
    /// The maintenances.
    pub maintenances: BTreeSet<String>,
    /// Everything may be concerned: a budget, a configuration, or more than can be told.
    pub everything: bool,
}

impl Concerned {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Whether somebody who acts on that node should look again.
    #[must_use]
    pub fn concerns(&self, node: &NodeName) -> bool {
        self.everything || self.nodes.contains(node)
    }

    /// Adds what another change concerns.
    pub fn merge(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.maintenances.extend(other.maintenances);
        self.everything |= other.everything;
    }

    /// Whether nothing is concerned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everything && self.nodes.is_empty() && self.maintenances.is_empty()
    }
}

impl Snapshot {
    /// Puts an object in.
    pub fn put<K: Kept>(&mut self, object: K) -> Concerned {
        let mut concerned = Concerned::default();
        Arc::new(object).put(self, &mut concerned);
        concerned
    }

    /// Puts an object in that the watch of a part has brought.
    ///
    /// Watches of several parts are not of the same instant: a pod of a StatefulSet that has come back on another node
    /// is not undone by late news of its predecessor.
    pub(super) fn put_seen<K: Kept>(&mut self, part: &Part, object: K) -> Concerned {
        if matches!(part, Part::Node(_)) && object.is_superseded(self) {
            return Concerned::default();
        }
        self.put(object)
    }

    /// Takes an object out whose end a watch has brought; one of the same name that is not the same stays.
    pub(super) fn take_seen<K: Kept>(&mut self, metadata: &ObjectMeta) -> Concerned {
        let Some(key) = K::Key::of(metadata) else { return Concerned::default() };
        let is_another = |uid: &Uid| metadata.uid.as_deref().is_some_and(|ended| ended != uid.as_str());
        if K::uid(self, &key).as_ref().is_some_and(is_another) {
            return Concerned::default();
        }
        self.take::<K>(&key)
    }

    /// Takes an object out.
    pub fn take<K: Kept>(&mut self, key: &K::Key) -> Concerned {
        let mut concerned = Concerned::default();
        K::take(self, key, &mut concerned);
        concerned
    }

    /// Takes all objects of a kind out, as after the end of the kind.
    pub fn clear<K: Kept>(&mut self) -> Concerned {
        self.replace::<K>(&Part::All, Vec::new(), &BTreeSet::new())
    }

    /// Replaces the objects of a kind in a part of the cluster, as after a new list; those in `keep` stay as they are.
    pub fn replace<K: Kept>(&mut self, part: &Part, objects: Vec<K>, keep: &BTreeSet<K::Key>) -> Concerned {
        let mut concerned = Concerned::default();
        let present: BTreeSet<K::Key> = objects.iter().map(K::key).collect();
        for key in K::keys(self, part) {
            if !present.contains(&key) && !keep.contains(&key) {
                K::take(self, &key, &mut concerned);
            }
        }
        for object in objects {
            concerned.merge(self.put_seen(part, object));
        }
        concerned
    }
}

#[cfg(test)]
mod tests;
