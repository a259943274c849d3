//! What an answer looks like: answers of `careen demo`, shortened, one for each schema that an operation answers with.
//! `tests/contract/examples` holds them to their schemas.

use serde_json::{Map, Value, json};

/// The name of a schema, and an example of it.
const EXAMPLES: [(&str, &str); 11] = [
    ("Drain", include_str!("examples/Drain.json")),
    ("DrainOrdered", include_str!("examples/DrainOrdered.json")),
    ("Maintenance", include_str!("examples/Maintenance.json")),
    ("Migration", include_str!("examples/Migration.json")),
    ("MigrationCancelled", include_str!("examples/MigrationCancelled.json")),
    ("MigrationRequested", include_str!("examples/MigrationRequested.json")),
    ("Node", include_str!("examples/Node.json")),
    ("NodeChanged", include_str!("examples/NodeChanged.json")),
    ("Plan", include_str!("examples/Plan.json")),
    ("VirtualMachineInstance", include_str!("examples/VirtualMachineInstance.json")),
    ("Workload", include_str!("examples/Workload.json")),
];

/// The examples, for the contract's components: of each schema, and of a list of it if there is such a schema.
pub(super) fn components(schemas: &Value) -> Map<String, Value> {
    let parsed = |text| serde_json::from_str(text).unwrap_or(Value::Null);
    let examples = EXAMPLES.into_iter().map(|(name, text)| (name, parsed(text)));
    let with_lists = examples.flat_map(|(name, example)| {
        let list = json!({ "value": { "items": [&example] } });
        [(name.to_owned(), json!({ "value": example })), (format!("{name}List"), list)]
    });
    with_lists.filter(|(name, _)| schemas.get(name).is_some()).collect()
}

/// Shows an example beside each answer of the operation that has one.
pub(super) fn add_to(operation: &mut Value) {
    for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let Some(content) = response.pointer_mut("/content/application~1json") else { continue };
        let Some(name) = content["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next()) else { continue };
        // A repeated PUT is shown, not a dry run of one.
        let name = if name == "MaintenanceOrPlan" { "Maintenance" } else { name };
        let example = json!({ "$ref": format!("#/components/examples/{name}") });
        content["examples"] = json!({ name: example });
    }
}

#[cfg(test)]
mod tests {
    use super::super::openapi::contract;

    #[test]
    fn every_answer_of_json_has_an_example() {
        let contract = contract();
        let mut answers = 0;
        for (path, item) in contract["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let Some(content) = response["content"].get("application/json") else { continue };
                    for example in content["examples"].as_object().unwrap().values() {
                        let pointer = example["$ref"].as_str().unwrap().trim_start_matches('#');
                        let value = contract.pointer(pointer).map(|example| &example["value"]);
                        assert!(value.is_some_and(serde_json::Value::is_object), "{method} {path} {status}: {pointer}");
                        answers += 1;
                    }
                }
            }
        }
        assert!(answers >= 23, "{answers}");
    }
}
