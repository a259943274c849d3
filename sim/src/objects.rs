//! Objects in a line each: for tests, for the demo, and for those who try things out. Each has the label `app` with its name,
//! and its pods do.
//!
//! ```
//! use careen_sim::objects::{deployment, max_unavailable, with};
//! use serde_json::json;
//!
//! let web = with(deployment("shop", "web", 3), json!({"spec": {"minReadySeconds": 5}}));
//! let budget = max_unavailable("shop", "web", 1);
//! ```

use serde_json::{Value, json};

/// The object with a merge patch.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "a patch is written where it is used")]
pub fn with(mut object: Value, patch: Value) -> Value {
    json_patch::merge(&mut object, &patch);
    object
}

/// The object with such an annotation: `sim.careen.dev/ends-after`.
#[must_use]
pub fn annotated(object: Value, annotation: &str, value: &str) -> Value {
    with(object, json!({"metadata": {"annotations": {annotation: value}}}))
}

/// A workload whose pods have such an annotation.
#[must_use]
pub fn with_pods_annotated(object: Value, annotation: &str, value: &str) -> Value {
    with(object, json!({"spec": {"template": {"metadata": {"annotations": {annotation: value}}}}}))
}

/// A namespace.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A worker node; its kubelet gives it 16 CPUs, 64 GiB and room for 110 pods.
#[must_use]
pub fn node(name: &str) -> Value {
    let labels = json!({"kubernetes.io/hostname": name, "node-role.kubernetes.io/worker": ""});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

/// A node of the control plane, with its taint.
#[must_use]
pub fn control_plane_node(name: &str) -> Value {
    let role = "node-role.kubernetes.io/control-plane";
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, role: ""}},
        "spec": {"taints": [{"key": role, "effect": "NoSchedule"}]},
    })
}

fn object(api_version: &str, kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}}, "spec": spec,
    })
}

fn containers() -> Value {
    json!([{"name": "main", "image": "registry.example/main:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}])
}

fn template(name: &str) -> Value {
    json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": containers()}})
}

fn selector(name: &str) -> Value {
    json!({"matchLabels": {"app": name}})
}

/// A pod that nobody owns.
#[must_use]
pub fn pod(namespace: &str, name: &str) -> Value {
    object("v1", "Pod", namespace, name, &json!({"containers": containers()}))
}

/// The mirror of a static pod of that node: `etcd-node01`.
#[must_use]
pub fn static_pod(namespace: &str, name: &str, node: &str) -> Value {
    let pod = pod(namespace, &format!("{name}-{node}"));
    let tolerations = json!([{"operator": "Exists", "effect": "NoExecute"}]);
    let metadata = json!({
        "labels": {"app": name, "component": name, "tier": "control-plane"},
        "annotations": {
            "kubernetes.io/config.mirror": name, "kubernetes.io/config.hash": name, "kubernetes.io/config.source": "file",
        },
    });
    let spec = json!({"nodeName": node, "hostNetwork": true, "tolerations": tolerations, "priority": 2_000_001_000,
        "priorityClassName": "system-node-critical"});
    with(pod, json!({"metadata": metadata, "spec": spec}))
}

/// A Deployment.
#[must_use]
pub fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    let spec = json!({"replicas": replicas, "selector": selector(name), "template": template(name)});
    object("apps/v1", "Deployment", namespace, name, &spec)
}

/// A `StatefulSet` without volumes.
#[must_use]
pub fn stateful_set(namespace: &str, name: &str, replicas: u32) -> Value {
    let spec = json!({
        "replicas": replicas, "serviceName": name, "selector": selector(name), "template": template(name),
    });
    object("apps/v1", "StatefulSet", namespace, name, &spec)
}

/// A `DaemonSet` on all nodes but those with taints of their own.
#[must_use]
pub fn daemon_set(namespace: &str, name: &str) -> Value {
    object("apps/v1", "DaemonSet", namespace, name, &json!({"selector": selector(name), "template": template(name)}))
}

/// A Job of one pod, which has done its work after so long: `10s`.
#[must_use]
pub fn job(namespace: &str, name: &str, completes_after: &str) -> Value {
    let mut template = template(name);
    template["spec"]["restartPolicy"] = "Never".into();
    let job = object("batch/v1", "Job", namespace, name, &json!({"template": template}));
    with_pods_annotated(job, "sim.careen.dev/completes-after", completes_after)
}

/// A budget for the pods with `app: name`: so many, or such a percentage (`"50%"`), have to be there.
#[must_use]
pub fn min_available(namespace: &str, name: &str, count: impl Into<Value>) -> Value {
    let spec = json!({"minAvailable": count.into(), "selector": selector(name)});
    object("policy/v1", "PodDisruptionBudget", namespace, name, &spec)
}

/// A budget for the pods with `app: name`: so many, or such a percentage (`"50%"`), may be away.
#[must_use]
pub fn max_unavailable(namespace: &str, name: &str, count: impl Into<Value>) -> Value {
    let spec = json!({"maxUnavailable": count.into(), "selector": selector(name)});
    object("policy/v1", "PodDisruptionBudget", namespace, name, &spec)
}

/// A virtual machine that is always to run, with that eviction strategy: `LiveMigrate`; none for the cluster's.
#[must_use]
pub fn virtual_machine(namespace: &str, name: &str, eviction_strategy: Option<&str>) -> Value {
    let mut guest = json!({
        "domain": {"devices": {"interfaces": [{"name": "default", "masquerade": {}}]}, "memory": {"guest": "128Mi"}},
        "networks": [{"name": "default", "pod": {}}],
        "terminationGracePeriodSeconds": 30,
    });
    if let Some(strategy) = eviction_strategy {
        guest["evictionStrategy"] = strategy.into();
    }
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": guest});
    object("kubevirt.io/v1", "VirtualMachine", namespace, name, &json!({"runStrategy": "Always", "template": template}))
}
