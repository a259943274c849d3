//! `POST`: a new object.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{
        builtin, definitions, event,
        history::Key,
        plugin::Asked,
        refusal::{Cause, Refusal},
        reply::{Answer, Reply},
        resource_type::ResourceType,
        schema::{self, FieldValidation},
        store::{Store, seconds},
        webhook,
    },
    Write, admission, body, effects,
};

/// As often as Kubernetes tries another name for `generateName`.
const NAMES_TRIED: usize = 8;

/// What the server alone sets.
const OF_THE_SERVER: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Answers a `POST` of an object.
pub(in super::super) fn create(store: &mut Store, write: &Write) -> Result<Answer, Refusal> {
    let query = &write.request.query;
    let is_dry_run = query.is_dry_run("CreateOptions")?;
    let validation = query.field_validation("CreateOptions")?;
    let object = body::object(write.request, write.resource, &store.kinds)?;
    // From here on its fields have the types that they should have.
    let decoded = schema::decode(write.resource, object, validation)?;
    let mut object = decoded.object;
    set_namespace(&mut object, write)?;
    set_name(store, &mut object, write.resource)?;
    let key = super::super::store::key_of(&object);
    admission::namespace_must_take_it(store, write.resource, &key)?;
    if has_version(&object) {
        return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    let asked = Asked { user: &write.request.user, resource: write.resource, old: None };
    store.plugins.ask(&asked, &mut object)?;
    prepare(store, write.resource, &mut object);
    admission::complete(store, write.resource, &mut object)?;
    admission::fold_string_data(write.resource, &mut object);
    let mut object = schema::admit_new(write.resource, object, FieldValidation::Ignore)?.object;
    if write.resource.group == "events.k8s.io" {
        object = event::to_core(&object);
    }
    if store.get(&write.resource.storage(), &key).is_some() {
        return Err(Refusal::already_exists(write.resource, &key.1));
    }
    let object = if is_dry_run { Arc::new(object) } else { put(store, write.resource, object)? };
    let reply = Reply::Object { code: 201, resource: write.resource.clone(), object };
    let mut warnings = decoded.warnings;
    if write.resource.kind == "ValidatingWebhookConfiguration"
        && let Reply::Object { object, .. } = &reply
    {
        warnings.extend(webhook::warning(object));
    }
    Ok(Answer { reply, warnings })
}

fn put(store: &mut Store, resource: &Arc<ResourceType>, object: Value) -> Result<Arc<Value>, Refusal> {
    if definitions::is_definition(resource) {
        return definitions::create(store, resource, object);
    }
    let resource = effects::stored_as(store, resource);
    Ok(effects::put(store, &resource, object))
}

/// Versions of 0 and "" are none.
pub(in super::super) fn has_version(object: &Value) -> bool {
    object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !matches!(version, "" | "0"))
}

fn set_namespace(object: &mut Value, write: &Write) -> Result<(), Refusal> {
    let metadata = &mut object["metadata"];
    if !write.resource.is_namespaced() {
        if metadata["namespace"].as_str().is_some_and(|namespace| !namespace.is_empty()) {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(why));
        }
        return Ok(());
    }
    match metadata["namespace"].as_str().unwrap_or_default() {
        "" => metadata["namespace"] = write.target.namespace.as_str().into(),
        namespace if namespace == write.target.namespace => {}
        _ => {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad_request(why));
        }
    }
    Ok(())
}

fn set_name(store: &mut Store, object: &mut Value, resource: &ResourceType) -> Result<(), Refusal> {
    let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    if !text(object, "name").is_empty() {
        return Ok(());
    }
    let prefix = text(object, "generateName");
    if prefix.is_empty() {
        let cause = Cause {
            reason: "FieldValueRequired",
            message: "Required value: name or generateName is required".into(),
            field: "metadata.name".into(),
        };
        return Err(Refusal::invalid(resource, "", &[cause]));
    }
    let namespace = text(object, "namespace");
    // Names may be 63 long.
    let prefix: String = prefix.chars().take(58).collect();
    for _ in 0..NAMES_TRIED {
        let key = Key(namespace.clone(), format!("{prefix}{}", store.new_suffix()));
        if store.get(&resource.storage(), &key).is_none() {
            object["metadata"]["name"] = key.1.into();
            return Ok(());
        }
    }
    Err(Refusal::already_exists(resource, &prefix))
}

/// What the server sets, and the status that new objects have.
pub(in super::super) fn prepare(store: &mut Store, resource: &ResourceType, object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in OF_THE_SERVER {
            metadata.remove(*field);
        }
    }
    object["metadata"]["uid"] = store.new_uid().into();
    object["metadata"]["creationTimestamp"] = seconds(store.now()).into();
    if builtin::has_generation(resource) {
        object["metadata"]["generation"] = json!(1);
    }
    match builtin::first_status(resource) {
        Some(Value::Null) => {
            if let Some(fields) = object.as_object_mut() {
                fields.remove("status");
            }
        }
        Some(status) => object["status"] = status,
        None => {}
    }
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_ref().into();
}
