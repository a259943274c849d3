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

/// Writes an object that was there before. One that only waited for its finalizers goes instead, in one step: its last
/// change is in no version.
pub(in super::super) fn put_or_let_go(
    store: &mut Store,
    resource: &ResourceType,
    old: &Value,
    new: Value,
) -> Arc<Value> {
    let key = key_of(old);
    if !old["metadata"]["deletionTimestamp"].is_null() && may_go(store, resource, &new) {
        remove(store, &resource.storage(), &key);
        return Arc::new(new);
    }
    put(store, resource, new)
}

/// Whether nothing holds an object that is marked.
fn may_go(store: &Store, resource: &ResourceType, object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if definitions::is_definition(resource) {
        return definitions::may_go(store, name, object);
    }
    let is_held = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    if resource.kind == "Namespace" && !resource.is_custom() {
        return !is_held && !namespaces::has_content(store, name);
    }
    !is_held && object["metadata"]["deletionGracePeriodSeconds"] == 0
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
