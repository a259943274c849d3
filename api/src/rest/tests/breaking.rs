//! A change of the contract must not break who relies on a release: whoever sent what was right then is understood, and
//! finds in the answer what was promised.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::rest::openapi;

/// What would break.
fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut changes = Changes { old, new, found: Vec::new(), seen: BTreeSet::new() };
    for (path, item) in fields(&old["paths"]) {
        for (method, operation) in fields(item) {
            let place = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => changes.operation(&place, operation, now),
                None => changes.add(&place, "is gone"),
            }
        }
    }
    changes.found
}

struct Changes<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<String>,
    /// The pairs of schemas that were compared, or are being compared: schemas refer to each other in circles.
    seen: BTreeSet<(String, bool)>,
}

impl Changes<'_> {
    fn add(&mut self, place: &str, what: &str) {
        self.found.push(format!("{place} {what}"));
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.add(place, "has another operationId: generated clients call it by that");
        }
        for parameter in items(&old["parameters"]) {
            let place = format!("{place}, parameter {}", parameter["name"]);
            match find_parameter(new, parameter) {
                Some(now) => self.schema(&place, &parameter["schema"], &now["schema"], true),
                None => self.add(&place, "is gone"),
            }
        }
        for parameter in items(&new["parameters"]).filter(|parameter| parameter["required"] == true) {
            if find_parameter(old, parameter).is_none_or(|before| before["required"] != true) {
                self.add(&format!("{place}, parameter {}", parameter["name"]), "is required now");
            }
        }
        let (body, body_now) = (&old["requestBody"], &new["requestBody"]);
        if body_now["required"] == true && body["required"] != true {
            self.add(place, "requires a body now");
        }
        self.contents(&format!("{place}, body"), &body["content"], &body_now["content"], true);
        for (status, response) in fields(&old["responses"]) {
            let place = format!("{place}, answer {status}");
            match new["responses"].get(status) {
                Some(now) => self.contents(&place, &response["content"], &now["content"], false),
                None => self.add(&place, "is gone"),
            }
        }
    }

    fn contents(&mut self, place: &str, old: &Value, new: &Value, is_sent: bool) {
        for (type_, content) in fields(old) {
            match new.get(type_) {
                Some(now) => self.schema(place, &content["schema"], &now["schema"], is_sent),
                None => self.add(place, &format!("is no {type_} any more")),
            }
        }
    }

    /// Compares what clients send, or what they are sent.
    fn schema(&mut self, place: &str, old: &Value, new: &Value, is_sent: bool) {
        if let Some(name) = old["$ref"].as_str()
            && !self.seen.insert((format!("{name} {}", new["$ref"]), is_sent))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let (types, types_now) = (types(old), types(new));
        let narrowed = if is_sent { !types.is_subset(&types_now) } else { !types_now.is_subset(&types) };
        if narrowed && !types.is_empty() {
            self.add(place, &format!("is {types_now:?}, and was {types:?}"));
        }
        let (values, values_now) = (values(old), values(new));
        // A new value in an answer is no break: clients are told to expect it.
        for value in values.difference(&values_now).filter(|_| is_sent || !values_now.is_empty()) {
            self.add(place, &format!("has no value {value} any more"));
        }
        for (name, property) in fields(&old["properties"]) {
            let place = format!("{place}, {name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(&place, property, now, is_sent),
                None => self.add(&place, "is gone"),
            }
        }
        let (required, required_now) = (required(old), required(new));
        let added = required_now.difference(&required).filter(|_| is_sent);
        for name in added {
            self.add(&format!("{place}, {name}"), "is required now");
        }
        for name in required.difference(&required_now).filter(|_| !is_sent) {
            self.add(&format!("{place}, {name}"), "may be absent now");
        }
        if old.get("items").is_some() {
            self.schema(&format!("{place}, each"), &old["items"], &new["items"], is_sent);
        }
        for kind in ["oneOf", "anyOf", "allOf"] {
            for (index, (part, now)) in items(&old[kind]).zip(items(&new[kind])).enumerate() {
                self.schema(&format!("{place}, {kind} {index}"), part, now, is_sent);
            }
        }
    }
}

fn resolved<'a>(contract: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    reference.and_then(|pointer| contract.pointer(pointer)).unwrap_or(schema)
}

fn find_parameter<'a>(operation: &'a Value, like: &Value) -> Option<&'a Value> {
    items(&operation["parameters"]).find(|other| other["name"] == like["name"] && other["in"] == like["in"])
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn types(schema: &Value) -> BTreeSet<String> {
    let one = schema["type"].as_str().into_iter();
    one.chain(items(&schema["type"]).filter_map(Value::as_str)).map(str::to_owned).collect()
}

/// The values of an enum: `enum`, or `const`s in a `oneOf`.
fn values(schema: &Value) -> BTreeSet<String> {
    let constants = items(&schema["oneOf"]).filter_map(|part| part.get("const"));
    let one = schema.get("const").into_iter();
    items(&schema["enum"]).chain(constants).chain(one).map(Value::to_string).collect()
}

fn required(schema: &Value) -> BTreeSet<String> {
    items(&schema["required"]).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn no_release_is_broken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/released");
    let contract = openapi::contract();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let released = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(breaking_changes(&released, &contract), [""; 0], "since {}", path.display());
        }
    }
}

#[test]
fn the_contract_does_not_break_itself() {
    assert_eq!(breaking_changes(&openapi::contract(), &openapi::contract()), [""; 0]);
}

/// A contract with an operation that takes a body, and answers with one that refers to itself.
fn contract() -> Value {
    json!({
        "paths": { "/drains": { "post": {
            "operationId": "startDrain",
            "parameters": [{ "name": "dryRun", "in": "query", "required": false, "schema": { "type": "boolean" } }],
            "requestBody": { "required": false, "content": { "application/json": { "schema": {
                "type": "object", "required": ["node"],
                "properties": { "node": { "type": "string" }, "mode": { "enum": ["Soft", "Hard"] } },
            } } } },
            "responses": { "202": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Drain" } } } } },
        } } },
        "components": { "schemas": { "Drain": {
            "type": "object", "required": ["phase"],
            "properties": {
                "phase": { "oneOf": [{ "const": "Running" }, { "const": "Done" }] },
                "since": { "type": ["string", "null"] },
                "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Drain" } },
            },
        } } },
    })
}

#[test]
fn what_breaks_clients_is_found() {
    let post = "/paths/~1drains/post";
    let body = &format!("{post}/requestBody/content/application~1json/schema");
    let drain = "/components/schemas/Drain";
    let parameter = json!({ "name": "force", "in": "query", "required": true });
    for (place, value, expected) in [
        ("/paths", json!({}), "POST /drains is gone"),
        (&format!("{post}/operationId"), json!("x"), "POST /drains has another operationId"),
        (&format!("{post}/parameters"), json!([]), "parameter \"dryRun\" is gone"),
        (&format!("{post}/parameters/0/required"), json!(true), "parameter \"dryRun\" is required now"),
        (&format!("{post}/parameters/0/schema/type"), json!("string"), "parameter \"dryRun\" is {\"string\"}, and was"),
        (&format!("{post}/parameters/0"), parameter, "parameter \"force\" is required now"),
        (&format!("{post}/requestBody/required"), json!(true), "requires a body now"),
        (&format!("{post}/requestBody/content"), json!({}), "body is no application/json any more"),
        (&format!("{post}/responses"), json!({}), "answer 202 is gone"),
        (&format!("{body}/required"), json!(["node", "mode"]), "body, mode is required now"),
        (&format!("{body}/properties/mode/enum"), json!(["Soft"]), "body, mode has no value \"Hard\" any more"),
        (&format!("{body}/properties"), json!({}), "body, node is gone"),
        (&format!("{drain}/properties/phase/oneOf/1/const"), json!("Over"), "phase has no value \"Done\" any more"),
        (&format!("{drain}/required"), json!([]), "answer 202, phase may be absent now"),
        (&format!("{drain}/properties/since/type"), json!("integer"), "since is {\"integer\"}, and was"),
        (&format!("{drain}/properties/parts/items"), json!({ "type": "string" }), "parts, each is {\"string\"}"),
    ] {
        let (old, mut new) = (contract(), contract());
        *new.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value;
        let found = breaking_changes(&old, &new);
        assert!(found.iter().any(|change| change.contains(expected)), "{place}: {found:?}");
    }
}

#[test]
fn what_only_adds_breaks_nobody() {
    let post = "/paths/~1drains/post";
    let body = &format!("{post}/requestBody/content/application~1json/schema");
    let drain = "/components/schemas/Drain";
    for (place, value) in [
        (&format!("{body}/properties/mode/enum"), json!(["Soft", "Hard", "Harder"])),
        (&format!("{body}/required"), json!([])),
        (&format!("{drain}/required"), json!(["phase", "since"])),
        (&format!("{drain}/properties/since/type"), json!("string")),
        (&format!("{post}/parameters/0/schema/type"), json!(["boolean", "null"])),
    ] {
        let (old, mut new) = (contract(), contract());
        *new.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value;
        assert_eq!(breaking_changes(&old, &new), [""; 0], "{place}");
    }
}
