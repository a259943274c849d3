//! Pruning and defaults by a structural schema.
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning>

use serde_json::{Map, Value};

use super::super::schema::{decode, types::TYPES};

/// Drops the fields that the schema does not have, and tells their paths.
pub fn prune(schema: &Value, object: &mut Value, unknown: &mut Vec<String>) {
    prune_at(schema, object, "", true, unknown);
}

fn preserves(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn prune_at(schema: &Value, value: &mut Value, path: &str, is_object: bool, unknown: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            let is_object = is_object || schema["x-kubernetes-embedded-resource"] == true;
            if is_object && !path.is_empty() {
                prune_metadata(entries, path, unknown);
            }
            let additional = &schema["additionalProperties"];
            let mut dropped = Vec::new();
            for (name, value) in entries.iter_mut() {
                if is_object && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                    continue;
                }
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let property = &schema["properties"][name];
                if property.is_object() {
                    prune_at(property, value, &at, false, unknown);
                } else if additional.is_object() {
                    prune_at(additional, value, &at, false, unknown);
                } else if additional != true && !preserves(schema) {
                    dropped.push(name.clone());
                    unknown.push(at);
                }
            }
            for name in dropped {
                entries.remove(&name);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let at = format!("{path}[{index}]");
                if schema["items"].is_object() {
                    prune_at(&schema["items"], item, &at, false, unknown);
                }
            }
        }
        _ => {}
    }
}

/// The metadata of an object inside the object.
fn prune_metadata(entries: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
    let meta = TYPES.get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    if let (Some(metadata), Some(meta)) = (entries.get_mut("metadata"), meta)
        && let Ok(decoded) = decode::decode(meta, metadata)
    {
        unknown.extend(decoded.unknown.iter().map(|field| format!("{path}.metadata.{field}")));
        *metadata = decoded.object;
    }
}

/// Sets what the schema has a default for; null where null is not allowed counts as not said.
pub fn set_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(entries) => {
            let empty = Map::new();
            let properties = schema["properties"].as_object().unwrap_or(&empty);
            for (name, property) in properties {
                let nullable = property["nullable"] == true;
                // Kubernetes drops such a null, whether there is a default or not.
                if !nullable && entries.get(name).is_some_and(Value::is_null) {
                    entries.remove(name);
                }
                if let Some(default) = property.get("default").filter(|_| !entries.contains_key(name)) {
                    entries.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in entries.iter_mut() {
                match properties.get(name) {
                    Some(property) => set_defaults(property, value),
                    None => set_defaults(&schema["additionalProperties"], value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| set_defaults(&schema["items"], item)),
        _ => {}
    }
}
