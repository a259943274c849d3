//! The contract and the documents are what the code says.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use serde_json::{Value, json};

use super::simulated::Simulated;
use crate::{
    auth::{self, OPERATIONS},
    rest::{openapi, reason},
};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Holds a file to what the code says, or writes it.
#[track_caller]
pub(crate) fn held(path: &str, text: &str) {
    let file = repository(path);
    if env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    // Not assert_eq: the whole of both would hide the sentence.
    assert!(written == text, "{path} is not what the code says: UPDATE_DOCUMENTS=1 cargo test -p careen documents");
}

#[test]
fn documents_are_what_the_code_says() {
    held("openapi/openapi.json", &openapi::text());
    held("docs/permissions.md", &auth::document());
    held("docs/errors.md", &reason::document());
}

/// Each operation of the contract: id, method, path.
fn operations(contract: &Value) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            found.insert((id.to_owned(), method.to_uppercase(), path.clone()));
        }
    }
    found
}

#[test]
fn every_operation_is_in_the_table_of_permissions_and_the_other_way_round() {
    let table: BTreeSet<_> = OPERATIONS
        .iter()
        .map(|operation| (operation.id.to_owned(), operation.method.to_string(), operation.path.to_owned()))
        .collect();
    assert_eq!(operations(&openapi::contract()), table);
    assert!(OPERATIONS.iter().all(|operation| !operation.needs.is_empty()), "an operation is open to everybody");
}

#[test]
fn every_operation_is_described() {
    let contract = openapi::contract();
    assert_eq!(contract["openapi"], "3.1.0");
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{what}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{what}: {parameter}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with(['4', '5']) {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{what} {status}");
                }
            }
        }
    }
}

/// Each operation says what is wrong, and does nothing.
#[tokio::test]
async fn what_an_operation_does_not_know_is_refused() {
    let app = Simulated::start().await;
    let contract = openapi::contract();
    let bogus = || Some(json!({ "bogus": true }));
    for (id, method, path) in operations(&contract) {
        let at = path.trim_start_matches("/api/v1").replace("{node}", "node02").replace(['{', '}'], "");
        let refused = app.admin(&format!("{method} {at}?bogus=1"), None).await;
        assert!(refused.problem(400, "BadRequest").contains("bogus=1 in the query: unknown field `bogus`"), "{id}");
        assert_eq!(refused.json()["field"], "bogus", "{id}");
        let takes_one = contract["paths"][&path][method.to_lowercase()]["requestBody"].is_object();
        let refused = app.admin(&format!("{method} {at}"), bogus()).await;
        if takes_one {
            refused.problem(422, "Invalid");
        } else {
            assert!(refused.problem(400, "BadRequest").contains("takes no body"), "{id}");
        }
    }
    assert_eq!(app.node("node02")["spec"].get("unschedulable"), None);
    // Nothing is said in these.
    app.admin("POST /nodes/node02/cordon", Some(json!({}))).await.ok();
    app.admin("GET /nodes", Some(json!({}))).await.ok();
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_left_packed() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let contract = openapi::contract();
    let mut found = BTreeSet::new();
    references(&contract, &mut found);
    assert!(found.contains("#/components/schemas/Node"), "{found:?}");
    for reference in found {
        assert!(contract.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    assert!(!openapi::text().contains("x-packed-schema"));
}
