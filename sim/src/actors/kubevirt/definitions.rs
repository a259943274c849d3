//! What an installed KubeVirt brings: its definitions, its namespace, its configuration, its webhooks.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-operator/resource/generate/components/crds.go>

use serde_json::{Value, json};

use super::{
    configuration,
    names::{INSTANCE, KUBEVIRT, MIGRATION, VIRTUAL_MACHINE},
};
use crate::actors::view::Kind;

/// The version of KubeVirt's APIs before `v1`: the same objects, and still served.
pub const OLD: &str = "v1alpha3";

/// The namespace that KubeVirt is installed in.
pub const NAMESPACE: &str = "kubevirt";

/// The webhook that stands in the way of evictions of launcher pods.
pub const EVICTION_WEBHOOK: &str = "virt-launcher-eviction-interceptor.kubevirt.io";

/// Where virt-api is asked about evictions.
pub const EVICTION_PATH: &str = "/pod-eviction-validate";

/// Where virt-api is asked about new migrations.
pub const MIGRATION_PATH: &str = "/migration-validate-create";

/// The `CustomResourceDefinition`s: names, versions, subresources and printer columns are KubeVirt's, the schemas let
/// everything pass.
#[must_use]
pub fn custom_resource_definitions() -> Vec<Value> {
    let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
    let phase = json!({"name": "Phase", "type": "string", "jsonPath": ".status.phase"});
    let machine = json!([
        age,
        {
            "name": "Status", "description": "Human Readable Status", "type": "string",
            "jsonPath": ".status.printableStatus",
        },
        condition_column("Ready", "Ready", 0),
    ]);
    let instance = json!([
        age, phase,
        {"name": "IP", "type": "string", "jsonPath": ".status.interfaces[0].ipAddress"},
        {"name": "NodeName", "type": "string", "jsonPath": ".status.nodeName"},
        condition_column("Ready", "Ready", 0),
        condition_column("Live-Migratable", "LiveMigratable", 1),
        condition_column("Paused", "Paused", 1),
    ]);
    let migration = json!([
        {
            "name": "Phase", "type": "string", "jsonPath": ".status.phase",
            "description": "The current phase of VM instance migration",
        },
        {
            "name": "VMI", "type": "string", "jsonPath": ".spec.vmiName",
            "description": "The name of the VMI to perform the migration on",
        },
    ]);
    vec![
        definition(VIRTUAL_MACHINE, &["vm", "vms"], true, &machine),
        definition(INSTANCE, &["vmi", "vmis"], false, &instance),
        definition(MIGRATION, &["vmim", "vmims"], true, &migration),
        definition(KUBEVIRT, &["kv", "kvs"], true, &json!([age, phase])),
    ]
}

fn condition_column(title: &str, condition: &str, priority: u8) -> Value {
    let path = format!(".status.conditions[?(@.type=='{condition}')].status");
    let mut column = json!({"name": title, "type": "string", "jsonPath": path});
    if priority > 0 {
        column["priority"] = priority.into();
    }
    column
}

fn definition(kind: Kind, short_names: &[&str], has_status: bool, columns: &Value) -> Value {
    let label =
        if kind == KUBEVIRT { ("operator.kubevirt.io", "") } else { ("app.kubernetes.io/managed-by", "virt-operator") };
    let mut old = version(OLD, has_status, columns);
    old["deprecated"] = true.into();
    old["deprecationWarning"] =
        "kubevirt.io/v1alpha3 is now deprecated and will be removed in a future release.".into();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", kind.plural, kind.group),
            "labels": {label.0: label.1},
        },
        "spec": {
            "group": kind.group, "scope": "Namespaced",
            "names": {
                "kind": kind.kind, "listKind": format!("{}List", kind.kind), "plural": kind.plural,
                "singular": kind.kind.to_lowercase(), "shortNames": short_names, "categories": ["all"],
            },
            "versions": [version(kind.version, has_status, columns), old],
        },
    })
}

fn version(name: &str, has_status: bool, columns: &Value) -> Value {
    json!({
        "name": name, "served": true, "storage": name != OLD,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        "subresources": if has_status { json!({"status": {}}) } else { json!({}) },
    })
}

/// The namespace `kubevirt`.
#[must_use]
pub fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"kubevirt.io": "", "pod-security.kubernetes.io/enforce": "privileged"}},
    })
}

/// The `KubeVirt` object with the default configuration, and that eviction strategy for all VMs that name none.
#[must_use]
pub fn kubevirt(eviction_strategy: Option<&str>) -> Value {
    let mut made = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": NAMESPACE},
        "spec": {"configuration": {"migrations": configuration::defaults()}},
    });
    if let Some(strategy) = eviction_strategy {
        made["spec"]["configuration"]["evictionStrategy"] = strategy.into();
    }
    made
}

/// The `ValidatingWebhookConfiguration` of virt-api: who asks it, and about what. `client_config` says where it is, from
/// a path: `{"url": …, "caBundle": …}` or `{"service": …}`.
#[must_use]
pub fn validating_webhooks(client_config: impl Fn(&str) -> Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": "virt-api-validator",
            "labels": {"kubevirt.io": "virt-api-validator", "app.kubernetes.io/managed-by": "virt-operator"},
        },
        "webhooks": [
            eviction_webhook(EVICTION_WEBHOOK, "only-vms", "virt-launcher", &client_config(EVICTION_PATH)),
            eviction_webhook(
                "hotplug-pod-eviction-interceptor.kubevirt.io", "only-hotplug-pods", "hp-volume-",
                &client_config(EVICTION_PATH),
            ),
            {
                "name": "migration-create-validator.kubevirt.io", "admissionReviewVersions": ["v1", "v1beta1"],
                "clientConfig": client_config(MIGRATION_PATH),
                "rules": [{
                    "apiGroups": ["kubevirt.io"], "apiVersions": ["v1", "v1alpha3"], "operations": ["CREATE"],
                    "resources": ["virtualmachineinstancemigrations"], "scope": "*",
                }],
                "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 10,
            },
        ],
    })
}

/// The condition looks at the name in the Eviction: a launcher pod with another name is not protected.
fn eviction_webhook(name: &str, condition: &str, prefix: &str, client_config: &Value) -> Value {
    json!({
        "name": name, "admissionReviewVersions": ["v1"], "clientConfig": client_config,
        "rules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods/eviction"], "scope": "*",
        }],
        "matchConditions": [{
            "name": condition, "expression": format!("object.metadata.name.startsWith(\"{prefix}\")"),
        }],
        "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "timeoutSeconds": 10,
    })
}

/// The group of virt-api's own API.
pub const SUBRESOURCES: &str = "subresources.kubevirt.io";

/// The `APIService` of virt-api's own API, behind that Service (`{namespace, name, port}`).
#[must_use]
pub fn api_service(service: &Value, ca_bundle: Option<&str>) -> Value {
    let mut made = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("v1.{SUBRESOURCES}")},
        "spec": {
            "group": SUBRESOURCES, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15, "service": service,
        },
    });
    if let Some(bundle) = ca_bundle {
        made["spec"]["caBundle"] = bundle.into();
    }
    made
}
