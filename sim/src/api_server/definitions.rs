//! CustomResourceDefinitions: their kinds are served as soon as they are there, and their objects go with them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    custom,
    history::Key,
    refusal::Refusal,
    resource_type::ResourceType,
    store::{Store, seconds},
    write::{
        delete::{DeleteOptions, Deleted, delete_object},
        effects,
    },
};

/// Where definitions are kept.
pub(super) const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Holds a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether it is the kind of definitions.
pub(super) fn is_definition(resource: &ResourceType) -> bool {
    !resource.is_custom() && resource.kind == "CustomResourceDefinition"
}

/// Makes a definition. Its conditions come with a second write, as from the controller that looks at its names.
pub(super) fn create(
    store: &mut Store,
    resource: &Arc<ResourceType>,
    mut object: Value,
) -> Result<Arc<Value>, Refusal> {
    custom::resource_types(&object)?;
    let versions = object["spec"]["versions"].as_array().cloned().unwrap_or_default();
    let stored: Vec<_> = versions.iter().filter(|version| version["storage"] == true).collect();
    let stored: Vec<_> = stored.iter().map(|version| version["name"].clone()).collect();
    object["status"] =
        json!({ "acceptedNames": { "kind": "", "plural": "" }, "conditions": null, "storedVersions": stored });
    let made = store.put(resource, object);
    let now = seconds(store.now());
    let condition = |type_: &str, reason: &str, message: &str| json!({ "type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now });
    let mut established = Value::clone(&made);
    established["status"]["acceptedNames"] = established["spec"]["names"].clone();
    established["status"]["conditions"] = json!([
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
    effects::put(store, resource, established);
    Ok(made)
}

/// Serves what a definition says now.
pub(super) fn serve(store: &mut Store, definition: &Value) {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    match custom::resource_types(definition) {
        Ok(versions) => store.kinds.define(name, versions),
        Err(refusal) => tracing::warn!(definition = name, %refusal, "a definition that cannot be served"),
    }
}

/// Its kinds are not known any more.
pub(super) fn serve_no_more(store: &mut Store, name: &str) {
    store.kinds.define(name, Vec::new());
    store.watchers.close(name);
}

/// Marks a definition and deletes its objects.
pub(super) fn delete(
    store: &mut Store,
    resource: &Arc<ResourceType>,
    current: &Arc<Value>,
    is_dry_run: bool,
) -> Deleted {
    let name = current["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if is_dry_run || !current["metadata"]["deletionTimestamp"].is_null() {
        return Deleted::Marked(current.clone());
    }
    let mut object = Value::clone(current);
    let now = seconds(store.now());
    object["metadata"]["deletionTimestamp"] = now.as_str().into();
    match object["metadata"]["finalizers"].as_array_mut() {
        Some(finalizers) => finalizers.push(FINALIZER.into()),
        None => object["metadata"]["finalizers"] = json!([FINALIZER]),
    }
    let terminating = json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon", "lastTransitionTime": now,
    });
    if let Some(conditions) = object["status"]["conditions"].as_array_mut() {
        conditions.push(terminating);
    }
    let marked = effects::put(store, resource, object);
    if let Some(kind) = store.kinds.stored_in(&name) {
        let keys: Vec<_> = store.all(&name, "").map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Err(refusal) = delete_object(store, &kind, &key, &DeleteOptions::in_background()) {
                tracing::debug!(%refusal, "while a definition ends");
            }
        }
    }
    finish_if_empty(store, &name);
    Deleted::Marked(marked)
}

/// Lets a definition go that is ending and has no objects left. Its name is also where these are kept.
pub(super) fn finish_if_empty(store: &mut Store, name: &str) {
    let key = Key(String::new(), name.to_owned());
    let Some(definition) = store.get(STORAGE, &key).cloned() else { return };
    if !definition["metadata"]["deletionTimestamp"].is_null() && may_go(store, name, &definition) {
        effects::remove(store, STORAGE, &key);
    }
}

/// Whether a definition that is marked has no objects left, and nobody else holds it.
pub(super) fn may_go(store: &Store, name: &str, definition: &Value) -> bool {
    let mut finalizers = definition["metadata"]["finalizers"].as_array().into_iter().flatten();
    store.all(name, "").next().is_none() && finalizers.all(|finalizer| *finalizer == FINALIZER)
}
