//! KubeVirt on the cluster of the cases: the actors of `careen-sim` and its virt-api, which is served over TLS where the API
//! server is a real one. In a case's namespace only, its webhooks are in force or lead nowhere.
//!
//! A case tells a VMI what to do by annotations, at any time ([`NOT_MIGRATABLE`], [`HOLD`], [`FAIL`]; all are in
//! `careen_sim::actors::kubevirt`).

mod server;
mod vm;

use std::time::Duration;

use careen_sim::{
    actors::{
        driver::Driver,
        kubevirt::{self, definitions, timing::Timing, virt_api},
        rules::Rules,
    },
    clock::Clock,
};
use kube::Client;
use serde_json::json;

use crate::{
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

/// KubeVirt.
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
    /// Installs KubeVirt, and starts it with that client.
    pub async fn install(cluster: &Cluster, client: Client) -> Self {
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
        let (port, ca_bundle) = server::start(virt_api::VirtApi::new(client.clone())).await;
        let kubevirt = Self { cluster: cluster.clone(), port, ca_bundle };
        kubevirt.register_subresources().await;
        let driver = Driver::new(client, Clock::system(), fastrand::Rng::with_seed(1));
        tokio::spawn(kubevirt::actors(timing()).into_iter().fold(driver, Driver::with).run());
        kubevirt
    }

    /// An API of its own, behind the API server: a Service of type `ExternalName` leads it to this process.
    async fn register_subresources(&self) {
        let cluster = &self.cluster;
        cluster
            .apply(json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "virt-api", "namespace": definitions::NAMESPACE},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            }))
            .await;
        let service = json!({"namespace": definitions::NAMESPACE, "name": "virt-api", "port": self.port});
        cluster.apply(definitions::api_service(&service, Some(&self.ca_bundle))).await;
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
        let mut webhooks = definitions::validating_webhooks(
            |path| json!({"url": format!("https://127.0.0.1:{port}{path}"), "caBundle": self.ca_bundle}),
        );
        webhooks["metadata"] = json!({"name": webhooks_of(namespace)});
        for webhook in webhooks["webhooks"].as_array_mut().into_iter().flatten() {
            webhook["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        }
        cluster.apply(webhooks).await;
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

fn webhooks_of(namespace: &str) -> String {
    format!("virt-launcher-evictions-{namespace}")
}

/// Short, so that the cases are; whatever a case waits for is the same.
fn timing() -> Timing {
    Timing {
        start: Duration::from_millis(200),
        shut_down: Duration::from_secs(1),
        prepare: Duration::from_millis(200),
        migrate: Duration::from_secs(1),
        back_off: Duration::from_secs(3),
        ..Timing::new(Rules::new(1).jittered(0.0))
    }
}
