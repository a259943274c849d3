//! What follows a write: definitions are served, namespaces and definitions that wait for their objects end.

use std::sync::Arc;

use serde_json::Value;

use super::super::{
    definitions,
    history::Key,
    namespaces,
    resource_type::ResourceType,
    store::{Store, key_of},
};

/// The kind under which an object of that kind is kept: Events are kept as `v1`.
pub(in super::super) fn stored_as(store: &Store, resource: &Arc<ResourceType>) -> Arc<ResourceType> {
    if resource.group == "events.k8s.io" {
        return store.kinds.find("", "v1", "events").unwrap_or_else(|| resource.clone());
    }
    resource.clone()
}

/// Writes an object.
pub(in super::super) fn put(store: &mut Store, resource: &ResourceType, object: Value) -> Arc<Value> {
    let object = store.put(resource, object);
    if definitions::is_definition(resource) {
        definitions::serve(store, &object);
    }
    object
}

/// Writes an object that was there before; one that only waited for its finalizers goes.
pub(in super::super) fn put_or_let_go(
    store: &mut Store,
    resource: &ResourceType,
    old: &Value,
    new: Value,
) -> Arc<Value> {
    let is_held = new["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    let only_waited = old["metadata"]["deletionGracePeriodSeconds"] == 0;
    let key = key_of(old);
    let object = put(store, resource, new);
    if resource.kind == "Namespace" && !resource.is_custom() {
        namespaces::finish_if_empty(store, &key.1);
    } else if only_waited && !is_held && !old["metadata"]["deletionTimestamp"].is_null() {
        remove(store, &resource.storage(), &key);
    } else if definitions::is_definition(resource) {
        definitions::finish_if_empty(store, &key.1);
    }
    object
}

/// Removes an object.
pub(in super::super) fn remove(store: &mut Store, storage: &str, key: &Key) -> Option<Arc<Value>> {
    let gone = store.remove(storage, key)?;
    if storage == definitions::STORAGE {
        definitions::serve_no_more(store, &key.1);
    } else {
        definitions::finish_if_empty(store, storage);
    }
    if !key.0.is_empty() {
        namespaces::finish_if_empty(store, &key.0);
    }
    Some(gone)
}
