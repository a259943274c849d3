//! The demo's cluster: six nodes, and on node02 something of everything that a drain meets.
//!
//! How long things take stands in annotations `sim.careen.dev/…` ([`careen_sim::actors::rules`],
//! [`careen_sim::actors::kubevirt`]), chosen so that the story takes less than a minute and each wait can be seen.

use std::time::Duration;

use careen_core::{
    cluster::{Cluster, Snapshot},
    maintenance::custom_resource_definition,
    model::{
        Budget, ObjectKey,
        virtual_machine::{LiveMigratable, VirtualMachineInstance, VmiPhase},
    },
    names,
};
use careen_sim::{
    cluster::{Builder, SimulatedCluster},
    objects,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::error::Error;

const NODES: usize = 6;
/// Any other would do; with the same one, a cluster gives the same names.
const SEED: u64 = 2;
/// The cluster is full within a few seconds of the processor's time; on a machine that is busy with other things that
/// may be minutes.
const THERE_WITHIN: Duration = Duration::from_secs(300);

/// What is there once the cluster has settled.
#[derive(Clone, Debug, Default)]
struct Expected {
    pods: usize,
    instances: usize,
    budgets: Vec<ObjectKey>,
}

/// Starts the cluster, with what everything else needs: kinds, namespaces and nodes.
pub(super) async fn start(careens_namespace: &str) -> Result<SimulatedCluster, Error> {
    let definition = serde_json::to_value(custom_resource_definition()).map_err(|error| fault(&error))?;
    let builder = SimulatedCluster::builder().seed(SEED).kubevirt(None).nodes(NODES).object(definition);
    let namespaces = [careens_namespace, names::NODE_LEASE_NAMESPACE].map(objects::namespace);
    namespaces.into_iter().fold(builder, Builder::object).start().await.map_err(|error| fault(&error))
}

/// Creates the rest once the nodes are ready, and waits until it runs.
pub(super) async fn fill(simulated: &SimulatedCluster, cluster: &Cluster) -> Result<(), Error> {
    let mut expected = Expected::default();
    // What comes before its node is ready goes elsewhere.
    until_there(&expected, cluster).await?;
    for object in workloads() {
        expected.add(&object);
        simulated.create(object).await.map_err(|error| fault(&error))?;
    }
    until_there(&expected, cluster).await
}

async fn until_there(expected: &Expected, cluster: &Cluster) -> Result<(), Error> {
    let mut changes = cluster.changes();
    let there = async {
        while expected.missing(&cluster.snapshot()).is_some() {
            changes.next().await;
        }
    };
    let result = timeout(THERE_WITHIN, there).await;
    result.map_err(|_| fault(&expected.missing(&cluster.snapshot()).unwrap_or_default()))
}

fn fault(message: &dyn std::fmt::Display) -> Error {
    Error::Demo { what: "fill its cluster", message: message.to_string() }
}

impl Expected {
    fn add(&mut self, object: &Value) {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        match object["kind"].as_str() {
            Some("Deployment") => {
                let replicas = object["spec"]["replicas"].as_u64().unwrap_or(0);
                self.pods += usize::try_from(replicas).unwrap_or(usize::MAX);
            }
            Some("DaemonSet") => self.pods += NODES,
            Some("Pod" | "Job") => self.pods += 1,
            Some("VirtualMachine") => {
                self.pods += 1;
                self.instances += 1;
            }
            Some("PodDisruptionBudget") => {
                let metadata = &object["metadata"];
                self.budgets.push(ObjectKey::new(text(&metadata["namespace"]), text(&metadata["name"])));
            }
            _ => {}
        }
    }

    /// What is still to come, in words; `None` once everything is there.
    fn missing(&self, snapshot: &Snapshot) -> Option<String> {
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
            (nodes, NODES, "nodes"),
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

fn workloads() -> Vec<Value> {
    vec![
        objects::daemon_set("kube-system", "node-agent"),
        objects::static_pod("kube-system", "registry", "node02"),
        // Two on each node; the second leaves node02 when the first one's successor is ready.
        timed(objects::deployment("shop", "web", 12), "ready-after", "5s"),
        objects::max_unavailable("shop", "web", 1),
        // All on node02: one after the other.
        at_home(timed(objects::deployment("shop", "checkout", 3), "ready-after", "5s"), "node02"),
        objects::max_unavailable("shop", "checkout", 1),
        // One on each node, which takes its time to end.
        timed(objects::deployment("shop", "report", 6), "ends-after", "6s"),
        at_home(objects::job("shop", "nightly-backup", "1s"), "node02"),
        // KubeVirt moves two VMs of a node at a time: the others wait for a place.
        migrates("shop", "db-1", "node02", "9s"),
        migrates("shop", "db-2", "node02", "12s"),
        migrates("shop", "cache", "node02", "6s"),
        migrates("office", "files", "node02", "10s"),
        migrates("office", "mail", "node05", "8s"),
        // Without a strategy it cannot stay: it is stopped, and started elsewhere.
        at_home(timed(objects::virtual_machine("office", "legacy", None), "shuts-down-after", "5s"), "node02"),
        // The drain of its node does not end.
        at_home(
            timed(
                objects::virtual_machine("office", "licences", Some("LiveMigrate")),
                "not-migratable",
                "DisksNotLiveMigratable",
            ),
            "node03",
        ),
    ]
}

/// A VM that moves live, and takes so long for it.
fn migrates(namespace: &str, name: &str, home: &str, migrates_for: &str) -> Value {
    let vm = objects::virtual_machine(namespace, name, Some("LiveMigrate"));
    at_home(timed(vm, "migrates-for", migrates_for), home)
}

/// With a setting of the simulation.
fn timed(object: Value, setting: &str, value: &str) -> Value {
    objects::with_pods_annotated(object, &format!("sim.careen.dev/{setting}"), value)
}

/// It starts on that node if it can, and elsewhere if it cannot.
fn at_home(object: Value, node: &str) -> Value {
    let is_home = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    let preferred = json!([{"weight": 100, "preference": {"matchExpressions": [is_home]}}]);
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
    objects::with(object, json!({"spec": {"template": {"spec": {"affinity": affinity}}}}))
}
