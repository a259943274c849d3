//! Ordinary workloads of a case: they run on its nodes only.

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::{
    case::{CASE_LABEL, Case, merge},
    objects::{CLUSTER, condition, kinds, name_of, text},
    wait::{check, soon},
};

impl Case {
    fn pod_spec(&self, grace_seconds: u32) -> Value {
        json!({
            "nodeSelector": {CASE_LABEL: self.id},
            "terminationGracePeriodSeconds": grace_seconds,
            "containers": [{"name": "app", "image": "app"}],
        })
    }

    /// A Deployment whose pods take so long to end; label `app` is its name.
    pub async fn deployment(&self, name: &str, replicas: u32, grace_seconds: u32) {
        let labels = json!({"app": name});
        self.cluster()
            .create(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "replicas": replicas, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": self.pod_spec(grace_seconds)},
                },
            }))
            .await;
    }

    /// A DaemonSet on the case's nodes.
    pub async fn daemon_set(&self, name: &str) {
        let labels = json!({"app": name});
        self.cluster()
            .create(json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": self.pod_spec(0)},
                },
            }))
            .await;
    }

    /// A pod without a controller, bound to that node; `more` is a JSON merge patch of it.
    pub async fn pod(&self, name: &str, node: &str, more: Value) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}},
            "spec": self.pod_spec(1),
        });
        pod["spec"]["nodeName"] = json!(node);
        merge(&mut pod, more);
        self.cluster().create(pod).await
    }

    /// A budget for the pods of that app; `limit` is `{"maxUnavailable": 1}` or `{"minAvailable": 3}`. Waits until
    /// Kubernetes has worked out that it allows `allowed`.
    pub async fn budget(&self, name: &str, app: &str, limit: Value, allowed: i64) {
        let mut budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"selector": {"matchLabels": {"app": app}}},
        });
        merge(&mut budget["spec"], limit);
        self.cluster().create(budget).await;
        soon(&format!("budget {name} allows {allowed}"), async || {
            let budget = self.cluster().get(kinds::BUDGET, &self.namespace, name).await;
            let status = &budget["status"];
            let observed = status["observedGeneration"] == budget["metadata"]["generation"];
            check(observed && status["disruptionsAllowed"] == allowed, || status.to_string())
        })
        .await;
    }

    /// The pods of any namespace on that node.
    pub async fn pods_on(&self, node: &str) -> Vec<Value> {
        let parameters = ListParams::default().fields(&format!("spec.nodeName={node}"));
        self.cluster().select(kinds::POD, CLUSTER, parameters).await
    }

    /// Their names.
    pub async fn names_on(&self, node: &str) -> Vec<String> {
        self.pods_on(node).await.iter().map(|pod| name_of(pod).to_owned()).collect()
    }

    /// Waits until so many pods are ready on that node.
    pub async fn ready_on(&self, node: &str, count: usize) {
        soon(&format!("{count} pods are ready on {node}"), async || {
            let pods = self.pods_on(node).await;
            let ready = pods.iter().filter(|pod| condition(pod, "Ready") == "True").count();
            check(ready == count, || format!("{ready} of {}", pods.len()))
        })
        .await;
    }

    /// Gives a pod that the kubelet leaves alone a status.
    pub async fn set_pod_phase(&self, name: &str, phase: &str) {
        let ready = if phase == "Running" { "True" } else { "False" };
        let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        self.cluster().merge_status(kinds::POD, &self.namespace, name, &status).await;
    }

    /// Waits until a Deployment has all its replicas again.
    pub async fn available(&self, deployment: &str, replicas: u64) {
        soon(&format!("{deployment} has {replicas} replicas"), async || {
            let found = self.cluster().get(kinds::DEPLOYMENT, &self.namespace, deployment).await;
            let available = found["status"]["availableReplicas"].as_u64().unwrap_or(0);
            check(available == replicas, || found["status"].to_string())
        })
        .await;
    }

    /// The node of a pod.
    pub async fn node_of(&self, pod: &str) -> String {
        text(&self.cluster().get(kinds::POD, &self.namespace, pod).await, "/spec/nodeName").to_owned()
    }
}
