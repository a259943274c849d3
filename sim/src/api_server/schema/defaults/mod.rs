//! What is set when nothing was said. `pkg/apis/*/v1/defaults.go`, the strategies under `pkg/registry`, and the admission
//! plugins that are always on.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::super::resource_type::ResourceType;

mod pods;
mod workloads;

/// Sets them; some only in what is new. What it leaves empty is for the decoder to tidy.
pub fn set(resource: &ResourceType, object: &mut Value, new: bool) {
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Pod") => pods::pod(object, new),
        ("", "Namespace") => namespace(object),
        ("", "Node") => node(object, new),
        ("", "Service") => service(object),
        ("", "Secret") => secret(object),
        ("", "PersistentVolume") => {
            default(&mut object["status"]["phase"], "Pending");
            default(&mut object["spec"]["persistentVolumeReclaimPolicy"], "Retain");
            default(&mut object["spec"]["volumeMode"], "Filesystem");
            if object["spec"]["hostPath"].is_object() && object["spec"]["hostPath"]["type"].is_null() {
                object["spec"]["hostPath"]["type"] = "".into();
            }
        }
        ("", "PersistentVolumeClaim") => {
            default(&mut object["status"]["phase"], "Pending");
            default(&mut object["spec"]["volumeMode"], "Filesystem");
        }
        ("apps", "Deployment") => workloads::deployment(object),
        ("apps", "ReplicaSet") => workloads::replica_set(object),
        ("", "ReplicationController") => workloads::replication_controller(object),
        ("apps", "DaemonSet") => workloads::daemon_set(object),
        ("apps", "StatefulSet") => workloads::stateful_set(object),
        ("batch", "Job") => workloads::job(object, new),
        ("batch", "CronJob") => workloads::cron_job(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => role_binding(object),
        ("scheduling.k8s.io", "PriorityClass") => default(&mut object["preemptionPolicy"], "PreemptLowerPriority"),
        ("storage.k8s.io", "StorageClass") => {
            default(&mut object["reclaimPolicy"], "Delete");
            default(&mut object["volumeBindingMode"], "Immediate");
        }
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            webhooks(object, resource.kind.starts_with("Mutating"));
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => custom_resource_definition(object),
        _ => {}
    }
}

/// Sets what is not there, or is an empty text.
fn default(value: &mut Value, otherwise: impl Into<Value>) {
    if value.is_null() || value == "" {
        *value = otherwise.into();
    }
}

/// The items of a list that may not be there. It does not make the list.
fn items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn namespace(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].clone();
    if let Some(labels) = object(&mut namespace["metadata"]["labels"]) {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    default(&mut namespace["status"]["phase"], "Active");
    // While it goes, what it waits for is taken away.
    if namespace["metadata"]["deletionTimestamp"].is_null() {
        default(&mut namespace["spec"]["finalizers"], json!(["kubernetes"]));
    }
}

/// A new node is not ready: the admission plugin `TaintNodesByCondition` says so, and the node lifecycle controller takes it
/// back.
fn node(node: &mut Value, new: bool) {
    let not_ready = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    if new {
        let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let has = |taint: &Value| taint["key"] == not_ready["key"] && taint["effect"] == not_ready["effect"];
        if !taints.iter().any(has) {
            taints.push(not_ready);
        }
        node["spec"]["taints"] = taints.into();
    }
    let capacity = node["status"]["capacity"].clone();
    let allocatable = &mut node["status"]["allocatable"];
    if allocatable.is_null() && !capacity.is_null() {
        *allocatable = capacity;
    }
}

/// What was given as text is kept encoded.
fn secret(secret: &mut Value) {
    default(&mut secret["type"], "Opaque");
    let Some(texts) = secret["stringData"].as_object().cloned() else { return };
    for (key, text) in texts {
        secret["data"][key] = BASE64_STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
    secret["stringData"] = Value::Null;
}

fn service(service: &mut Value) {
    let spec = &mut service["spec"];
    default(&mut spec["sessionAffinity"], "None");
    default(&mut spec["type"], "ClusterIP");
    if spec["sessionAffinity"] == "ClientIP" {
        default(&mut spec["sessionAffinityConfig"], json!({"clientIP": {"timeoutSeconds": 10800}}));
    } else if let Some(spec) = spec.as_object_mut() {
        spec.remove("sessionAffinityConfig");
    }
    for port in items(spec, "ports") {
        default(&mut port["protocol"], "TCP");
        if port["targetPort"] == 0 || port["targetPort"] == "" || port["targetPort"].is_null() {
            port["targetPort"] = port["port"].clone();
        }
    }
    let of = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(of.as_str(), "NodePort" | "LoadBalancer") {
        default(&mut spec["externalTrafficPolicy"], "Cluster");
    }
    if matches!(of.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        default(&mut spec["internalTrafficPolicy"], "Cluster");
    }
    if of == "LoadBalancer" {
        default(&mut spec["allocateLoadBalancerNodePorts"], true);
    }
}

fn role_binding(binding: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    default(&mut binding["roleRef"]["apiGroup"], GROUP);
    for subject in items(binding, "subjects") {
        if subject["kind"] == "User" || subject["kind"] == "Group" {
            default(&mut subject["apiGroup"], GROUP);
        }
    }
}

fn webhooks(configuration: &mut Value, mutating: bool) {
    for webhook in items(configuration, "webhooks") {
        default(&mut webhook["failurePolicy"], "Fail");
        default(&mut webhook["matchPolicy"], "Equivalent");
        default(&mut webhook["namespaceSelector"], json!({}));
        default(&mut webhook["objectSelector"], json!({}));
        default(&mut webhook["timeoutSeconds"], 10);
        if mutating {
            default(&mut webhook["reinvocationPolicy"], "Never");
        }
        for rule in items(webhook, "rules") {
            default(&mut rule["scope"], "*");
        }
        if let Some(service @ Value::Object(_)) = webhook["clientConfig"].get_mut("service") {
            default(&mut service["port"], 443);
        }
    }
}

fn custom_resource_definition(definition: &mut Value) {
    let stored = definition["spec"]["versions"].as_array().into_iter().flatten();
    let stored = stored.clone().find(|version| version["storage"] == true).map(|version| version["name"].clone());
    let names = &mut definition["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    default(&mut names["singular"], kind.to_lowercase());
    if !kind.is_empty() {
        default(&mut names["listKind"], format!("{kind}List"));
    }
    default(&mut definition["spec"]["conversion"], json!({"strategy": "None"}));
    if let Some(stored) = stored {
        default(&mut definition["status"]["storedVersions"], json!([stored]));
    }
}
