//! A stand-in for KubeVirt: its definitions, its eviction webhook and its subresource on loopback, and an actor that plays
//! its controllers, kubelets and hypervisors. It answers and does what the real one was seen to answer and do; how long
//! things take is its own.
//!
//! Everything it looks at is in the cluster, so a case tells it what to do by annotations on a VMI ([`NOT_MIGRATABLE`],
//! [`HOLD`], [`FAIL`]), at any time.

mod actor;
mod server;

use serde_json::{Value, json};

use crate::{
    case::{CASE_LABEL, Case},
    objects::{CLUSTER, Cluster, condition, conditions, kinds, list, name_of, text, uid_of},
    wait::{check, soon},
};

/// Annotation on a VMI: KubeVirt says that it cannot be migrated, with this as the reason.
pub const NOT_MIGRATABLE: &str = "careen-test/not-migratable";

/// Annotation on a VMI: its migration does not go beyond this phase (`Pending`, `Scheduling`, `Running`, …).
pub const HOLD: &str = "careen-test/hold";

/// Annotation on a VMI: so many of its migrations fail.
pub const FAIL: &str = "careen-test/fail";

/// On a launcher pod: the VMI's name.
const DOMAIN: &str = "kubevirt.io/domain";

/// On a launcher pod: the VMI's UID.
const CREATED_BY: &str = "kubevirt.io/created-by";

/// On the target pod of a migration: its name.
const MIGRATION_NAME: &str = "kubevirt.io/migrationJobName";

/// On a migration that evacuates: the node.
const EVACUATES: &str = "kubevirt.io/evacuationMigration";

/// KubeVirt's own finalizers.
const VMI_FINALIZER: &str = "foregroundDeleteVirtualMachine";
const MIGRATION_FINALIZER: &str = "kubevirt.io/migrationJobFinalize";

/// The webhook as KubeVirt calls it.
const EVICTION_WEBHOOK: &str = "virt-launcher-eviction-interceptor.kubevirt.io";

/// The stand-in.
#[derive(Debug)]
pub struct KubeVirt {
    cluster: Cluster,
    port: u16,
    /// PEM, as base64.
    ca_bundle: String,
}

/// Whether virt-api answers in a case's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtApi {
    /// It does.
    Up,
    /// It refuses connections.
    Down,
}

impl KubeVirt {
    /// Installs KubeVirt's definitions and its subresource, and starts the stand-in.
    pub async fn install(cluster: &Cluster) -> Self {
        for definition in definitions() {
            cluster.apply(definition).await;
        }
        for kind in [kinds::VM, kinds::VMI, kinds::MIGRATION, kinds::KUBEVIRT] {
            cluster.until_served(kind).await;
        }
        let (port, ca_bundle) = server::start(cluster.clone()).await;
        let kubevirt = Self { cluster: cluster.clone(), port, ca_bundle };
        kubevirt.register_subresources().await;
        actor::start(cluster.clone());
        kubevirt
    }

    /// An API of its own, behind the API server: a Service of type `ExternalName` leads it to this process.
    async fn register_subresources(&self) {
        let cluster = &self.cluster;
        cluster.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubevirt"}})).await;
        cluster
            .apply(json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "virt-api", "namespace": "kubevirt"},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            }))
            .await;
        cluster
            .apply(json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": "v1.subresources.kubevirt.io"},
                "spec": {
                    "group": "subresources.kubevirt.io", "version": "v1",
                    "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": self.ca_bundle,
                    "service": {"namespace": "kubevirt", "name": "virt-api", "port": self.port},
                },
            }))
            .await;
        soon("KubeVirt's subresources are served", async || {
            let service = cluster.get(kinds::API_SERVICE, CLUSTER, "v1.subresources.kubevirt.io").await;
            check(condition(&service, "Available") == "True", || service["status"].to_string())
        })
        .await;
    }

    /// Sends evictions of launcher pods in that namespace to the stand-in, or nowhere; returns when it is in force.
    pub async fn intercept_evictions(&self, namespace: &str, virt_api: VirtApi) {
        let cluster = &self.cluster;
        let port = match virt_api {
            VirtApi::Up => self.port,
            VirtApi::Down => 1,
        };
        cluster
            .apply(json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": webhook_of(namespace)},
                "webhooks": [{
                    "name": EVICTION_WEBHOOK,
                    "clientConfig": {
                        "url": format!("https://127.0.0.1:{port}/pod-eviction-validate"), "caBundle": self.ca_bundle,
                    },
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "rules": [{
                        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/eviction"],
                        "operations": ["CREATE"], "scope": "Namespaced",
                    }],
                    "matchConditions": [{
                        "name": "only-virt-launchers", "expression": "object.metadata.name.startsWith('virt-launcher')",
                    }],
                    "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1"],
                    "timeoutSeconds": 10,
                }],
            }))
            .await;
        let wanted = match virt_api {
            VirtApi::Up => server::PROBED,
            VirtApi::Down => "failed calling webhook",
        };
        soon("the eviction webhook is in force", async || {
            let (_, message) = cluster.evict(namespace, server::PROBE, true).await;
            check(message.contains(wanted), || message.clone())
        })
        .await;
    }

    /// Removes what a case had.
    pub(crate) async fn remove_from(&self, namespace: &str) {
        let cluster = &self.cluster;
        if cluster.find(kinds::VALIDATING_WEBHOOK, CLUSTER, &webhook_of(namespace)).await.is_none() {
            return;
        }
        for kind in [kinds::VM, kinds::MIGRATION, kinds::VMI] {
            for object in cluster.list(kind, namespace).await {
                cluster.delete(kind, namespace, name_of(&object)).await;
                let finalizers = json!({"metadata": {"finalizers": null}});
                cluster.try_merge(kind, namespace, name_of(&object), &finalizers).await.ok();
            }
        }
        cluster.delete(kinds::VALIDATING_WEBHOOK, CLUSTER, &webhook_of(namespace)).await;
    }
}

fn webhook_of(namespace: &str) -> String {
    format!("virt-launcher-evictions-{namespace}")
}

/// KubeVirt's definitions, as far as names, versions and subresources go.
fn definitions() -> impl Iterator<Item = Value> {
    let kinds = [
        ("VirtualMachine", "virtualmachines", "virtualmachine", vec!["vm", "vms"], true),
        // As the real one, it has no status subresource.
        ("VirtualMachineInstance", "virtualmachineinstances", "virtualmachineinstance", vec!["vmi", "vmis"], false),
        (
            "VirtualMachineInstanceMigration",
            "virtualmachineinstancemigrations",
            "virtualmachineinstancemigration",
            vec!["vmim", "vmims"],
            true,
        ),
        ("KubeVirt", "kubevirts", "kubevirt", vec!["kv", "kvs"], true),
    ];
    kinds.into_iter().map(|(kind, plural, singular, short_names, has_status)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.kubevirt.io")},
            "spec": {
                "group": "kubevirt.io", "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": singular, "shortNames": short_names},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                    "subresources": if has_status { json!({"status": {}}) } else { json!({}) },
                }],
            },
        })
    })
}

/// How a VM is made.
#[derive(Clone, Copy, Debug)]
pub struct Vm {
    /// `spec.evictionStrategy` of its VMI.
    pub strategy: &'static str,
    /// `spec.runStrategy` of its `VirtualMachine`; without one it is a bare VMI.
    pub run_strategy: Option<&'static str>,
    /// Why KubeVirt says that it cannot migrate ([`NOT_MIGRATABLE`]).
    pub not_migratable: Option<&'static str>,
}

impl Vm {
    /// A VM that migrates live and always runs.
    pub const LIVE_MIGRATE: Self = Self { strategy: "LiveMigrate", run_strategy: Some("Always"), not_migratable: None };
    /// A VM without a strategy that always runs.
    pub const NO_STRATEGY: Self = Self { strategy: "None", run_strategy: Some("Always"), not_migratable: None };
}

impl Case {
    /// KubeVirt in this case's namespace.
    pub async fn with_kubevirt(&self) {
        self.virt_api(VirtApi::Up).await;
    }

    /// virt-api goes away, or comes back.
    pub async fn virt_api(&self, virt_api: VirtApi) {
        self.suite.kubevirt.intercept_evictions(&self.namespace, virt_api).await;
    }

    /// A VM that runs on one of the case's nodes: its VMI.
    pub async fn vm(&self, name: &str, vm: Vm) -> Value {
        let annotations = json!({NOT_MIGRATABLE: vm.not_migratable});
        // What KubeVirt copies from the one to the other.
        let instance = json!({
            "evictionStrategy": vm.strategy, "nodeSelector": {CASE_LABEL: self.id}, "terminationGracePeriodSeconds": 30,
            "domain": {"devices": {}},
        });
        let owner = if let Some(run_strategy) = vm.run_strategy {
            let made = self
                .cluster()
                .create(json!({
                    "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
                    "metadata": {"name": name, "namespace": self.namespace},
                    "spec": {
                        "runStrategy": run_strategy,
                        "template": {"metadata": {"annotations": annotations}, "spec": instance},
                    },
                }))
                .await;
            Some(made)
        } else {
            None
        };
        // The actor starts those that always run; others have been started by somebody.
        if vm.run_strategy != Some("Always") {
            self.cluster()
                .create(actor::instance_of(&self.namespace, name, annotations, &instance, owner.as_ref()))
                .await;
        }
        self.vmi_runs(name, None).await
    }

    /// Waits until that VMI runs (on that node, if one is named): the VMI.
    pub async fn vmi_runs(&self, name: &str, node: Option<&str>) -> Value {
        soon(&format!("VMI {name} runs"), async || {
            let found = self.cluster().find(kinds::VMI, &self.namespace, name).await.ok_or("it does not exist")?;
            let is_there = node.is_none_or(|node| text(&found, "/status/nodeName") == node);
            let decided = conditions(&found).contains_key("LiveMigratable");
            let runs = text(&found, "/status/phase") == "Running" && is_there && decided;
            check(runs, || found["status"].to_string())?;
            Ok(found)
        })
        .await
    }

    /// The VMI as it is.
    pub async fn vmi(&self, name: &str) -> Value {
        self.cluster().get(kinds::VMI, &self.namespace, name).await
    }

    /// Annotates a VMI ([`HOLD`], [`FAIL`], [`NOT_MIGRATABLE`]).
    pub async fn tell(&self, vmi: &str, annotation: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        self.cluster().merge(kinds::VMI, &self.namespace, vmi, patch).await;
    }

    /// The name of the launcher pod of that VMI on that node.
    pub async fn launcher(&self, vmi: &Value, node: &str) -> String {
        let pods = self.pods_on(node).await;
        let launcher = pods.iter().find(|pod| is_launcher_of(pod, vmi));
        name_of(launcher.unwrap_or_else(|| panic!("{} has no launcher pod on {node}", name_of(vmi)))).to_owned()
    }

    /// Waits until the migration of that VMI is in that phase: the migration.
    pub async fn migration_is(&self, vmi: &str, phase: &str) -> Value {
        soon(&format!("the migration of {vmi} is {phase}"), async || {
            let found = self.cluster().list(kinds::MIGRATION, &self.namespace).await;
            let phases: Vec<&str> = found.iter().map(|found| text(found, "/status/phase")).collect();
            let mine =
                found.iter().find(|found| text(found, "/spec/vmiName") == vmi && text(found, "/status/phase") == phase);
            mine.cloned().ok_or_else(|| format!("{phases:?}"))
        })
        .await
    }
}

fn is_launcher_of(pod: &Value, vmi: &Value) -> bool {
    crate::objects::label(pod, CREATED_BY) == Some(uid_of(vmi))
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    list(object, "/metadata/finalizers").iter().any(|found| found == finalizer)
}

fn is_finished(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}
