//! A cluster in memory and a controller that works on it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    clock::Clock,
    cluster::{Cluster, client_on},
    controller::{Controller, Delivery, Settings},
    metrics::Metrics,
    model::testing::at,
    names::{DRAIN_TAINT_KEY, RECORD_ANNOTATION},
    operation::Operations,
    testing::FakeServer,
};

pub(super) const NODE: &str = "/api/v1/nodes/node02";
pub(super) const MAINTENANCE: &str = "/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/m";
pub(super) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/medik8s-leases/leases/node-node02";
pub(super) const LEADER_LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/careen/leases/careen-controller";
const BUDGET: &str = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/web";

/// A cluster and a controller that works on it.
pub(super) struct World {
    pub(super) server: FakeServer,
    pub(super) clock: Clock,
    /// A setting of the controllers that are started from now on.
    pub(super) drain_taint_key: String,
    /// Whom they tell.
    pub(super) delivery: Option<Delivery>,
    running: Option<Running>,
}

struct Running {
    server: FakeServer,
    cluster: Cluster,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl World {
    /// A node with so many pods of one budget, which allows each of them to go.
    pub(super) fn new(pods: usize) -> Self {
        let server = FakeServer::default();
        for namespace in ["careen", "medik8s-leases", "default", "shop"] {
            server.put(&format!("/api/v1/namespaces/{namespace}"), json!({ "metadata": { "name": namespace } }));
        }
        server.install("nodemaintenances.nodemaintenance.kubevirt.io");
        put_node(&server, "node02");
        put_node(&server, "node03");
        for number in 0..pods {
            put_pod(&server, &format!("web-{number}"), "node02");
        }
        put_budget(&server, 100);
        let (clock, drain_taint_key) = (Clock::starting_at(at(0)), DRAIN_TAINT_KEY.to_owned());
        Self { server, clock, drain_taint_key, delivery: None, running: None }
    }

    /// Starts a controller.
    pub(super) fn start(mut self) -> Self {
        let server = self.server.another_link();
        let metrics = Metrics::default();
        let cluster = Cluster::with_orders(client_on(server.service(), &metrics), "careen", metrics);
        let settings = Settings {
            identity: format!("replica-{}", self.clock.now()),
            namespace: "careen".to_owned(),
            drain_taint_key: self.drain_taint_key.clone(),
            own_pod: None,
        };
        let (stop, stopped) = oneshot::channel();
        let controller = Controller::new(cluster.clone(), settings, self.clock).telling(self.delivery.clone());
        let task = tokio::spawn(controller.run(async { drop(stopped.await) }));
        self.running = Some(Running { server, cluster, stop, task });
        self
    }

    /// Stops it, as on SIGTERM.
    pub(super) async fn stop(mut self) -> Self {
        let running = self.running.take().unwrap();
        drop(running.stop);
        running.task.await.unwrap();
        self
    }

    /// Ends it at once, and starts another.
    pub(super) async fn next_leader(&mut self) {
        self.running.take().unwrap().task.abort();
        let world = std::mem::replace(self, Self::new(0));
        *self = world.start();
        sleep(Duration::from_millis(1)).await;
    }

    /// Ends it at once, in the middle of whatever it does.
    pub(super) fn kill(mut self) -> Self {
        self.running.take().unwrap().task.abort();
        self
    }

    /// What the controller has sent.
    pub(super) fn link(&self) -> &FakeServer {
        &self.running.as_ref().unwrap().server
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.running.as_ref().unwrap().cluster
    }

    /// What a face calls, on a replica of its own with caches of its own.
    pub(super) async fn operations(&self) -> Operations {
        self.operations_over(&self.server.another_link()).await
    }

    /// The same, over that link.
    pub(super) async fn operations_over(&self, link: &FakeServer) -> Operations {
        let metrics = Metrics::default();
        let client = client_on(link.service(), &metrics);
        let cluster = Cluster::with_orders(client, "careen", metrics);
        cluster.ready().await;
        Operations::new(cluster, self.clock, "careen", DRAIN_TAINT_KEY)
    }

    pub(super) fn begin(&self, name: &str, node: &str) {
        put_maintenance(&self.server, name, node);
    }

    pub(super) fn maintenance(&self) -> Value {
        self.server.get(MAINTENANCE).expect("the maintenance has gone")
    }

    pub(super) fn node(&self) -> Value {
        self.server.get(NODE).unwrap()
    }

    pub(super) fn condition(&self, type_: &str) -> Value {
        let object = self.maintenance();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
    }

    /// Waits, for an hour at most.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            let status = self.server.get(MAINTENANCE).map(|object| object["status"].clone());
            assert!(started.elapsed() < Duration::from_secs(3600), "{what}: {status:#?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn until_phase(&self, phase: &str) {
        self.until(phase, |world| world.maintenance()["status"]["phase"] == phase).await;
    }

    /// When the status was written.
    pub(super) fn status_writes(&self) -> Vec<Instant> {
        let is_write = format!("PATCH {MAINTENANCE}/status");
        self.link().log().iter().filter(|logged| logged.what == is_write).map(|logged| logged.at).collect()
    }
}

pub(super) fn put_node(server: &FakeServer, name: &str) {
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let metadata = json!({ "name": name, "uid": format!("uid-{name}") });
    server.put(&format!("/api/v1/nodes/{name}"), json!({ "metadata": metadata, "status": { "conditions": ready } }));
}

pub(super) fn put_pod(server: &FakeServer, name: &str, node: &str) {
    let owner =
        json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true }]);
    let object = json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": format!("uid-{name}"), "labels": { "app": "web" },
            "ownerReferences": owner,
        },
        "spec": { "nodeName": node, "containers": [] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    server.put(&format!("/api/v1/namespaces/shop/pods/{name}"), object);
}

pub(super) fn put_budget(server: &FakeServer, allows: i64) {
    let status = json!({
        "observedGeneration": 1, "disruptionsAllowed": allows, "currentHealthy": 100, "desiredHealthy": 100 - allows,
        "expectedPods": 200,
    });
    let metadata = json!({ "namespace": "shop", "name": "web", "uid": "uid-budget", "generation": 1 });
    let spec = json!({ "selector": { "matchLabels": { "app": "web" } } });
    server.put(BUDGET, json!({ "metadata": metadata, "spec": spec, "status": status }));
}

fn put_maintenance(server: &FakeServer, name: &str, node: &str) {
    let path = MAINTENANCE.replace("maintenances/m", &format!("maintenances/{name}"));
    let metadata = json!({
        "name": name, "uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    server.put(&path, json!({ "metadata": metadata, "spec": { "nodeName": node } }));
}

/// Somebody else takes the node Lease for an hour.
pub(super) fn take_lease(world: &World) {
    let now = world.clock.now().to_string();
    let spec =
        json!({ "holderIdentity": "fence-agents", "leaseDurationSeconds": 3600, "renewTime": now, "acquireTime": now });
    world.server.put(
        LEASE,
        json!({ "metadata": { "name": "node-node02", "namespace": "medik8s-leases", "uid": "l" }, "spec": spec }),
    );
}

/// Another replica leads, for an hour.
pub(super) fn hold_leadership(world: &World) {
    let now = world.clock.now().to_string();
    let spec =
        json!({ "holderIdentity": "another", "leaseDurationSeconds": 3600, "renewTime": now, "acquireTime": now });
    let metadata = json!({ "name": "careen-controller", "namespace": "careen", "uid": "l" });
    world.server.put(LEADER_LEASE, json!({ "metadata": metadata, "spec": spec }));
}

pub(super) fn is_out(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
        && node["spec"]["taints"].as_array().is_some_and(|taints| taints.iter().any(|t| t["key"] == DRAIN_TAINT_KEY))
        && node["metadata"]["annotations"][RECORD_ANNOTATION].is_string()
}

/// All of a node but for its resourceVersion.
pub(super) fn content(mut node: Value) -> Value {
    node["metadata"]["resourceVersion"] = Value::Null;
    if node["metadata"]["annotations"].as_object().is_some_and(serde_json::Map::is_empty) {
        node["metadata"].as_object_mut().unwrap().remove("annotations");
    }
    if node["spec"].as_object().is_some_and(serde_json::Map::is_empty) {
        node.as_object_mut().unwrap().remove("spec");
    }
    node
}

pub(super) const ORDER: &str = "/api/v1/namespaces/careen/configmaps/drain-node02";

pub(super) fn order_path(node: &str) -> String {
    format!("/api/v1/namespaces/careen/configmaps/drain-{node}")
}

/// Somebody orders a drain of node02.
pub(super) fn put_order(world: &World, id: &str, options: &Value) {
    put_order_of(world, "node02", id, options);
}

/// Somebody orders a drain of that node.
pub(super) fn put_order_of(world: &World, node: &str, id: &str, options: &Value) {
    let request = json!({
        "id": id, "node": node, "nodeUid": format!("uid-{node}"), "requestedBy": "alice", "options": options,
        "createdAt": world.clock.now().to_string(),
    });
    let metadata = json!({ "name": format!("drain-{node}"), "namespace": "careen", "uid": format!("uid-order-{id}") });
    world.server.put(&order_path(node), json!({ "metadata": metadata, "data": { "request": request.to_string() } }));
}

/// Somebody wants it to end.
pub(super) fn cancel_order(world: &World) {
    world.server.edit(ORDER, |order| {
        let mut request = entry(order, "request");
        request["cancel"] = json!({ "at": world.clock.now().to_string() });
        order["data"]["request"] = json!(request.to_string());
    });
}

fn entry(order: &Value, name: &str) -> Value {
    order["data"][name].as_str().map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default()
}

/// What has become of the order.
pub(super) fn order_status(world: &World) -> Value {
    status_of_order(world, "node02")
}

/// What has become of the order for that node.
pub(super) fn status_of_order(world: &World, node: &str) -> Value {
    world.server.get(&order_path(node)).map(|order| entry(&order, "status")).unwrap_or_default()
}

pub(super) fn has_record(world: &World) -> bool {
    world.node()["metadata"]["annotations"][RECORD_ANNOTATION].is_string()
}
