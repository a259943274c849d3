//! What every object has. `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`

use serde_json::Value;

use super::{field::Errors, names};
use crate::api_server::resource_type::{Definition, ResourceType, Scope};

/// Annotations of one object, keys and values together, in bytes.
const MOST_ANNOTATION_BYTES: usize = 256 * 1024;

/// Says what is wrong with `metadata`.
pub fn validate(resource: &ResourceType, old: Option<&Value>, object: &Value, errors: &mut Errors) {
    let metadata = &object["metadata"];
    match old {
        None => created(resource, metadata, errors),
        Some(old) => changed(&old["metadata"], metadata, errors),
    }
    labels(&metadata["labels"], "metadata.labels", errors);
    annotations(&metadata["annotations"], "metadata.annotations", errors);
    owners(&metadata["ownerReferences"], errors);
    let finalizers = || metadata["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for (index, name) in finalizers().enumerate() {
        let builtin = matches!(resource.definition, Definition::Builtin);
        errors.malformed("metadata.finalizers", name, names::label_key(name));
        if builtin && resource.group.is_empty() {
            finalizer(name, &format!("metadata.finalizers[{index}]"), errors);
        }
    }
    if finalizers().any(|finalizer| finalizer == "orphan")
        && finalizers().any(|finalizer| finalizer == "foregroundDeletion")
    {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid("metadata.finalizers", &metadata["finalizers"], detail);
    }
}

/// What is wrong with the name of an object of this kind.
#[must_use]
pub fn name(resource: &ResourceType, name: &str) -> Vec<String> {
    let wrong = match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Namespace" | "Service") => names::dns_label(name),
        ("rbac.authorization.k8s.io", _) => names::path_segment(name),
        _ => names::dns_subdomain(name),
    };
    // Of names, Kubernetes counts characters; of labels and prefixes bytes.
    wrong.into_iter().map(|message| message.replace(" bytes", " characters")).collect()
}

fn created(resource: &ResourceType, metadata: &Value, errors: &mut Errors) {
    if let Some(generate) = metadata["generateName"].as_str().filter(|generate| !generate.is_empty()) {
        // The dash at the end is what a random part follows.
        let checked = generate.strip_suffix('-').map_or_else(|| generate.to_owned(), |rest| format!("{rest}a"));
        errors.malformed("metadata.generateName", generate, name(resource, &checked));
    }
    match metadata["name"].as_str().unwrap_or_default() {
        "" => errors.required("metadata.name", "name or generateName is required"),
        given => errors.malformed("metadata.name", given, name(resource, given)),
    }
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    match (resource.scope, namespace) {
        (Scope::Namespaced, "") => errors.required("metadata.namespace", ""),
        (Scope::Namespaced, _) => errors.malformed("metadata.namespace", namespace, names::dns_label(namespace)),
        (Scope::Cluster, "") => {}
        (Scope::Cluster, _) => errors.forbidden("metadata.namespace", "not allowed on this type"),
    }
    if matches!(resource.definition, Definition::Builtin) {
        errors.non_negative("metadata.generation", &metadata["generation"]);
    }
}

fn changed(old: &Value, new: &Value, errors: &mut Errors) {
    for (field, path) in [
        ("name", "metadata.name"),
        ("namespace", "metadata.namespace"),
        ("uid", "metadata.uid"),
        ("creationTimestamp", "metadata.creationTimestamp"),
        ("deletionTimestamp", "metadata.deletionTimestamp"),
        ("deletionGracePeriodSeconds", "metadata.deletionGracePeriodSeconds"),
    ] {
        errors.immutable(path, &old[field], &new[field]);
    }
    if !old["deletionTimestamp"].is_null() {
        let before = old["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let after = new["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut added: Vec<_> =
            after.iter().filter(|finalizer| !before.contains(finalizer)).map(Value::to_string).collect();
        added.sort();
        if !added.is_empty() {
            let detail = "no new finalizers can be added if the object is being deleted, found new finalizers";
            errors.forbidden("metadata.finalizers", &format!("{detail} []string{{{}}}", added.join(", ")));
        }
    }
}

/// Says what is wrong with the finalizer of a kind of the core group: it is one that Kubernetes knows, or has a domain.
pub fn finalizer(name: &str, path: &str, errors: &mut Errors) {
    let wrong = names::label_key(name);
    if wrong.is_empty() && !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
        errors.invalid(path, &name.into(), "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/// Says what is wrong with labels.
pub fn labels(labels: &Value, path: &str, errors: &mut Errors) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        errors.malformed(path, key, names::label_key(key));
        let value = value.as_str().unwrap_or_default();
        errors.malformed(path, value, names::label_value(value));
    }
}

/// Says what is wrong with annotations.
pub fn annotations(annotations: &Value, path: &str, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        errors.malformed(path, key, names::label_key(&key.to_lowercase()));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > MOST_ANNOTATION_BYTES {
        errors.too_long(path, MOST_ANNOTATION_BYTES);
    }
}

/// Says what is wrong with a `{matchLabels, matchExpressions}`.
pub fn label_selector(selector: &Value, path: &str, errors: &mut Errors) {
    labels(&selector["matchLabels"], &format!("{path}.matchLabels"), errors);
    for (index, expression) in selector["matchExpressions"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = expression["values"].as_array().map(Vec::as_slice).unwrap_or_default();
        match expression["operator"].as_str().unwrap_or_default() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    errors.forbidden(format!("{path}.values"), detail);
                }
            }
            other => errors.invalid(format!("{path}.operator"), &other.into(), "not a valid selector operator"),
        }
        let key = expression["key"].as_str().unwrap_or_default();
        errors.malformed(format!("{path}.key"), key, names::label_key(key));
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            errors.malformed(format!("{path}.values[{index}]"), value, names::label_value(value));
        }
    }
}

fn owners(owners: &Value, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for (index, owner) in owners.as_array().into_iter().flatten().enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        let version = text("apiVersion");
        if version.is_empty() {
            errors.required(format!("{path}.apiVersion"), "must not be empty");
        } else if version.matches('/').count() > 1 || version.ends_with('/') {
            errors.invalid(format!("{path}.apiVersion"), &version.into(), "must be <group>/<version> or <version>");
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                errors.required(format!("{path}.{field}"), "must not be empty");
            }
        }
        if (version, text("kind")) == ("v1", "Event") {
            errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    );
                    errors.invalid("metadata.ownerReferences", owners, &detail);
                }
                None => controller = Some(name),
            }
        }
    }
}
