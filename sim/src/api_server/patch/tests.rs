//! Patches in general, and what a real kube-apiserver 1.37.2 made of strategic ones (`golden`).

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{PatchType, apply};
use crate::api_server::schema::{FieldValidation, Part, admit_change, fixtures::resource};

#[test]
fn strategic_patches_do_what_they_do_on_a_real_api_server() {
    let deployments = resource("apps", "Deployment");
    let mut wrong = Vec::new();
    for line in include_str!("golden/answers.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let patched = apply(PatchType::StrategicMerge, &deployments, &case["old"], &case["patch"])
            .and_then(|object| admit_change(&deployments, &case["old"], object, Part::Main, FieldValidation::Ignore));
        let (code, answer) = match patched {
            Ok(admitted) => (200, admitted.object),
            Err(refusal) => (refusal.code, refusal.message.into()),
        };
        // What a patched object that does not decode is told is not copied: it shows all of it as Go does.
        let undecodable = case["answer"].as_str().is_some_and(|answer| answer.contains("is invalid: patch:"));
        let same = if undecodable { code >= 400 } else { (&json!(code), &answer) == (&case["code"], &case["answer"]) };
        if !same {
            wrong.push(format!(
                "{}\n  expected {} {}\n  given    {code} {answer}",
                case["patch"], case["code"], case["answer"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_patch_that_is_none_is_refused_in_the_words_of_kubernetes() {
    let pods = resource("", "Pod");
    let pod = json!({"spec": {"priority": 0, "containers": []}});
    let rejected = "the server rejected our request due to an error in our request";
    let map = "Go value of type map[string]interface {}";
    for (of, patch, code, expected) in [
        (PatchType::Json, json!([{"op": "test", "path": "/spec/priority", "value": 1}]), 422, rejected.to_owned()),
        (PatchType::Json, json!([{"op": "remove", "path": "/spec/x"}]), 422, rejected.to_owned()),
        (PatchType::Json, json!([{"op": "add", "path": "/y/x", "value": 1}]), 422, rejected.to_owned()),
        (PatchType::Json, json!([{"op": "foo", "path": "/a"}]), 422, rejected.to_owned()),
        (
            PatchType::Json,
            json!({}),
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
                .to_owned(),
        ),
        (
            PatchType::Json,
            json!([1]),
            400,
            "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp".to_owned(),
        ),
        (PatchType::Merge, json!([]), 400, format!("error decoding patch: json: cannot unmarshal array into {map}")),
        (PatchType::StrategicMerge, json!([]), 400, format!("json: cannot unmarshal array into {map}")),
    ] {
        let refusal = apply(of, &pods, &pod, &patch).unwrap_err();
        assert_eq!((refusal.code, refusal.message), (code, expected), "{patch}");
    }
    let test_absent =
        json!([{"op": "add", "path": "/metadata", "value": {}}, {"op": "test", "path": "/metadata", "value": {}}]);
    assert!(apply(PatchType::Json, &pods, &pod, &test_absent).is_ok());
}

/// The merge patch that makes one value of another.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in to {
        match from.get(name) {
            Some(before) if before == value => {}
            Some(before) => drop(patch.insert(name.clone(), difference(before, value))),
            None => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    patch.into()
}

/// Objects without nulls, which a merge patch cannot make.
fn objects() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from), "[a-c]".prop_map(Value::from)];
    let values = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-d]", values, 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

/// Deployments' pods with containers that have these names and images.
fn pods() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-e]", "[x-z]", 0..5).prop_flat_map(|containers| {
        let containers: Vec<_> =
            containers.into_iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
        Just(containers).prop_shuffle().prop_map(|containers| json!({"spec": {"containers": containers}}))
    })
}

proptest! {
    #[test]
    fn a_merge_patch_made_of_two_objects_makes_the_second(from in objects(), to in objects()) {
        let patched = apply(PatchType::Merge, &resource("", "ConfigMap"), &from, &difference(&from, &to)).unwrap();
        prop_assert_eq!(patched, to);
    }

    /// As kubectl makes it: what is new or changed, what goes, and the order of all.
    #[test]
    fn a_strategic_patch_made_of_two_objects_makes_the_second(from in pods(), to in pods()) {
        let list = |pod: &Value| pod["spec"]["containers"].as_array().unwrap().clone();
        let (before, after) = (list(&from), list(&to));
        let mut patch: Vec<_> = after.iter().filter(|container| !before.contains(container)).cloned().collect();
        for gone in before.iter().filter(|old| !after.iter().any(|new| new["name"] == old["name"])) {
            patch.push(json!({"name": gone["name"], "$patch": "delete"}));
        }
        let order: Vec<_> = after.iter().map(|container| json!({"name": container["name"]})).collect();
        let patch = json!({"spec": {"containers": patch, "$setElementOrder/containers": order}});
        let patched = apply(PatchType::StrategicMerge, &resource("", "Pod"), &from, &patch).unwrap();
        prop_assert_eq!(patched, to);
    }

    #[test]
    fn a_strategic_patch_of_nothing_changes_nothing_and_twice_is_once(from in pods(), to in pods()) {
        let pods = resource("", "Pod");
        let apply = |object: &Value, patch: &Value| apply(PatchType::StrategicMerge, &pods, object, patch).unwrap();
        prop_assert_eq!(&apply(&from, &json!({})), &from);
        let once = apply(&from, &to);
        prop_assert_eq!(apply(&once, &to), once);
    }
}
