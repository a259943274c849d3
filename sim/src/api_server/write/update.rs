//! `PUT`, and what every change of an object has to keep.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    super::{
        builtin, event,
        history::Key,
        plugin::Asked,
        refusal::{Cause, Refusal},
        reply::{Answer, Reply, in_version},
        resource_type::{ResourceType, Subresource},
        schema::{self, FieldValidation, Part},
        store::Store,
        user::User,
    },
    Write, admission, body, create, effects,
};

/// How a change is to be made.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Options<'a> {
    pub(in super::super) part: Part,
    pub(in super::super) is_dry_run: bool,
    pub(in super::super) validation: FieldValidation,
    /// Who wants it.
    pub(in super::super) user: &'a User,
}

impl<'a> Options<'a> {
    pub(in super::super) fn of(write: &Write<'a>, name: &str) -> Result<Self, Refusal> {
        let query = &write.request.query;
        Ok(Self {
            part: if write.target.subresource == "status" { Part::Status } else { Part::Main },
            is_dry_run: query.is_dry_run(name)?,
            validation: query.field_validation(name)?,
            user: &write.request.user,
        })
    }
}

/// The object's own name and namespace have to be those of the path.
pub(in super::super) fn check_name(object: &Value, write: &Write) -> Result<(), Refusal> {
    let Key(namespace, name) = write.key();
    let own = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    if own("name").is_empty() {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if own("name") != name {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            own("name")
        )));
    }
    if !own("namespace").is_empty() && own("namespace") != namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Answers a `PUT` of an object or of its status.
pub(in super::super) fn update(store: &mut Store, write: &Write) -> Result<Answer, Refusal> {
    let options = Options::of(write, "UpdateOptions")?;
    let resource = write.resource;
    let object = body::object(write.request, resource, &store.kinds)?;
    check_name(&object, write)?;
    let key = write.key();
    let Some(old) = store.get(&resource.storage(), &key).cloned() else {
        if builtin::may_be_created_by_update(resource) && options.part == Part::Main && !create::has_version(&object) {
            return create::create(store, write);
        }
        return Err(Refusal::not_found(resource, &key.1));
    };
    if let Some(uid) =
        object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty() && old["metadata"]["uid"] != *uid)
    {
        let there = old["metadata"]["uid"].as_str().unwrap_or_default();
        let path = if key.0.is_empty() { key.1.clone() } else { format!("{}/{}", key.0, key.1) };
        return Err(Refusal::conflict(
            resource,
            &key.1,
            &format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}/{path}, ResourceVersion: 0, \
                 AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {there}",
                resource.plural
            ),
        ));
    }
    if builtin::needs_version_for_update(resource) && !create::has_version(&object) {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: "Invalid value: 0: must be specified for an update".into(),
            field: "metadata.resourceVersion".into(),
        };
        return Err(Refusal::invalid_kind(&resource.group, &resource.plural, &key.1, &[cause]));
    }
    replace(store, resource, &old, object, options)
}

/// Puts an object in the place of another, if it may take it.
pub(in super::super) fn replace(
    store: &mut Store,
    resource: &Arc<ResourceType>,
    old: &Arc<Value>,
    new: Value,
    options: Options<'_>,
) -> Result<Answer, Refusal> {
    // From here on its fields have the types that they should have.
    let decoded = schema::decode(resource, new, options.validation)?;
    let mut new = decoded.object;
    let name = old["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if create::has_version(&new) && new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Refusal::conflict(resource, &name, why));
    }
    let seen = in_version(resource, old);
    separate_status(resource, &seen, &mut new, options.part);
    keep_metadata(resource, &seen, &mut new)?;
    admission::fold_string_data(resource, &mut new);
    new["apiVersion"] = seen["apiVersion"].clone();
    new["kind"] = seen["kind"].clone();
    store.plugins.ask(&Asked { user: options.user, resource, old: Some(&seen) }, &mut new)?;
    let mut new = schema::admit_change(resource, &seen, new, options.part, FieldValidation::Ignore)?.object;
    bump_generation(resource, &seen, &mut new, options.part);
    if resource.group == "events.k8s.io" {
        new = event::to_core(&new);
    }
    let object = if is_same(old, &new) {
        old.clone()
    } else if options.is_dry_run {
        Arc::new(new)
    } else {
        let stored_as = effects::stored_as(store, resource);
        effects::put_or_let_go(store, &stored_as, old, new)
    };
    let reply = Reply::Object { code: 200, resource: resource.clone(), object };
    Ok(Answer { reply, warnings: decoded.warnings })
}

/// Whether nothing has changed. What is written then makes no new version.
fn is_same(old: &Value, new: &Value) -> bool {
    let fields = |object: &Value| -> Option<Map<String, Value>> {
        let mut fields = object.as_object()?.clone();
        fields.remove("apiVersion");
        Some(fields)
    };
    fields(old) == fields(new)
}

fn separate_status(resource: &ResourceType, old: &Value, new: &mut Value, part: Part) {
    if !resource.has(Subresource::Status) {
        return;
    }
    let take = |new: &mut Value, field: &str| match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => {
            if let Some(fields) = new.as_object_mut() {
                fields.remove(field);
            }
        }
    };
    match part {
        Part::Main => take(new, "status"),
        Part::Status if resource.is_custom() => {
            let status = new.get("status").cloned();
            new.clone_from(old);
            match status {
                Some(status) => new["status"] = status,
                None => take(new, "status"),
            }
        }
        Part::Status => {
            take(new, "spec");
            if let Some(metadata) = new["metadata"].as_object_mut() {
                for field in
                    ["ownerReferences"].into_iter().chain(builtin::status_keeps_labels(resource).then_some("labels"))
                {
                    match old["metadata"].get(field) {
                        Some(value) => drop(metadata.insert(field.into(), value.clone())),
                        None => drop(metadata.remove(field)),
                    }
                }
            }
        }
    }
}

/// What the server alone sets stays; what is immutable has not changed.
fn keep_metadata(resource: &ResourceType, old: &Value, new: &mut Value) -> Result<(), Refusal> {
    let old_metadata = &old["metadata"];
    if !new["metadata"].is_object() {
        new["metadata"] = json!({});
    }
    check_immutable(resource, old_metadata, &new["metadata"])?;
    if !old_metadata["deletionTimestamp"].is_null() {
        check_finalizers(resource, old_metadata, &new["metadata"])?;
    }
    if let Some(metadata) = new["metadata"].as_object_mut() {
        take_over(old_metadata, metadata);
    }
    Ok(())
}

fn check_immutable(resource: &ResourceType, old_metadata: &Value, metadata: &Value) -> Result<(), Refusal> {
    let name = old_metadata["name"].as_str().unwrap_or_default();
    if let Some(uid) = metadata["uid"].as_str().filter(|uid| !uid.is_empty() && old_metadata["uid"] != *uid) {
        let message = format!("Invalid value: {uid:?}: field is immutable");
        let cause = Cause { reason: "FieldValueInvalid", message, field: "metadata.uid".into() };
        return Err(Refusal::invalid(resource, name, &[cause]));
    }
    // Other times than the server's are dropped without a word. That it is deleted, and how soon, nobody writes.
    let is_new = |field: &str| !metadata[field].is_null() && metadata[field] != old_metadata[field];
    for (field, why) in [
        ("deletionTimestamp", "field is immutable"),
        ("deletionGracePeriodSeconds", "field is immutable; may only be changed via deletion"),
    ] {
        let is_kept = field == "deletionTimestamp" && !old_metadata[field].is_null();
        if is_new(field) && !is_kept {
            let message = format!("Invalid value: {}: {why}", metadata[field]);
            let cause = Cause { reason: "FieldValueInvalid", message, field: format!("metadata.{field}") };
            return Err(Refusal::invalid(resource, name, &[cause]));
        }
    }
    Ok(())
}

/// What is being deleted gets no more of them.
fn check_finalizers(resource: &ResourceType, old_metadata: &Value, metadata: &Value) -> Result<(), Refusal> {
    let name = old_metadata["name"].as_str().unwrap_or_default();
    let list = |metadata: &Value| metadata["finalizers"].as_array().cloned().unwrap_or_default();
    let before = list(old_metadata);
    let added: Vec<_> = list(metadata).into_iter().filter(|finalizer| !before.contains(finalizer)).collect();
    if !added.is_empty() {
        let added: Vec<_> = added.iter().map(ToString::to_string).collect();
        let message = format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            added.join(", ")
        );
        let cause = Cause { reason: "FieldValueForbidden", message, field: "metadata.finalizers".into() };
        return Err(Refusal::invalid(resource, name, &[cause]));
    }
    Ok(())
}

/// What the server alone sets is as it was, and an empty map or list is none.
fn take_over(old_metadata: &Value, metadata: &mut Map<String, Value>) {
    metadata.remove("managedFields");
    for field in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    ] {
        match old_metadata.get(field) {
            Some(value) => drop(metadata.insert(field.into(), value.clone())),
            None => drop(metadata.remove(field)),
        }
    }
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let is_empty = match metadata.get(field) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if is_empty {
            metadata.remove(field);
        }
    }
}

fn bump_generation(resource: &ResourceType, old: &Value, new: &mut Value, part: Part) {
    if !builtin::has_generation(resource) || part == Part::Status {
        return;
    }
    let has_status = resource.has(Subresource::Status);
    let counted = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let fields = fields.filter(|(field, _)| {
            let is_counted = *field != "status" || !has_status;
            is_counted && !matches!(field.as_str(), "metadata" | "apiVersion" | "kind")
        });
        fields.map(|(field, value)| (field.clone(), value.clone())).collect()
    };
    let counts_annotations = !resource.is_custom() && resource.kind == "Deployment";
    let has_changed = counted(old) != counted(new)
        || (counts_annotations && old["metadata"]["annotations"] != new["metadata"]["annotations"]);
    if has_changed {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
}
