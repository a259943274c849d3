//! What is in the demo's cluster: six nodes, and on node02 something of everything that a drain meets.
//!
//! How long things take stands in annotations `sim.careen.dev/…` ([`careen_sim::actors`]), chosen so that the story takes
//! less than a minute and each wait can be seen.

use careen_core::{
    cluster::Snapshot,
    maintenance::custom_resource_definition,
    model::{
        Budget, ObjectKey,
        virtual_machine::{LiveMigratable, VirtualMachineInstance, VmiPhase},
    },
    names,
};
use kube::Client;
use serde_json::{Value, json};

use crate::error::Error;

const NODES: [&str; 6] = ["node01", "node02", "node03", "node04", "node05", "node06"];

/// An object, and the collection that it is created in.
#[derive(Debug)]
struct Made {
    collection: String,
    object: Value,
    /// How many pods it brings.
    pods: usize,
}

/// What is there once the cluster has settled.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pods: usize,
    instances: usize,
    budgets: Vec<ObjectKey>,
}

/// Creates everything.
pub(super) async fn fill(client: &Client, careens_namespace: &str) -> Result<Expected, Error> {
    let mut expected = Expected::default();
    for made in everything(careens_namespace)? {
        expected.add(&made);
        create(client, &made).await.map_err(|message| Error::Demo { what: "fill its cluster", message })?;
    }
    Ok(expected)
}

async fn create(client: &Client, made: &Made) -> Result<(), String> {
    let what = || format!("{} {}", made.object["kind"], made.object["metadata"]["name"]);
    let body = serde_json::to_vec(&made.object).map_err(|error| error.to_string())?;
    let request = axum::http::Request::post(&made.collection).header("content-type", "application/json").body(body);
    let request = request.map_err(|error| format!("{}: {error}", what()))?;
    client.request::<Value>(request).await.map(drop).map_err(|error| format!("{}: {error}", what()))
}

impl Expected {
    fn add(&mut self, made: &Made) {
        let name = |field: &str| made.object["metadata"][field].as_str().unwrap_or_default();
        self.pods += made.pods;
        match made.object["kind"].as_str() {
            Some("VirtualMachine") => self.instances += 1,
            Some("PodDisruptionBudget") => self.budgets.push(ObjectKey::new(name("namespace"), name("name"))),
            _ => {}
        }
    }

    /// What is still to come, in words; `None` once everything is there.
    pub(super) fn missing(&self, snapshot: &Snapshot) -> Option<String> {
        let nodes = snapshot.nodes().filter(|node| node.is_ready()).count();
        let pods = snapshot.pods().filter(|pod| pod.ready || pod.is_finished()).count();
        let runs = |vmi: &VirtualMachineInstance| {
            vmi.phase == VmiPhase::Running && vmi.live_migratable != LiveMigratable::NotKnownYet
        };
        let instances = snapshot.virtual_machine_instances().filter(|vmi| runs(vmi)).count();
        let is_full = |budget: &Budget| budget.is_current() && budget.current_healthy >= budget.expected_pods;
        let budgets =
            self.budgets.iter().filter_map(|key| snapshot.budget(key)).filter(|budget| is_full(budget)).count();
        let counts = [
            (nodes, NODES.len(), "nodes"),
            (pods, self.pods, "pods"),
            (instances, self.instances, "virtual machines"),
            (budgets, self.budgets.len(), "budgets"),
        ];
        let missing: Vec<String> = counts
            .into_iter()
            .filter(|(there, all, _)| there < all)
            .map(|(there, all, what)| format!("{there} of {all} {what} are ready"))
            .collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}

fn everything(careens_namespace: &str) -> Result<Vec<Made>, Error> {
    let definition = serde_json::to_value(custom_resource_definition());
    let definition = definition.map_err(|error| Error::Demo { what: "write its CRD", message: error.to_string() })?;
    let mut all = vec![made("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition, 0)];
    all.extend(["shop", "office", careens_namespace, names::NODE_LEASE_NAMESPACE].map(namespace));
    all.extend(NODES.map(node));
    all.extend([
        daemon_set("node-agent"),
        static_pod("registry-mirror", "node02"),
        // Two on each node; the second leaves node02 when the first one's successor is ready.
        deployment("web", 12, &json!({"ready-after": "5s"}), None),
        budget("web", 1),
        // All on node02: one after the other.
        deployment("checkout", 3, &json!({"ready-after": "5s"}), Some("node02")),
        budget("checkout", 1),
        deployment("report", 3, &json!({"ends-after": "6s"}), None),
        finished_job("nightly-backup", "node02"),
        // KubeVirt moves two VMs of a node at a time: the others wait for a place.
        migrates("shop", "db-1", "node02", "9s"),
        migrates("shop", "db-2", "node02", "12s"),
        migrates("shop", "cache", "node02", "6s"),
        migrates("office", "files", "node02", "10s"),
        migrates("office", "mail", "node05", "8s"),
        machine("office", "legacy", "node02", None, &json!({"shuts-down-after": "5s", "starts-after": "4s"})),
        machine(
            "office",
            "licences",
            "node03",
            Some("LiveMigrate"),
            &json!({"not-migratable": "DisksNotLiveMigratable"}),
        ),
    ]);
    Ok(all)
}

fn made(collection: impl Into<String>, object: Value, pods: usize) -> Made {
    Made { collection: collection.into(), object, pods }
}

fn namespace(name: &str) -> Made {
    made("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), 0)
}

fn node(name: &str) -> Made {
    let labels = json!({"kubernetes.io/hostname": name});
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    made("/api/v1/nodes", object, 0)
}

/// On every node.
fn daemon_set(name: &str) -> Made {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"namespace": "kube-system", "name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name, &json!({}), None)},
    });
    made("/apis/apps/v1/namespaces/kube-system/daemonsets", object, NODES.len())
}

/// As the kubelet of that node shows a pod that it runs from a file.
fn static_pod(name: &str, node: &str) -> Made {
    let mut spec = template(name, &json!({}), None)["spec"].take();
    spec["nodeName"] = node.into();
    let annotations = json!({"kubernetes.io/config.mirror": name, "kubernetes.io/config.source": "file"});
    let metadata = json!({"namespace": "kube-system", "name": format!("{name}-{node}"), "annotations": annotations});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    made("/api/v1/namespaces/kube-system/pods", object, 1)
}

fn deployment(name: &str, replicas: usize, timing: &Value, home: Option<&str>) -> Made {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": template(name, timing, home),
        },
    });
    made("/apis/apps/v1/namespaces/shop/deployments", object, replicas)
}

fn budget(app: &str, max_unavailable: u32) -> Made {
    let object = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "shop", "name": app},
        "spec": {"maxUnavailable": max_unavailable, "selector": {"matchLabels": {"app": app}}},
    });
    made("/apis/policy/v1/namespaces/shop/poddisruptionbudgets", object, 0)
}

fn finished_job(name: &str, home: &str) -> Made {
    let mut template = template(name, &json!({"completes-after": "1s"}), Some(home));
    template["spec"]["restartPolicy"] = "Never".into();
    let object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"template": template},
    });
    made("/apis/batch/v1/namespaces/shop/jobs", object, 1)
}

/// A VM that moves live, and takes so long for it.
fn migrates(namespace: &str, name: &str, home: &str, migrates_for: &str) -> Made {
    machine(namespace, name, home, Some("LiveMigrate"), &json!({"migrates-for": migrates_for}))
}

fn machine(namespace: &str, name: &str, home: &str, eviction_strategy: Option<&str>, timing: &Value) -> Made {
    let mut spec = json!({
        "affinity": affinity(home),
        "domain": {
            "devices": {},
            "memory": {"guest": "1Gi"},
        },
        "terminationGracePeriodSeconds": 30,
    });
    if let Some(strategy) = eviction_strategy {
        spec["evictionStrategy"] = strategy.into();
    }
    let metadata = json!({"annotations": annotations(timing), "labels": {"app": name}});
    let object = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"runStrategy": "Always", "template": {"metadata": metadata, "spec": spec}},
    });
    made(format!("/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines"), object, 1)
}

fn template(app: &str, timing: &Value, home: Option<&str>) -> Value {
    let requests = json!({"cpu": "100m", "memory": "64Mi"});
    let mut template = json!({
        "metadata": {"labels": {"app": app}, "annotations": annotations(timing)},
        "spec": {
            "terminationGracePeriodSeconds": 10,
            "containers": [{"name": app, "image": format!("example.invalid/{app}"), "resources": {"requests": requests}}],
        },
    });
    if let Some(home) = home {
        template["spec"]["affinity"] = affinity(home);
    }
    template
}

fn annotations(timing: &Value) -> Value {
    let settings = timing.as_object().into_iter().flatten();
    settings.map(|(name, value)| (format!("sim.careen.dev/{name}"), value.clone())).collect()
}

/// It starts on that node if it can, and elsewhere if it cannot.
fn affinity(home: &str) -> Value {
    let is_home = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [home]});
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [is_home]}},
    ]}})
}
