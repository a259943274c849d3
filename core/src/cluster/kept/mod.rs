//! The kinds that snapshots hold: where each is kept, by what it is found, and which nodes a change of it concerns.

mod careen;
mod kubernetes;
mod kubevirt;

use imbl::OrdMap;
use kube::api::ObjectMeta;

use super::{
    Snapshot,
    apply::{Concerned, Kept, Part},
};
use crate::model::ObjectKey;

fn namespaced_key(metadata: &ObjectMeta) -> Option<ObjectKey> {
    Some(ObjectKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
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
