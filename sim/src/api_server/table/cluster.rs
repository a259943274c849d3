//! Rows of nodes, namespaces and events.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, age_of, list, name_of, or, text};

pub(super) const NODE: &[&str] = &[
    "Name:name",
    "Status",
    "Roles",
    "Age",
    "Version",
    "Internal-IP+",
    "External-IP+",
    "OS-Image+",
    "Kernel-Version+",
    "Container-Runtime+",
];

pub(super) fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let ready = list(&node["status"]["conditions"]).iter().rev().find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(ready) if ready["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let mut roles = BTreeSet::new();
    for (key, value) in node["metadata"]["labels"].as_object().into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.insert(role),
            _ if key == "kubernetes.io/role" && value != "" => roles.insert(text(value)),
            _ => false,
        };
    }
    let roles = if roles.is_empty() { "<none>".to_owned() } else { super::joined(roles) };
    let address = |of: &str| {
        let found = list(&node["status"]["addresses"]).iter().find(|address| address["type"] == of);
        found.map_or(json!("<none>"), |address| address["address"].clone())
    };
    let info = &node["status"]["nodeInfo"];
    let kernel = or(&info["kernelVersion"], "<unknown>");
    let kernel = match text(&info["architecture"]) {
        "" => kernel.to_owned(),
        architecture => format!("{kernel} ({architecture})"),
    };
    vec![
        name_of(node),
        status.into(),
        roles.into(),
        age_of(node, now),
        text(&info["kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        or(&info["osImage"], "<unknown>").into(),
        kernel.into(),
        or(&info["containerRuntimeVersion"], "<unknown>").into(),
    ]
}

pub(super) const NAMESPACE: &[&str] = &["Name:name", "Status", "Age"];

pub(super) fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(namespace), text(&namespace["status"]["phase"]).into(), age_of(namespace, now)]
}

pub(super) const EVENT: &[&str] = &[
    "Last Seen",
    "Type",
    "Reason",
    "Object",
    "Subobject+",
    "Source+",
    "Message",
    "First Seen+",
    "Count+",
    "Name:name+",
];

/// Of both API groups: `events.k8s.io` has other names for some fields.
pub(super) fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |one: &str, other: &str| if event[one].is_null() { event[other].clone() } else { event[one].clone() };
    let time = |one: &str, other: &str| Some(either(one, other)).filter(|time| !time.is_null());
    let first = time("firstTimestamp", "deprecatedFirstTimestamp").unwrap_or_else(|| event["eventTime"].clone());
    let first = age::of(&first, now);
    let mut last = match time("lastTimestamp", "deprecatedLastTimestamp") {
        Some(last) => age::of(&last, now),
        None => first.clone(),
    };
    let mut count = either("count", "deprecatedCount").as_i64().filter(|count| *count != 0).unwrap_or(1);
    if event["series"].is_object() {
        last = age::of(&event["series"]["lastObservedTime"], now);
        count = event["series"]["count"].as_i64().unwrap_or_default();
    }
    let about = either("involvedObject", "regarding");
    let kind = text(&about["kind"]).to_lowercase();
    let object = match text(&about["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = either("source", "deprecatedSource");
    let reporter = either("reportingComponent", "reportingController");
    let component = or(&source["component"], text(&reporter));
    let source = match or(&source["host"], text(&event["reportingInstance"])) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    };
    vec![
        last.into(),
        text(&event["type"]).into(),
        text(&event["reason"]).into(),
        object.into(),
        text(&about["fieldPath"]).into(),
        source.into(),
        text(&either("message", "note")).trim().into(),
        first.into(),
        count.into(),
        name_of(event),
    ]
}
