//! What a real kube-apiserver 1.37.2 answered to odd custom objects (`golden`, recorded by `schema/golden/record`), our own
//! definition and KubeVirt's.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource_types;
use crate::api_server::{
    field_selector::FieldSelector,
    patch::{PatchType, apply},
    resource_type::{ResourceType, Scope, Subresource},
    schema::{FieldValidation, Part, admit_change, admit_new, fixtures},
    table::{IncludeObject, table},
};

fn widgets() -> ResourceType {
    let definition = serde_json::from_str(include_str!("golden/definition.json")).unwrap();
    resource_types(&definition).unwrap().remove(0)
}

fn maintenances() -> ResourceType {
    let definition = serde_saphyr::from_str(include_str!("../../../../deploy/crd.yaml")).unwrap();
    resource_types(&definition).unwrap().remove(0)
}

/// Kubernetes goes through maps in any order.
fn sorted(mut answer: Value) -> Value {
    if let Some(causes @ [_, _, ..]) = answer["details"]["causes"].as_array_mut().map(Vec::as_mut_slice) {
        causes.sort_by_key(Value::to_string);
        answer["message"] = answer["message"].as_str().and_then(|message| message.split('[').next()).into();
    }
    answer
}

#[test]
fn odd_custom_objects_are_answered_as_the_real_api_server_does() {
    let widgets = widgets();
    let mut wrong = Vec::new();
    for line in include_str!("golden/answers.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let validation = if case["validation"] == "Ignore" { FieldValidation::Ignore } else { FieldValidation::Strict };
        let (code, answer) = match admit_new(&widgets, case["sent"].clone(), validation) {
            Ok(admitted) => (201, admitted.object),
            Err(refusal) => {
                let details = if refusal.details.is_empty() { Value::Null } else { refusal.details.clone().into() };
                (refusal.code, json!({"message": refusal.message, "details": details}))
            }
        };
        let (answer, expected) = (sorted(answer), sorted(case["answer"].clone()));
        if (&json!(code), &answer) != (&case["code"], &expected) {
            wrong.push(format!(
                "{}\n  expected {} {expected}\n  given    {code} {answer}",
                case["create"], case["code"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn widget(spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "d"}, "spec": spec})
}

#[test]
fn a_rule_sees_what_there_was_before() {
    let widgets = widgets();
    let old = widget(&json!({"color": "red", "size": 60}));
    let new = widget(&json!({"color": "green", "size": 60}));
    let refusal = admit_change(&widgets, &old, new, Part::Main, FieldValidation::Strict).unwrap_err();
    let expected = "Widget.example.com \"w\" is invalid: [spec: Invalid value: big ones are red, spec.color: Forbidden: color was \
                    red]";
    assert_eq!((refusal.code, refusal.message.as_str()), (422, expected));
    assert!(admit_change(&widgets, &old, old.clone(), Part::Main, FieldValidation::Strict).is_ok());
}

/// A kind whose schema was another one when its objects were made.
fn stricter() -> ResourceType {
    let size = json!({"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer", "maximum": 5}}});
    let definition = json!({"spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{
            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {
                "type": "object", "required": ["spec", "owner"],
                "properties": {
                    "owner": {"type": "string"},
                    "spec": {"type": "object", "required": ["color"], "properties": {
                        "color": {"type": "string", "enum": ["red"]},
                        "parts": {
                            "type": "array", "items": size, "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["name"],
                        },
                        "limits": {
                            "type": "object", "properties": {"least": {"type": "integer"}, "most": {"type": "integer"}},
                            "x-kubernetes-validations": [
                                {"rule": "self.least < self.most", "message": "too little", "fieldPath": ".most"},
                            ],
                        },
                    }},
                    "status": {"type": "object", "properties": {"phase": {"type": "string", "enum": ["Good"]}}},
                },
            }},
        }],
    }});
    resource_types(&definition).unwrap().remove(0)
}

#[test]
fn what_was_wrong_before_and_has_not_changed_is_excused() {
    let kind = stricter();
    let mut old = widget(&json!({
        "color": "blue", "parts": [{"name": "a", "size": 9}, {"name": "b", "size": 9}], "limits": {"least": 8, "most": 7},
    }));
    old["owner"] = "alice".into();
    let changed = |pointer: &str, value: Value| {
        let mut new = old.clone();
        *new.pointer_mut(pointer).unwrap() = value;
        let causes = |refusal: crate::api_server::refusal::Refusal| -> Vec<String> {
            let causes = refusal.details["causes"].as_array().unwrap();
            causes.iter().map(|cause| cause["field"].as_str().unwrap().to_owned()).collect()
        };
        admit_change(&kind, &old, new, Part::Main, FieldValidation::Strict).map(drop).map_err(causes)
    };
    assert_eq!(changed("/owner", "bob".into()), Ok(()));
    assert_eq!(changed("/spec/parts/0/size", 3.into()), Ok(()));
    assert_eq!(changed("/spec/parts/0/size", 8.into()), Err(vec!["spec.parts[0].size".to_owned()]));
    // The rule is about both.
    assert_eq!(changed("/spec/limits/least", 9.into()), Err(vec!["spec.limits.most".to_owned()]));
    assert_eq!(changed("/spec/color", "red".into()), Ok(()));
    let green = changed("/spec/color", "green".into()).unwrap_err();
    assert_eq!(green[0], "spec.color");
    let refusal = admit_new(&kind, old.clone(), FieldValidation::Strict).unwrap_err();
    assert_eq!(refusal.code, 422, "a new object has no excuse");
}

#[test]
fn a_change_of_the_status_is_judged_by_the_status() {
    let kind = stricter();
    // It has no owner.
    let old = widget(&json!({"color": "red"}));
    let with = |phase: &str| {
        let mut new = old.clone();
        new["status"]["phase"] = phase.into();
        new
    };
    let admitted = |new: Value, part: Part| admit_change(&kind, &old, new, part, FieldValidation::Strict);
    assert!(admitted(with("Good"), Part::Status).is_ok());
    let refusal = admitted(with("Bad"), Part::Status).unwrap_err();
    assert_eq!(refusal.details["causes"][0]["field"], "status.phase");
    assert!(admitted(with("Good"), Part::Main).is_err());
}

#[test]
fn a_definition_says_what_is_served() {
    let widgets = widgets();
    assert_eq!(
        (widgets.plural.as_ref(), widgets.singular.as_ref(), widgets.scope),
        ("widgets", "widget", Scope::Namespaced)
    );
    assert_eq!(widgets.subresources, [Subresource::Status, Subresource::Scale]);
    assert!(FieldSelector::parse("spec.color=red", &widgets).unwrap().matches(&widget(&json!({"color": "red"}))));
    let refusal = FieldSelector::parse("spec.size=1", &widgets).unwrap_err();
    assert_eq!(refusal.message, "field label not supported: spec.size");
    let refusal = apply(PatchType::StrategicMerge, &widgets, &json!({}), &json!({})).unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_ref()), (415, "UnsupportedMediaType"));
}

#[test]
fn columns_show_what_their_paths_find() {
    let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
    let mut object = widget(&json!({"color": "red", "size": 60, "tags": ["aa", "bb"]}));
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:59:55Z");
    object["status"] =
        json!({"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]});
    let shown = table(&widgets(), [&object], IncludeObject::Metadata, now);
    assert_eq!(shown["rows"][0]["cells"], json!(["w", "red", 60, "5s", "aa", "True"]));
    assert_eq!(shown["columnDefinitions"][2]["priority"], 1);
    assert_eq!(shown["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let bare = table(&widgets(), [&widget(&json!({}))], IncludeObject::None, now);
    assert_eq!(bare["rows"][0]["cells"], json!(["w", null, null, null, null, null]));
}

#[test]
fn our_own_definition_is_carried_out() {
    let maintenances = maintenances();
    let object = |node: &str| {
        json!({
            "apiVersion": "nodemaintenance.kubevirt.io/v1beta1", "kind": "NodeMaintenance", "metadata": {"name": "a"},
            "spec": {"nodeName": node, "reason": null},
        })
    };
    let admitted = admit_new(&maintenances, object("n"), FieldValidation::Strict).unwrap();
    assert_eq!(admitted.object["spec"], json!({"nodeName": "n", "reason": null}));
    let refusal =
        admit_change(&maintenances, &admitted.object, object("m"), Part::Main, FieldValidation::Strict).unwrap_err();
    let expected = "NodeMaintenance.nodemaintenance.kubevirt.io \"a\" is invalid: spec.nodeName: Invalid value: \"m\": nodeName \
                    cannot be changed: delete this NodeMaintenance and create one for the other node";
    assert_eq!(refusal.message, expected);
    let definition = serde_saphyr::from_str(include_str!("../../../../deploy/crd.yaml")).unwrap();
    let kind = fixtures::resource("apiextensions.k8s.io", "CustomResourceDefinition");
    let admitted = admit_new(&kind, definition, FieldValidation::Strict).unwrap();
    assert_eq!(admitted.object["status"]["storedVersions"], json!(["v1beta1"]));
}

#[test]
fn a_kind_without_a_schema_keeps_everything() {
    let definition = json!({"spec": {
        "group": "kubevirt.io", "scope": "Namespaced",
        "names": {"kind": "VirtualMachineInstance", "plural": "virtualmachineinstances", "shortNames": ["vmi"]},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
    }});
    let kind = resource_types(&definition).unwrap().remove(0);
    let object = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "vm", "namespace": "d"},
        "spec": {"domain": {"devices": [{"a": null}]}},
    });
    let admitted = admit_new(&kind, object.clone(), FieldValidation::Strict).unwrap();
    assert_eq!((admitted.object, admitted.warnings), (object, Vec::new()));
}
