//! What an actor sees: the watched objects, as plain JSON.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

/// A kind, as a path in the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `apps`; empty for the core group.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`.
    pub plural: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// Namespace (empty for none) and name.
pub type Key = (String, String);

/// The watched objects, in the order of namespace and name.
#[derive(Clone, Debug, Default)]
pub struct View {
    objects: BTreeMap<Kind, BTreeMap<Key, Arc<Value>>>,
}

impl View {
    /// All of a kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.objects.get(&kind).into_iter().flat_map(|objects| objects.values().map(AsRef::as_ref))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&kind)?.get(&(namespace.to_owned(), name.to_owned())).map(AsRef::as_ref)
    }

    /// Takes up an object as it is now.
    pub fn put(&mut self, kind: Kind, object: Value) {
        let key = key_of(&object);
        self.objects.entry(kind).or_default().insert(key, Arc::new(object));
    }

    /// Forgets an object.
    pub fn remove(&mut self, kind: Kind, key: &Key) {
        if let Some(objects) = self.objects.get_mut(&kind) {
            objects.remove(key);
        }
    }
}

/// Namespace and name of an object.
#[must_use]
pub fn key_of(object: &Value) -> Key {
    let metadata = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (metadata("namespace"), metadata("name"))
}
