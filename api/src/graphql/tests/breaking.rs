//! A change of the schema must not break who relies on a release: what was asked for then is still there, and what was
//! sent then is still taken.

use std::{collections::BTreeMap, fs};

use async_graphql::parser::{
    parse_schema,
    types::{FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition},
};

use crate::graphql::schema;

/// Each type, by what it is called.
fn types(text: &str) -> BTreeMap<String, TypeKind> {
    let document = parse_schema(text).unwrap();
    let types = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(found) => Some((found.node.name.node.to_string(), found.node.kind)),
        _ => None,
    });
    types.collect()
}

/// What would break.
fn breaking_changes(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (types(old), types(new));
    let mut found = Vec::new();
    for (name, kind) in &old {
        match (kind, new.get(name)) {
            (TypeKind::Object(before), Some(TypeKind::Object(now))) => {
                let fields = now.fields.iter().map(|field| (field.node.name.node.to_string(), &field.node)).collect();
                for field in &before.fields {
                    compare_field(name, &field.node, &fields, &mut found);
                }
            }
            (TypeKind::Enum(before), Some(TypeKind::Enum(now))) => {
                let is_there = |value: &str| now.values.iter().any(|other| other.node.value.node == value);
                let gone =
                    before.values.iter().map(|value| value.node.value.node.as_str()).filter(|value| !is_there(value));
                found.extend(gone.map(|value| format!("{name} has no value {value} any more")));
            }
            (TypeKind::InputObject(before), Some(TypeKind::InputObject(now))) => {
                let before: Vec<_> = before.fields.iter().map(|field| &field.node).collect();
                let now: Vec<_> = now.fields.iter().map(|field| &field.node).collect();
                compare_sent(name, &before, &now, &mut found);
            }
            (TypeKind::Scalar, Some(TypeKind::Scalar)) => {}
            (_, Some(_)) => found.push(format!("{name} is another kind of type")),
            (_, None) => found.push(format!("{name} is gone")),
        }
    }
    found
}

fn compare_field(of: &str, old: &FieldDefinition, new: &BTreeMap<String, &FieldDefinition>, found: &mut Vec<String>) {
    let place = format!("{of}.{}", old.name.node);
    let Some(now) = new.get(old.name.node.as_str()) else { return found.push(format!("{place} is gone")) };
    if !gives_at_least(&old.ty.node, &now.ty.node) {
        found.push(format!("{place} is {}, and was {}", now.ty.node, old.ty.node));
    }
    let before: Vec<_> = old.arguments.iter().map(|argument| &argument.node).collect();
    let arguments: Vec<_> = now.arguments.iter().map(|argument| &argument.node).collect();
    compare_sent(&place, &before, &arguments, found);
}

fn compare_sent(of: &str, old: &[&InputValueDefinition], new: &[&InputValueDefinition], found: &mut Vec<String>) {
    for before in old {
        let place = format!("{of}({})", before.name.node);
        match new.iter().find(|now| now.name.node == before.name.node) {
            // What is sent goes the other way: whatever was right must be so now.
            Some(now) if gives_at_least(&now.ty.node, &before.ty.node) => {}
            Some(now) => found.push(format!("{place} is {}, and was {}", now.ty.node, before.ty.node)),
            None => found.push(format!("{place} is gone")),
        }
    }
    let is_old = |name: &str| old.iter().any(|before| before.name.node == name);
    let required = new.iter().filter(|now| !now.ty.node.nullable && now.default_value.is_none());
    let added = required.filter(|now| !is_old(&now.name.node));
    found.extend(added.map(|now| format!("{of}({}) is required now", now.name.node)));
}

/// Whether who expects the one type is content with the other: it may be null less often.
fn gives_at_least(expected: &Type, given: &Type) -> bool {
    use async_graphql::parser::types::BaseType;

    let base = match (&expected.base, &given.base) {
        (BaseType::Named(expected), BaseType::Named(given)) => expected == given,
        (BaseType::List(expected), BaseType::List(given)) => gives_at_least(expected, given),
        _ => false,
    };
    base && (expected.nullable || !given.nullable)
}

#[test]
fn no_release_is_broken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/released");
    let now = schema::text().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "graphql") {
            let released = fs::read_to_string(&path).unwrap();
            assert_eq!(breaking_changes(&released, &now), [""; 0], "since {}", path.display());
        }
    }
    assert_eq!(breaking_changes(&now, &now), [""; 0]);
}

const OLD: &str = "type Query { node(name: String!, deep: Boolean): Node! nodes: [Node!] }
                   type Node { name: String! labels: Labels }
                   enum Effect { A B } scalar Labels
                   input Taint { key: String! effect: Effect }";

#[test]
fn what_breaks_clients_is_found() {
    for (from, to, expected) in [
        ("nodes: [Node!]", "", "Query.nodes is gone"),
        ("nodes: [Node!]", "nodes: [Node]", "Query.nodes is [Node], and was [Node!]"),
        (": Node!", ": Node", "Query.node is Node, and was Node!"),
        ("deep: Boolean", "deep: Boolean!", "Query.node(deep) is Boolean!, and was Boolean"),
        (", deep: Boolean", "", "Query.node(deep) is gone"),
        ("deep: Boolean", "deep: Boolean, more: Int!", "Query.node(more) is required now"),
        ("A B", "A", "Effect has no value B any more"),
        ("scalar Labels", "type Labels { a: Int }", "Labels is another kind of type"),
        ("effect: Effect", "", "Taint(effect) is gone"),
        ("effect: Effect", "effect: Effect value: String!", "Taint(value) is required now"),
        ("input Taint { key: String! effect: Effect }", "", "Taint is gone"),
    ] {
        let found = breaking_changes(OLD, &OLD.replacen(from, to, 1));
        assert_eq!(found, [expected], "{to}");
    }
}

#[test]
fn what_only_adds_breaks_nobody() {
    for (from, to) in [
        ("nodes: [Node!]", "nodes: [Node!]! more: Int"),
        ("name: String!, deep", "name: String, deep"),
        ("deep: Boolean", "deep: Boolean, more: Int, other: Int! = 1"),
        ("A B", "A B C"),
        ("effect: Effect", "effect: Effect value: String"),
    ] {
        assert_eq!(breaking_changes(OLD, &OLD.replacen(from, to, 1)), [""; 0], "{to}");
    }
}
