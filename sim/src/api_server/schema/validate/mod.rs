//! What a kind refuses, in Kubernetes' words, with the paths of the fields: as much as makes malformed objects be refused as
//! the real API server does.

use serde_json::Value;

use super::super::{
    custom::definition,
    resource_type::{ResourceType, Scope},
};

pub mod field;
pub mod metadata;
pub mod names;
mod others;
mod pods;
mod workloads;

/// Says what is wrong with an object; with what it takes the place of, if it does.
pub fn object(resource: &ResourceType, old: Option<&Value>, object: &Value, errors: &mut field::Errors) {
    let namespaced = resource.scope == Scope::Namespaced;
    metadata::validate(resource, old, object, errors);
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Pod") => pods::pod(old, object, errors),
        ("", "Node") => others::node(old, object, errors),
        ("", "Namespace") => others::namespace(object, errors),
        ("", "ConfigMap") => others::config_map(old, object, errors),
        ("", "Secret") => others::secret(old, object, errors),
        ("", "Service") => others::service(object, errors),
        ("", "PersistentVolumeClaim") => others::claim(old, object, errors),
        ("", "PersistentVolume") => others::volume(object, errors),
        ("" | "events.k8s.io", "Event") => others::event(!resource.group.is_empty(), old, object, errors),
        ("apps", kind @ ("Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet")) => {
            workloads::workload(kind, old, object, errors);
        }
        ("batch", "Job") => workloads::job(old, object, errors),
        ("batch", "CronJob") => workloads::cron_job(object, errors),
        ("policy", "PodDisruptionBudget") => workloads::budget(object, errors),
        ("coordination.k8s.io", "Lease") => others::lease(object, errors),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => others::role(namespaced, object, errors),
        ("rbac.authorization.k8s.io", _) => others::binding(namespaced, old, object, errors),
        ("scheduling.k8s.io", "PriorityClass") => others::priority_class(old, object, errors),
        ("storage.k8s.io", "StorageClass") if text(&object["provisioner"]).is_empty() => {
            errors.required("provisioner", "");
        }
        ("admissionregistration.k8s.io", _) => others::webhooks(object, errors),
        ("apiextensions.k8s.io", _) => definition::validate(old, object, errors),
        _ => {}
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
