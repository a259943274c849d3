//! The operations on a kind.

use serde_json::{Map, Value, json};

use super::{
    super::resource_type::{Definition, ResourceType, Scope, Subresource},
    name,
};

/// `api/v1`, `apis/apps/v1`.
pub(super) fn root(resource: &ResourceType) -> String {
    let api = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{api}/{}", resource.api_version())
}

/// For `/openapi/v3`.
pub(super) fn all(resources: &[&ResourceType]) -> Map<String, Value> {
    make(resources, "#/components/schemas/", true)
}

/// For `/openapi/v2`.
pub(super) fn all_v2(resources: &[&ResourceType]) -> Map<String, Value> {
    make(resources, "#/definitions/", false)
}

fn make(resources: &[&ResourceType], references: &str, v3: bool) -> Map<String, Value> {
    let mut paths = Map::new();
    for resource in resources {
        let schema = json!({"$ref": format!("{references}{}", name(resource))});
        let operation =
            |action: &str, verb: &str, query: &[&str]| operation(resource, action, verb, query, &schema, v3);
        let write = ["dryRun", "fieldManager", "fieldValidation"];
        let items = json!({
            "get": operation("list", "list", &["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "watch"]),
            "post": operation("post", "create", &write),
        });
        let item = json!({
            "get": operation("get", "read", &[]),
            "put": operation("put", "replace", &write),
            "patch": operation("patch", "partially update", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete": operation("delete", "delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
        });
        let base = match resource.scope {
            Scope::Namespaced => format!("/{}/namespaces/{{namespace}}/{}", root(resource), resource.plural),
            Scope::Cluster => format!("/{}/{}", root(resource), resource.plural),
        };
        if resource.subresources.contains(&Subresource::Status) {
            let status = json!({"get": item["get"], "put": item["put"], "patch": item["patch"]});
            paths.insert(format!("{base}/{{name}}/status"), status);
        }
        paths.insert(base.clone(), items);
        paths.insert(format!("{base}/{{name}}"), item);
    }
    paths
}

fn operation(resource: &ResourceType, action: &str, verb: &str, query: &[&str], schema: &Value, v3: bool) -> Value {
    let (group, version, kind) = (&resource.group, &resource.version, &resource.kind);
    let mut parameters: Vec<_> = query.iter().map(|name| parameter(name, "query", v3)).collect();
    if resource.scope == Scope::Namespaced {
        parameters.push(parameter("namespace", "path", v3));
    }
    if !matches!(action, "list" | "post") {
        parameters.push(parameter("name", "path", v3));
    }
    let mut operation = json!({
        "description": format!("{verb} {kind}"),
        "operationId": operation_id(resource, action),
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    });
    if action != "list" {
        let answer = &mut operation["responses"]["200"];
        if v3 {
            answer["content"] = json!({"application/json": {"schema": schema}});
        } else {
            answer["schema"] = schema.clone();
        }
    }
    if v3 && matches!(action, "post" | "put") {
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    if v3 && action == "patch" {
        let mut content = Map::new();
        let strategic = matches!(resource.definition, Definition::Builtin).then_some("strategic-merge-patch+json");
        for patch in ["json-patch+json", "merge-patch+json"].into_iter().chain(strategic) {
            content.insert(format!("application/{patch}"), json!({"schema": {"type": "object"}}));
        }
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn operation_id(resource: &ResourceType, action: &str) -> String {
    let group = if resource.group.is_empty() { "core" } else { resource.group.split('.').next().unwrap_or_default() };
    let upper = |text: &str| {
        let mut characters = text.chars();
        characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default() + characters.as_str()
    };
    let scope = if resource.scope == Scope::Namespaced { "Namespaced" } else { "" };
    format!("{action}{}{}{scope}{}", upper(group), upper(&resource.version), resource.kind)
}

fn parameter(name: &str, place: &str, v3: bool) -> Value {
    let of = match name {
        "force" | "watch" => "boolean",
        "limit" | "gracePeriodSeconds" => "integer",
        _ => "string",
    };
    let mut parameter = json!({"name": name, "in": place});
    if place == "path" {
        parameter["required"] = true.into();
    }
    if v3 {
        parameter["schema"] = json!({"type": of, "uniqueItems": true});
    } else {
        parameter["type"] = of.into();
        parameter["uniqueItems"] = true.into();
    }
    parameter
}
