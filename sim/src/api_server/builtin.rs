//! The kinds of Kubernetes that are served, and in what they differ.

use std::borrow::Cow;

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, Resource,
    api::{
        admissionregistration::v1 as admissionregistration, apps::v1 as apps, authentication::v1 as authentication,
        authorization::v1 as authorization, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
        events::v1 as events, policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling,
        storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
};
use serde_json::{Value, json};

use super::resource_type::{Definition, ResourceType, Scope, Subresource};

trait Scoped {
    const SCOPE: Scope;
}

impl Scoped for ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

impl Scoped for NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespaced;
}

fn kind<K>(
    singular: &'static str,
    short_names: &[&'static str],
    categories: &[&'static str],
    subresources: &[Subresource],
) -> ResourceType
where
    K: Resource,
    K::Scope: Scoped,
{
    let own = |names: &[&'static str]| names.iter().copied().map(Cow::Borrowed).collect();
    ResourceType {
        group: Cow::Borrowed(K::GROUP),
        version: Cow::Borrowed(K::VERSION),
        kind: Cow::Borrowed(K::KIND),
        plural: Cow::Borrowed(K::URL_PATH_SEGMENT),
        singular: Cow::Borrowed(singular),
        short_names: own(short_names),
        categories: own(categories),
        scope: <K::Scope as Scoped>::SCOPE,
        subresources: subresources.to_vec(),
        definition: Definition::Builtin,
    }
}

macro_rules! kinds {
    ($($type:ty: $singular:literal [$($short:literal)*] [$($category:literal)*] [$($subresource:ident)*];)*) => {
        vec![$(kind::<$type>($singular, &[$($short),*], &[$($category),*], &[$(Subresource::$subresource),*])),*]
    };
}

/// All of them, in the order of `kubectl api-resources`.
#[must_use]
pub fn resource_types() -> Vec<ResourceType> {
    kinds! {
        core::Binding: "binding" [] [] [];
        core::ConfigMap: "configmap" ["cm"] [] [];
        core::Event: "event" ["ev"] [] [];
        core::Namespace: "namespace" ["ns"] [] [Status];
        core::Node: "node" ["no"] [] [Status];
        core::PersistentVolumeClaim: "persistentvolumeclaim" ["pvc"] [] [Status];
        core::PersistentVolume: "persistentvolume" ["pv"] [] [Status];
        core::Pod: "pod" ["po"] ["all"] [Status Binding Eviction];
        core::ReplicationController: "replicationcontroller" ["rc"] ["all"] [Status];
        core::Secret: "secret" [] [] [];
        core::ServiceAccount: "serviceaccount" ["sa"] [] [Token];
        core::Service: "service" ["svc"] ["all"] [Status];
        admissionregistration::ValidatingWebhookConfiguration:
            "validatingwebhookconfiguration" [] ["api-extensions"] [];
        apiextensions::CustomResourceDefinition:
            "customresourcedefinition" ["crd" "crds"] ["api-extensions"] [Status];
        apps::ControllerRevision: "controllerrevision" [] [] [];
        apps::DaemonSet: "daemonset" ["ds"] ["all"] [Status];
        apps::Deployment: "deployment" ["deploy"] ["all"] [Status Scale];
        apps::ReplicaSet: "replicaset" ["rs"] ["all"] [Status Scale];
        apps::StatefulSet: "statefulset" ["sts"] ["all"] [Status Scale];
        authentication::SelfSubjectReview: "selfsubjectreview" [] [] [];
        authentication::TokenReview: "tokenreview" [] [] [];
        authorization::LocalSubjectAccessReview: "localsubjectaccessreview" [] [] [];
        authorization::SelfSubjectAccessReview: "selfsubjectaccessreview" [] [] [];
        authorization::SelfSubjectRulesReview: "selfsubjectrulesreview" [] [] [];
        authorization::SubjectAccessReview: "subjectaccessreview" [] [] [];
        batch::CronJob: "cronjob" ["cj"] ["all"] [Status];
        batch::Job: "job" [] ["all"] [Status];
        coordination::Lease: "lease" [] [] [];
        events::Event: "event" ["ev"] [] [];
        policy::PodDisruptionBudget: "poddisruptionbudget" ["pdb"] [] [Status];
        rbac::ClusterRoleBinding: "clusterrolebinding" [] [] [];
        rbac::ClusterRole: "clusterrole" [] [] [];
        rbac::RoleBinding: "rolebinding" [] [] [];
        rbac::Role: "role" [] [] [];
        scheduling::PriorityClass: "priorityclass" ["pc"] [] [];
        storage::StorageClass: "storageclass" ["sc"] [] [];
    }
}

/// Groups that a real API server serves and this one does not: asked for, they are refused clearly.
pub const OTHER_GROUPS: &[&str] = &[
    "apiregistration.k8s.io",
    "autoscaling",
    "certificates.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "resource.k8s.io",
];

/// Resources of served groups that a real API server serves and this one does not.
pub const OTHER_RESOURCES: &[(&str, &str)] = &[
    ("", "componentstatuses"),
    ("", "endpoints"),
    ("", "limitranges"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "csistoragecapacities"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// Paths below an object that a real API server serves and this one does not.
pub const OTHER_SUBRESOURCES: &[(&str, &str)] = &[
    ("namespaces", "finalize"),
    ("nodes", "proxy"),
    ("pods", "attach"),
    ("pods", "ephemeralcontainers"),
    ("pods", "exec"),
    ("pods", "log"),
    ("pods", "portforward"),
    ("pods", "proxy"),
    ("pods", "resize"),
    ("replicationcontrollers", "scale"),
    ("services", "proxy"),
];

/// Whether it can only be created, and is not kept: reviews and bindings.
#[must_use]
pub fn is_review(resource: &ResourceType) -> bool {
    !resource.is_custom()
        && (resource.group == "authentication.k8s.io"
            || resource.group == "authorization.k8s.io"
            || (resource.group.is_empty() && resource.kind == "Binding"))
}

/// What can be done with objects of that kind, as discovery says it.
#[must_use]
pub fn verbs(resource: &ResourceType) -> &'static [&'static str] {
    if is_review(resource) {
        &["create"]
    } else if !resource.is_custom() && resource.kind == "Namespace" {
        &["create", "delete", "get", "list", "patch", "update", "watch"]
    } else if resource.is_custom() {
        &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    } else {
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    }
}

/// Whether its objects have `metadata.generation`.
#[must_use]
pub fn has_generation(resource: &ResourceType) -> bool {
    resource.is_custom()
        || matches!(
            resource.kind.as_ref(),
            "CronJob"
                | "CustomResourceDefinition"
                | "DaemonSet"
                | "Deployment"
                | "Job"
                | "Pod"
                | "PodDisruptionBudget"
                | "PriorityClass"
                | "ReplicaSet"
                | "ReplicationController"
                | "StatefulSet"
                | "ValidatingWebhookConfiguration"
        )
}

/// Whether a `PUT` must name the version that it replaces.
#[must_use]
pub fn needs_version_for_update(resource: &ResourceType) -> bool {
    resource.is_custom()
        || matches!(
            resource.kind.as_ref(),
            "CustomResourceDefinition" | "Lease" | "PodDisruptionBudget" | "ValidatingWebhookConfiguration"
        )
}

/// Whether a `PUT` makes an object that is not there.
#[must_use]
pub fn may_be_created_by_update(resource: &ResourceType) -> bool {
    !resource.is_custom()
        && matches!(
            resource.kind.as_ref(),
            "ClusterRole" | "ClusterRoleBinding" | "Event" | "Lease" | "Role" | "RoleBinding"
        )
}

/// Whether a `DELETE` is answered with the object, where others are answered with a `Status`.
#[must_use]
pub fn is_returned_when_deleted(resource: &ResourceType) -> bool {
    !resource.is_custom()
        && matches!(
            resource.kind.as_ref(),
            "PersistentVolume" | "PersistentVolumeClaim" | "Pod" | "Service" | "ServiceAccount" | "StorageClass"
        )
}

/// The status of a new object, whatever the client sent; none where the client's is kept.
#[must_use]
pub fn first_status(resource: &ResourceType) -> Option<Value> {
    if resource.is_custom() {
        return resource.has(Subresource::Status).then_some(Value::Null);
    }
    match resource.kind.as_ref() {
        "Namespace" => Some(json!({ "phase": "Active" })),
        // Where it becomes `Available` by a controller that nobody plays here.
        "PersistentVolume" => Some(json!({ "phase": "Available" })),
        "PersistentVolumeClaim" | "Pod" => Some(json!({ "phase": "Pending" })),
        "Service" => Some(json!({ "loadBalancer": {} })),
        "DaemonSet" => Some(json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        })),
        "PodDisruptionBudget" => Some(json!({
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
        })),
        "ReplicaSet" | "ReplicationController" => Some(json!({ "replicas": 0 })),
        "StatefulSet" => Some(json!({ "replicas": 0, "availableReplicas": 0 })),
        // A kubelet registers its node with its status.
        "Node" => None,
        _ => resource.has(Subresource::Status).then(|| json!({})),
    }
}

/// Whether a change of `/status` may change labels, too; annotations and finalizers always may, except of custom kinds.
#[must_use]
pub fn status_keeps_labels(resource: &ResourceType) -> bool {
    matches!(resource.kind.as_ref(), "Deployment" | "Job" | "CronJob")
}
