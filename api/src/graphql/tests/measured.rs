//! How long the dashboard's question takes on a large cluster: `cargo test --release -p careen --lib -- --ignored
//! --nocapture measured`.

use std::time::{Duration, Instant};

use axum::Router;
use careen_core::{
    clock::Clock,
    cluster::{Cluster, client_on},
    metrics::Metrics,
    names,
    operation::Operations,
};
use careen_sim::api_server::{ApiServer, Options, User};
use serde_json::{Value, json};

use super::ask::post;
use crate::{
    auth::{Auth, Caller},
    graphql::{GraphQl, Limits},
    rest::{Api, Frame, HttpMetrics, Limits as HttpLimits},
    shutdown::Shutdown,
};

const NODES: usize = 1000;
const PODS_OF_NODE: usize = 30;
const VMS_OF_NODE: usize = 3;
const TIMES: usize = 20;

/// A thousand nodes with thirty pods each; three of those are VMs, one of which migrates; ten pods have a budget.
fn fill(kubernetes: &ApiServer) {
    kubernetes.put("namespaces", json!({ "metadata": { "name": "careen" } })).unwrap();
    for kind in careen_sim::actors::kubevirt::definitions::custom_resource_definitions() {
        kubernetes.put("customresourcedefinitions.apiextensions.k8s.io", kind).unwrap();
    }
    for node in 0..NODES {
        let name = format!("node{node:04}");
        let status = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        kubernetes.put("nodes", json!({ "metadata": { "name": name }, "spec": {}, "status": status })).unwrap();
        let namespace = format!("team{:02}", node % 50);
        for pod in 0..PODS_OF_NODE {
            put_pod(kubernetes, &namespace, &name, pod);
        }
    }
    for team in 0..50 {
        let namespace = format!("team{team:02}");
        for app in 0..10 {
            let metadata = json!({ "namespace": namespace, "name": format!("app{app}") });
            let selector = json!({ "matchLabels": { "app": format!("app{app}") } });
            let status =
                json!({ "disruptionsAllowed": 1, "currentHealthy": 20, "desiredHealthy": 19, "expectedPods": 20 });
            let budget = json!({ "metadata": metadata, "spec": { "selector": selector }, "status": status });
            kubernetes.put("poddisruptionbudgets.policy", budget).unwrap();
        }
    }
}

fn put_pod(kubernetes: &ApiServer, namespace: &str, node: &str, number: usize) {
    let is_vm = number < VMS_OF_NODE;
    let name = format!("{}-{node}-{number}", if is_vm { "virt-launcher" } else { "app" });
    let mut metadata = json!({ "namespace": namespace, "name": name, "labels": { "app": format!("app{number}") } });
    if is_vm {
        let vmi = format!("vm-{node}-{number}");
        let status = json!({
            "phase": "Running", "nodeName": node, "conditions": [{ "type": "LiveMigratable", "status": "True" }],
        });
        let spec = json!({ "evictionStrategy": "LiveMigrate", "domain": {} });
        let object = json!({ "metadata": { "namespace": namespace, "name": vmi }, "spec": spec, "status": status });
        let object = kubernetes.put("virtualmachineinstances.kubevirt.io", object).unwrap();
        metadata["labels"] = json!({ "kubevirt.io": "virt-launcher" });
        metadata["ownerReferences"] = json!([{
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": vmi, "controller": true,
            "uid": object["metadata"]["uid"],
        }]);
        if number == 0 {
            let metadata = json!({ "namespace": namespace, "name": format!("{vmi}-migration") });
            let object = json!({ "metadata": metadata, "spec": { "vmiName": vmi }, "status": { "phase": "Pending" } });
            kubernetes.put("virtualmachineinstancemigrations.kubevirt.io", object).unwrap();
        }
    }
    let spec = json!({ "nodeName": node, "containers": [{ "name": "main", "image": "registry.example/main:1" }] });
    let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    kubernetes.put("pods", json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap();
}

fn requests(cluster: &Cluster) -> u64 {
    use careen_core::metrics::ApiRequestLabels;

    let counted = |verb, code| cluster.metrics().api_requests.get_or_create(&ApiRequestLabels { verb, code }).get();
    ["GET", "POST", "WATCH"].into_iter().map(|verb| counted(verb, 200) + counted(verb, 201)).sum()
}

/// How many objects are in an answer.
fn objects(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            usize::from(members.contains_key("name") || members.contains_key("phase"))
                + members.values().map(objects).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(objects).sum(),
        _ => 0,
    }
}

async fn service(kubernetes: &ApiServer) -> (Cluster, Router) {
    let (metrics, clock) = (Metrics::default(), Clock::system());
    let client = client_on(kubernetes.as_user(User::administrator()), &metrics);
    let cluster = Cluster::with_orders(client, "careen", metrics);
    cluster.ready().await;
    let auth = Auth::everybody_is(Caller::named("ann"));
    let (http_metrics, shutdown) = (HttpMetrics::default(), Shutdown::default());
    let frame = Frame::new(auth.clone(), http_metrics.clone(), HttpLimits::default());
    let operations = Operations::new(cluster.clone(), clock, "careen", names::DRAIN_TAINT_KEY);
    let api = Api::new(operations, auth, clock, None, http_metrics, &shutdown);
    let graphql = GraphQl::new(api, frame.clone(), Limits::default(), shutdown).unwrap();
    (cluster, frame.around(graphql.router()))
}

#[tokio::test]
#[ignore = "measured, in a release build"]
async fn a_dashboard_of_a_hundred_nodes_takes_a_tenth_of_a_second() {
    let kubernetes = ApiServer::new(Options::new(careen_sim::clock::Clock::system(), 1));
    fill(&kubernetes);
    let (cluster, service) = service(&kubernetes).await;
    assert_eq!(cluster.snapshot().pods().count(), NODES * PODS_OF_NODE);
    let query = include_str!("dashboard.graphql");
    let answer = post(&service, query).await;
    assert_eq!(answer.get("errors"), None);
    let before = requests(&cluster);
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        post(&service, query).await;
        took.push(begun.elapsed());
    }
    took.sort();
    assert_eq!(requests(&cluster), before, "a question asked the API server something");
    let bytes = answer.to_string().len();
    println!(
        "{} objects, {bytes} bytes; {TIMES} times: {:?} to {:?}, median {:?}",
        objects(&answer),
        took[0],
        took[TIMES - 1],
        took[TIMES / 2]
    );
    assert!(took[TIMES / 2] < Duration::from_millis(100), "{took:?}");
}
