//! What a real kube-apiserver 1.37.2 answered to odd requests (`golden/record`), held against what is answered here.

use serde_json::{Value, json};

use super::{
    Admitted, FieldValidation, Part, admit_change, admit_new, allows_unconditional_update, decode, fixtures::resource,
    resource_version_missing,
};
use crate::api_server::resource_type::Scope;

/// Without what the server sets, not this part of it.
fn stable(mut object: Value, sent: &Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        metadata.remove(field);
    }
    match sent["kind"].as_str() {
        // Their selector and labels hold a uid.
        Some("Job") => {
            object["spec"]["selector"].take();
            object["spec"]["template"]["metadata"].take();
            object["status"].take();
        }
        // Nobody here would take the finalizer away.
        Some("PersistentVolume" | "PersistentVolumeClaim") => {
            object["metadata"].as_object_mut().unwrap().remove("finalizers");
            object["status"].as_object_mut().unwrap().remove("lastPhaseTransitionTime");
        }
        // The addresses are the server's to give, and the status is not written on create.
        Some("Service") => {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                object["spec"].as_object_mut().unwrap().remove(field);
            }
        }
        _ => {}
    }
    object
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Kubernetes goes through maps in any order.
fn sorted(mut answer: Value) -> Value {
    if let Some(causes @ [_, _, ..]) = answer["details"]["causes"].as_array_mut().map(Vec::as_mut_slice) {
        causes.sort_by_key(Value::to_string);
        answer["message"] = answer["message"].as_str().and_then(|message| message.split('[').next()).into();
    }
    answer
}

/// Where Kubernetes shows a Go struct, only which fields are wrong, and how.
fn without_structs(answer: &Value) -> Value {
    let message = answer["message"].as_str().unwrap_or_default();
    if message.contains("\n@@") {
        // A difference of Go structs.
        return message.lines().next().into();
    }
    if message.contains("pod updates may not change fields") {
        return message.into();
    }
    let causes = answer["details"]["causes"].to_string();
    let message = format!("{message}{causes}").replace("\\\"", "\"");
    if !message.contains("value: {\"") && !message.contains("value: [{\"") && !message.contains("compilation failed") {
        return answer.clone();
    }
    let causes = answer["details"]["causes"].as_array().into_iter().flatten();
    json!(causes.map(|cause| json!([cause["field"], cause["reason"]])).collect::<Vec<_>>())
}

fn answer(case: &Value) -> (u16, Value) {
    let version = text(case, "apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let mut resource = resource(group, case["kind"].as_str().unwrap());
    resource.version = version.to_owned().into();
    resource.plural = text(case, "plural").into();
    assert_eq!(resource.scope == Scope::Cluster, case["namespaced"] == false);
    let sent = case["sent"].clone();
    let unconditional = sent["metadata"]["resourceVersion"].is_null();
    let answered = match case.get("old") {
        Some(_) if unconditional && !allows_unconditional_update(&resource) => {
            let name = sent["metadata"]["name"].as_str().unwrap_or_default();
            Err(resource_version_missing(&resource, name))
        }
        Some(old) => admit_change(&resource, old, sent, Part::Main, FieldValidation::Strict),
        None => admit_new(&resource, sent, FieldValidation::Strict),
    };
    match answered {
        Ok(Admitted { object, .. }) if case.get("old").is_some() => (200, object),
        Ok(Admitted { object, .. }) => (201, object),
        Err(refusal) => {
            let details = if refusal.details.is_empty() { Value::Null } else { Value::Object(refusal.details.clone()) };
            (refusal.code, json!({"message": refusal.message, "details": details}))
        }
    }
}

#[test]
fn odd_requests_are_answered_as_the_real_api_server_does() {
    let mut wrong = Vec::new();
    for line in include_str!("golden/answers.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (code, mut given) = answer(&case);
        let mut expected = case["answer"].clone();
        if case["code"].as_u64().unwrap() < 400 && code < 400 {
            (given, expected) = (stable(given, &case["sent"]), stable(expected, &case["sent"]));
        }
        if code >= 400 {
            (given, expected) = (without_structs(&sorted(given)), without_structs(&sorted(expected)));
        }
        if (u64::from(code), &given) != (case["code"].as_u64().unwrap(), &expected) {
            let change = case.get("change").map(|change| format!("\n  changed {change}")).unwrap_or_default();
            wrong.push(format!(
                "{} {}{change}\n  expected {} {expected}\n  given    {code} {given}",
                text(&case, "kind"),
                case["create"],
                case["code"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_stored_reads_the_same_again() {
    for line in include_str!("golden/answers.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        if case["code"].as_u64().unwrap() < 400 {
            let version = text(&case, "apiVersion");
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let resource = resource(group, case["kind"].as_str().unwrap());
            let again = decode(&resource, case["answer"].clone(), FieldValidation::Strict).unwrap();
            assert_eq!(again.object, case["answer"]);
        }
    }
}
