//! How a namespace ends: its objects go first.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    builtin,
    history::Key,
    refusal::Refusal,
    resource_type::ResourceType,
    store::{Store, seconds},
    write::{
        delete::{DeleteOptions, Deleted, delete_object},
        effects,
    },
};

/// The namespaces that every cluster has.
pub(super) const FIRST: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// Those which nobody may delete.
const PROTECTED: &[&str] = &["default", "kube-public", "kube-system"];

/// Marks a namespace and deletes what is in it.
pub(super) fn delete(
    store: &mut Store,
    resource: &Arc<ResourceType>,
    current: &Arc<Value>,
    is_dry_run: bool,
) -> Result<Deleted, Refusal> {
    let name = current["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if PROTECTED.contains(&name.as_str()) {
        return Err(Refusal::forbidden(resource, &name, "this namespace may not be deleted"));
    }
    if !current["metadata"]["deletionTimestamp"].is_null() {
        return Ok(Deleted::Marked(current.clone()));
    }
    let mut object = Value::clone(current);
    object["metadata"]["deletionTimestamp"] = seconds(store.now()).into();
    object["status"]["phase"] = "Terminating".into();
    if is_dry_run {
        return Ok(Deleted::Marked(Arc::new(object)));
    }
    let marked = effects::put(store, resource, object);
    for storage in store.storages() {
        let Some(kind) = store.kinds.stored_in(&storage).filter(|kind| kind.is_namespaced()) else { continue };
        let keys: Vec<_> = store.all(&storage, &name).map(|(key, _)| key.clone()).collect();
        for key in keys {
            // What its own finalizers or its grace hold is waited for; what is gone is gone.
            if let Err(refusal) = delete_object(store, &kind, &key, &DeleteOptions::in_background()) {
                tracing::debug!(%refusal, "while a namespace ends");
            }
        }
    }
    finish_if_empty(store, &name);
    Ok(Deleted::Marked(marked))
}

/// Lets a namespace go that is ending and has nothing left in it.
pub(super) fn finish_if_empty(store: &mut Store, name: &str) {
    let key = Key(String::new(), name.to_owned());
    let Some(namespace) = store.get("namespaces", &key).cloned() else { return };
    if namespace["metadata"]["deletionTimestamp"].is_null() || has_content(store, name) {
        return;
    }
    if namespace["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
        effects::remove(store, "namespaces", &key);
        return;
    }
    // Somebody else holds it still.
    let Some(resource) = store.kinds.known("Namespace") else { return };
    if namespace["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
        let mut object = Value::clone(&namespace);
        object["spec"]["finalizers"] = json!([]);
        effects::put(store, &resource, object);
    }
}

pub(super) fn has_content(store: &Store, namespace: &str) -> bool {
    store.storages().iter().any(|storage| store.all(storage, namespace).next().is_some())
}

/// Makes the namespaces that every cluster has.
pub(super) fn make_first(store: &mut Store) {
    let Some(resource) = store.kinds.known("Namespace") else { return };
    for name in FIRST {
        let mut object = json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
            "spec": { "finalizers": ["kubernetes"] },
            "status": { "phase": "Active" },
        });
        object["metadata"]["uid"] = store.new_uid().into();
        object["metadata"]["creationTimestamp"] = seconds(store.now()).into();
        if builtin::has_generation(&resource) {
            object["metadata"]["generation"] = json!(1);
        }
        store.put(&resource, object);
    }
}
