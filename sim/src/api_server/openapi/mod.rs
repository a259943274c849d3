//! `/openapi/v2` and `/openapi/v3`, made from the kinds that are served: what `kubectl` needs to explain, to apply and to let
//! the server validate. Making a document costs milliseconds: keep it until the kinds change.
//!
//! | module | holds |
//! |---|---|
//! | `builtin` | the schemas of the built-in kinds |
//! | `paths` | the operations on a kind |
//! | [`protobuf`] | `/openapi/v2` as `kubectl` reads it |

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::{Map, Value, json};

use super::resource_type::{Definition, ResourceType};

mod builtin;
mod paths;
pub mod protobuf;

/// `/openapi/v3`: where the documents are.
#[must_use]
pub fn v3_index(resources: &[&ResourceType]) -> Value {
    let mut hashes: BTreeMap<String, DefaultHasher> = BTreeMap::new();
    for resource in resources {
        let of_version = hashes.entry(paths::root(resource)).or_default();
        (&resource.kind, &resource.plural, resource.subresources.len()).hash(of_version);
        if let Definition::Custom(definition) = &resource.definition {
            definition.schema.to_string().hash(of_version);
        }
    }
    let paths: Map<_, _> = hashes
        .into_iter()
        .map(|(path, hasher)| {
            let url = format!("/openapi/v3/{path}?hash={:016X}", hasher.finish());
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// `/openapi/v3/apis/apps/v1`: the document of one group and version.
#[must_use]
pub fn v3(resources: &[&ResourceType]) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths::all(resources),
        "components": {"schemas": schemas(resources, "#/components/schemas/")},
    })
}

/// `/openapi/v2`: the document of all.
#[must_use]
pub fn v2(resources: &[&ResourceType]) -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths::all_v2(resources),
        "definitions": schemas(resources, "#/definitions/"),
    })
}

/// The name of a kind's schema: `io.k8s.api.core.v1.Pod`, `io.kubevirt.v1.VirtualMachine`.
fn name(resource: &ResourceType) -> String {
    if let Some(of) = super::schema::types::TYPES.kind(&resource.group, &resource.version, &resource.kind)
        && matches!(resource.definition, Definition::Builtin)
    {
        return of.name.to_owned();
    }
    let group: Vec<_> = resource.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), resource.version, resource.kind)
}

fn schemas(resources: &[&ResourceType], references: &str) -> Map<String, Value> {
    let mut all = builtin::schemas(resources, references);
    for resource in resources {
        let name = name(resource);
        if let Definition::Custom(definition) = &resource.definition {
            all.insert(name.clone(), custom(definition.schema.clone(), references));
        }
        if let Some(schema) = all.get_mut(&name) {
            schema["x-kubernetes-group-version-kind"] =
                json!([{"group": resource.group, "version": resource.version, "kind": resource.kind}]);
        }
    }
    all
}

/// The schema of a custom kind, with what every object has.
fn custom(mut schema: Value, references: &str) -> Value {
    if !schema.is_object() {
        schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    for (field, description) in [("apiVersion", builtin::API_VERSION), ("kind", builtin::KIND)] {
        schema["properties"][field] = json!({"type": "string", "description": description});
    }
    let description = "Standard object's metadata. More info: \
                       https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
    let meta = format!("{references}{}", builtin::OBJECT_META);
    schema["properties"]["metadata"] = json!({"description": description, "allOf": [{"$ref": meta}]});
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_server::schema::{fixtures::resource, types::TYPES};

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                assert!(entries.values().all(|value| !value.is_null()), "{entries:?}");
                found.extend(entries.get("$ref").and_then(Value::as_str).map(str::to_owned));
                entries.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let kinds: Vec<_> = TYPES.kinds().map(|(group, _, kind)| resource(group, kind)).collect();
        let kinds: Vec<_> = kinds.iter().collect();
        for document in [v3(&kinds), v2(&kinds)] {
            let mut found = Vec::new();
            references(&document, &mut found);
            assert!(found.len() > 100);
            for reference in found {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
        }
    }

    #[test]
    fn kubectl_finds_what_it_looks_for() {
        let pods = resource("", "Pod");
        let document = v3(&[&pods]);
        let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"], kind);
        let parameters = patch["parameters"].as_array().unwrap();
        assert!(
            parameters.iter().any(|parameter| parameter["name"] == "fieldValidation" && parameter["in"] == "query")
        );
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"], json!([kind]));
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        let index = v3_index(&[&pods]);
        assert!(
            index["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap().starts_with("/openapi/v3/api/v1?hash=")
        );
    }
}
