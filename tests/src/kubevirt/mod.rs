//! KubeVirt on the cluster of the cases: the actors of `careen-sim` and its virt-api, which is served over TLS where
//! the API server is a real one. In a case's namespace only, its webhooks are in force or lead nowhere.
//!
//! A case tells a VMI what to do by annotations, at any time ([`NOT_MIGRATABLE`], [`HOLD`], [`FAIL`]; all are in
//! `careen_sim::actors::kubevirt`).

mod server;
mod vm;

use std::time::Duration;

use careen_sim::{
    actors::{
        driver::Driver,
        kubevirt::{self, definitions, install, timing::Timing, virt_api::VirtApi},
        rules::Rules,
    },
    clock::Clock,
};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    control_plane::ControlPlane,
    nodes::NODES,
    objects::{CLUSTER, Cluster, condition, kinds, name_of},
    wait::{check, soon},
};

pub use vm::Vm;

/// Annotation on a VMI: KubeVirt says that it cannot be migrated, with this as the reason.
pub const NOT_MIGRATABLE: &str = "sim.careen.dev/not-migratable";

/// Annotation on a VMI: its migrations do not go beyond this phase (`Pending`, `Scheduling`, `Running`, …).
pub const HOLD: &str = "sim.careen.dev/migration-stays-in";

/// Annotation on a VMI: so many of its migrations fail.
pub const FAIL: &str = "sim.careen.dev/migration-fails";

/// Annotation on a VM's template: its guests take so long to start.
pub const GUEST_STARTS_AFTER: &str = "sim.careen.dev/guest-starts-after";

/// KubeVirt.
#[derive(Debug)]
pub struct KubeVirt {
    cluster: Cluster,
    reached: Reached,
}

/// How the API server reaches virt-api.
#[derive(Debug)]
enum Reached {
    /// Over TLS on loopback.
    AtPort {
        port: u16,
        /// PEM, as base64.
        ca_bundle: String,
    },
    /// As a function: both are in this process.
    InProcess,
}

/// Whether virt-api answers in a case's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtApiIs {
    /// It does.
    Up,
    /// It refuses connections.
    Down,
}

impl KubeVirt {
    /// Installs KubeVirt, and starts it with that client.
    pub async fn install(control_plane: &ControlPlane, cluster: &Cluster, client: Client) -> Self {
        for definition in definitions::custom_resource_definitions() {
            cluster.apply(definition).await;
        }
        for kind in [kinds::VM, kinds::VMI, kinds::MIGRATION, kinds::KUBEVIRT] {
            cluster.until_served(kind).await;
        }
        cluster.apply(definitions::namespace()).await;
        let mut kubevirt = definitions::kubevirt(None);
        // The cases that run side by side are not to wait for each other.
        kubevirt["spec"]["configuration"]["migrations"]["parallelMigrationsPerCluster"] = json!(50);
        cluster.apply(kubevirt).await;
        let reached = if let Some(server) = control_plane.in_memory() {
            install::answer(server, NODES);
            server.set_webhook_down(NOBODY);
            Reached::InProcess
        } else {
            let (port, ca_bundle) = server::start(VirtApi::new(client.clone(), NODES)).await;
            register_subresources(cluster, port, &ca_bundle).await;
            Reached::AtPort { port, ca_bundle }
        };
        let kubevirt = Self { cluster: cluster.clone(), reached };
        let driver = Driver::new(client, Clock::system(), fastrand::Rng::with_seed(1));
        tokio::spawn(kubevirt::join(driver, timing()).run());
        kubevirt
    }

    /// Sends evictions of launcher pods in that namespace to the stand-in, or nowhere; returns when it is in force.
    pub async fn intercept_evictions(&self, namespace: &str, virt_api: VirtApiIs) {
        let cluster = &self.cluster;
        let mut webhooks = definitions::validating_webhooks(|path| self.reached.client_config(virt_api, path));
        webhooks["metadata"] = json!({"name": webhooks_of(namespace)});
        for webhook in webhooks["webhooks"].as_array_mut().into_iter().flatten() {
            webhook["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        }
        cluster.apply(webhooks).await;
        // In this process it is in force at once.
        if matches!(self.reached, Reached::AtPort { .. }) {
            let wanted = match virt_api {
                VirtApiIs::Up => server::PROBED,
                VirtApiIs::Down => "failed calling webhook",
            };
            soon("the eviction webhook is in force", async || {
                let (_, message) = cluster.evict(namespace, server::PROBE, true).await;
                check(message.contains(wanted), || message.clone())
            })
            .await;
        }
    }

    /// Removes what a case had.
    pub(crate) async fn remove_from(&self, namespace: &str) {
        let cluster = &self.cluster;
        if cluster.find(kinds::VALIDATING_WEBHOOK, CLUSTER, &webhooks_of(namespace)).await.is_none() {
            return;
        }
        for kind in [kinds::VM, kinds::MIGRATION, kinds::VMI] {
            for object in cluster.list(kind, namespace).await {
                cluster.delete(kind, namespace, name_of(&object)).await;
                let finalizers = json!({"metadata": {"finalizers": null}});
                cluster.try_merge(kind, namespace, name_of(&object), &finalizers).await.ok();
            }
        }
        cluster.delete(kinds::VALIDATING_WEBHOOK, CLUSTER, &webhooks_of(namespace)).await;
    }
}

/// A Service that refuses connections.
const NOBODY: &str = "kubevirt/nobody";

fn service(name: &str, path: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap_or_default();
    json!({"service": {"namespace": namespace, "name": name, "path": path, "port": 443}})
}

impl Reached {
    fn client_config(&self, virt_api: VirtApiIs, path: &str) -> Value {
        match (self, virt_api) {
            (Self::AtPort { port, ca_bundle }, VirtApiIs::Up) => {
                json!({"url": format!("https://127.0.0.1:{port}{path}"), "caBundle": ca_bundle})
            }
            (Self::AtPort { ca_bundle, .. }, VirtApiIs::Down) => {
                json!({"url": format!("https://127.0.0.1:1{path}"), "caBundle": ca_bundle})
            }
            (Self::InProcess, VirtApiIs::Up) => service(install::VIRT_API, path),
            (Self::InProcess, VirtApiIs::Down) => service(NOBODY, path),
        }
    }
}

fn webhooks_of(namespace: &str) -> String {
    format!("virt-launcher-evictions-{namespace}")
}

/// An API of its own, behind the API server: a Service of type `ExternalName` leads it to this process.
async fn register_subresources(cluster: &Cluster, port: u16, ca_bundle: &str) {
    cluster
        .apply(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "virt-api", "namespace": definitions::NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }))
        .await;
    let service = json!({"namespace": definitions::NAMESPACE, "name": "virt-api", "port": port});
    cluster.apply(definitions::api_service(&service, Some(ca_bundle))).await;
    soon("KubeVirt's subresources are served", async || {
        let service = cluster.get(kinds::API_SERVICE, CLUSTER, "v1.subresources.kubevirt.io").await;
        check(condition(&service, "Available") == "True", || service["status"].to_string())
    })
    .await;
}

/// Short, so that the cases are; whatever a case waits for is the same.
fn timing() -> Timing {
    Timing {
        start: Duration::from_millis(200),
        shut_down: Duration::from_secs(1),
        prepare: Duration::from_millis(200),
        migrate: Duration::from_secs(1),
        // Longer than Careen gathers what it says of a drain's progress (3 s), on a machine that does other things too.
        back_off: Duration::from_secs(15),
        ..Timing::new(Rules::new(1).jittered(0.0))
    }
}
