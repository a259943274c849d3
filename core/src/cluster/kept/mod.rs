//! The kinds that snapshots hold: where each is kept, by what it is found, and which nodes a change of it concerns.

mod careen;
mod kubernetes;
mod kubevirt;

use imbl::OrdMap;
use kube::api::ObjectMeta;

use super::{
    Snapshot,
    apply::{Concerned, Kept, Key, Part},
};
use crate::model::{NodeName, ObjectKey};

impl Key for ObjectKey {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        Some(Self::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
    }

    fn is_in(&self, part: &Part) -> bool {
        !matches!(part, Part::Namespace(namespace) if *namespace != self.namespace)
    }
}

impl Key for NodeName {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        metadata.name.as_deref()?.parse().ok()
    }

    fn is_in(&self, part: &Part) -> bool {
        !matches!(part, Part::Node(node) if node != self)
    }
}

/// A name, where all of a kind are watched at once.
impl Key for String {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        metadata.name.clone()
    }

    fn is_in(&self, _: &Part) -> bool {
        true
    }
}

/// Of what there is only one.
impl Key for () {
    fn of(_: &ObjectMeta) -> Option<Self> {
        Some(())
    }

    fn is_in(&self, _: &Part) -> bool {
        true
    }
}

/// The keys that may belong to that part of the cluster.
fn keys_in<K: Key, V: Clone>(objects: &OrdMap<K, V>, part: &Part) -> Vec<K> {
    objects.keys().filter(|key| key.is_in(part)).cloned().collect()
}

/// Moves an entry of an index from one owner to another.
fn reindex<I: Ord + Clone, K: Ord + Clone, V: Clone>(
    index: &mut OrdMap<I, OrdMap<K, V>>,
    key: &K,
    old: Option<&I>,
    new: Option<(&I, V)>,
) {
    if let Some(old) = old
        && new.as_ref().is_none_or(|(new, _)| *new != old)
        && let Some(entries) = index.get_mut(old)
    {
        entries.remove(key);
        if entries.is_empty() {
            index.remove(old);
        }
    }
    if let Some((new, value)) = new {
        index.entry(new.clone()).or_default().insert(key.clone(), value);
    }
}
