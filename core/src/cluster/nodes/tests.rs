use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    cluster::{Cluster, View, WatchState, client_on},
    metrics::Metrics,
    model::{ObjectKey, testing::node_name},
    plan::{Quorum, quorum},
    testing::{FakeServer, Mood},
};

const NODES: &str = "/api/v1/nodes";

fn put_node(server: &FakeServer, name: &str, labels: &Value) {
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let metadata = json!({ "name": name, "uid": format!("uid-{name}"), "labels": labels });
    server.put(&format!("{NODES}/{name}"), json!({ "metadata": metadata, "status": { "conditions": ready } }));
}

fn put_pod(server: &FakeServer, namespace: &str, name: &str, node: &str) {
    let metadata = json!({ "namespace": namespace, "name": name, "uid": format!("uid-{name}") });
    let spec = json!({ "nodeName": node, "containers": [] });
    let object = json!({ "metadata": metadata, "spec": spec });
    server.put(&format!("/api/v1/namespaces/{namespace}/pods/{name}"), object);
}

fn put_budget(server: &FakeServer, namespace: &str) {
    let object =
        json!({ "metadata": { "namespace": namespace, "name": "web", "uid": "u" }, "spec": { "selector": {} } });
    server.put(&format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/web"), object);
}

fn some(server: &FakeServer, names: &[&str]) -> Cluster {
    let metrics = Metrics::default();
    let names = names.iter().map(|name| node_name(name));
    Cluster::nodes(client_on(server.service(), &metrics), names, metrics)
}

async fn ready(cluster: &Cluster) {
    let waited = timeout(Duration::from_secs(300), cluster.ready()).await;
    waited.unwrap_or_else(|_| panic!("{:?}", cluster.not_ready()));
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn expected(kinds: &[&str]) -> BTreeSet<String> {
    let both = |kind: &&str| [format!("LIST {kind}"), format!("WATCH {kind}")];
    let mut expected: BTreeSet<String> = kinds.iter().flat_map(both).collect();
    expected.insert("GET /apis".to_owned());
    expected
}

/// A worker with two pods, in a cluster of so many other nodes with pods of as many other namespaces.
fn cluster_of(others: usize) -> FakeServer {
    let server = FakeServer::default();
    put_node(&server, "node02", &json!({}));
    put_pod(&server, "shop", "web-1", "node02");
    put_pod(&server, "shop", "web-2", "node02");
    put_budget(&server, "shop");
    for number in 0..others {
        put_node(&server, &format!("other{number}"), &json!({}));
        put_pod(&server, &format!("tenant{number}"), &format!("pod{number}"), &format!("other{number}"));
        put_budget(&server, &format!("tenant{number}"));
    }
    server
}

#[tokio::test(start_paused = true)]
async fn one_node_costs_the_same_in_a_large_cluster() {
    let mut sent = Vec::new();
    for others in [0, 50] {
        let server = cluster_of(others);
        let cluster = some(&server, &["node02"]);
        ready(&cluster).await;
        settle().await;
        let snapshot = cluster.snapshot();
        assert_eq!(snapshot.view(), View::Nodes);
        assert_eq!((snapshot.nodes().count(), snapshot.pods().count()), (1, 2));
        assert!(snapshot.budget(&ObjectKey::new("shop", "web")).is_some());
        assert_eq!(
            server.kinds(),
            expected(&[
                "/api/v1/nodes fieldSelector=metadata.name=node02",
                "/api/v1/pods fieldSelector=spec.nodeName=node02",
                "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
            ])
        );
        sent.push(server.requests());
    }
    assert_eq!(sent, [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn maintenances_are_watched_for_whoever_wants_them_and_where_there_are_none_nothing_waits() {
    let server = cluster_of(0);
    let metrics = Metrics::default();
    let cluster = Cluster::nodes_and_maintenances(client_on(server.service(), &metrics), [], metrics);
    ready(&cluster).await;
    assert!(!cluster.serves("NodeMaintenance"));

    server.install("nodemaintenances.nodemaintenance.kubevirt.io");
    let name = "/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/m";
    server.put(name, json!({ "metadata": { "name": "m", "uid": "u" }, "spec": { "nodeName": "node02" } }));
    cluster.until_served("NodeMaintenance", true).await;
    let snapshot = cluster.snapshot();
    assert!(snapshot.maintenance("m").is_some() && snapshot.pods().count() == 0);
    assert_eq!(snapshot.view(), View::Nodes);
}

#[tokio::test(start_paused = true)]
async fn kubevirt_is_watched_where_it_is_served_and_only_in_the_namespaces_of_the_pods() {
    let server = cluster_of(3);
    for plural in ["kubevirts", "virtualmachines", "virtualmachineinstances", "virtualmachineinstancemigrations"] {
        server.install(&format!("{plural}.kubevirt.io"));
    }
    let cluster = some(&server, &["node02"]);
    ready(&cluster).await;
    settle().await;
    assert_eq!(
        server.kinds(),
        expected(&[
            "/api/v1/nodes fieldSelector=metadata.name=node02",
            "/api/v1/pods fieldSelector=spec.nodeName=node02",
            "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
            "/apis/kubevirt.io/v1/kubevirts",
            "/apis/kubevirt.io/v1/namespaces/shop/virtualmachines",
            "/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances",
            "/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstancemigrations",
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_kubevirt_that_is_installed_in_part_or_cannot_be_asked_for_is_not_waited_for() {
    let partly = cluster_of(0);
    partly.install("kubevirts.kubevirt.io");
    ready(&some(&partly, &["node02"])).await;

    let unknown = cluster_of(0);
    unknown.refuse("GET /apis", 503);
    let cluster = some(&unknown, &["node02"]);
    ready(&cluster).await;
    assert!(cluster.serves("Pod") && !cluster.serves("VirtualMachine"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_followed_when_a_pod_of_it_appears_and_stays_so() {
    let server = cluster_of(1);
    let cluster = some(&server, &["node02"]);
    ready(&cluster).await;
    let budgets = "WATCH /apis/policy/v1/namespaces/tenant0/poddisruptionbudgets";
    assert_eq!(server.count(budgets), 0);
    put_pod(&server, "tenant0", "late", "node02");
    settle().await;
    assert_eq!(server.count(budgets), 1);
    assert!(cluster.snapshot().budget(&ObjectKey::new("tenant0", "web")).is_some());
    server.remove("/api/v1/namespaces/tenant0/pods/late");
    put_pod(&server, "tenant0", "later", "node02");
    settle().await;
    assert_eq!(server.count(budgets), 1);
    assert_eq!(cluster.snapshot().pods_on(&node_name("node02")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn several_nodes_are_watched_each_by_its_name_and_one_that_is_not_there_is_not_waited_for() {
    let server = cluster_of(2);
    let cluster = some(&server, &["node02", "other1", "missing"]);
    ready(&cluster).await;
    let snapshot = cluster.snapshot();
    assert_eq!(snapshot.nodes().count(), 2);
    let namespaces: BTreeSet<_> = snapshot.pods().map(|pod| pod.key.namespace.clone()).collect();
    assert_eq!(namespaces, BTreeSet::from(["shop".to_owned(), "tenant1".to_owned()]));
}

/// Three control-plane nodes with an etcd pod on each, and a worker.
fn control_plane() -> FakeServer {
    let server = cluster_of(1);
    for number in 1..=3 {
        let name = format!("cp{number}");
        put_node(&server, &name, &json!({ "node-role.kubernetes.io/control-plane": "" }));
        put_etcd(&server, &name);
    }
    server
}

fn put_etcd(server: &FakeServer, node: &str) {
    let labels = json!({ "component": "etcd", "tier": "control-plane" });
    let metadata = json!({
        "namespace": "kube-system", "name": format!("etcd-{node}"), "uid": format!("uid-etcd-{node}"), "labels": labels,
        "annotations": { "kubernetes.io/config.mirror": "hash" },
    });
    let ready = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    let object = json!({ "metadata": metadata, "spec": { "nodeName": node, "containers": [] }, "status": ready });
    server.put(&format!("/api/v1/namespaces/kube-system/pods/etcd-{node}"), object);
}

#[tokio::test(start_paused = true)]
async fn around_a_control_plane_node_the_others_of_it_and_their_pods_are_known_when_it_is_ready() {
    // However the answers come: the pods of the node before the node itself, or after.
    for slow in
        [None, Some("LIST /api/v1/nodes fieldSelector"), Some("LIST /api/v1/pods fieldSelector=spec.nodeName=cp1")]
    {
        let server = control_plane();
        if let Some(slow) = slow {
            server.refuse(slow, 503);
        }
        let cluster = some(&server, &["cp1"]);
        settle().await;
        assert!(slow.is_none() || !cluster.not_ready().is_empty());
        server.refuse_nothing();
        ready(&cluster).await;
        let snapshot = cluster.snapshot();
        assert_eq!(quorum(&node_name("cp1"), &snapshot), Quorum::Kept, "{slow:?}");
        assert!(snapshot.nodes().count() >= 4);
        let others: BTreeSet<_> = snapshot.pods().map(|pod| pod.key.name.clone()).collect();
        assert_eq!(others, BTreeSet::from(["etcd-cp1", "etcd-cp2", "etcd-cp3"].map(str::to_owned)));
        settle().await;
        assert_eq!(server.count("WATCH /apis/policy"), 1, "only the namespaces of its own pods");
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_whose_other_nodes_may_not_be_read_is_ready_and_its_quorum_unknown() {
    for forbidden in ["LIST /api/v1/nodes$", "LIST /api/v1/pods fieldSelector=spec.nodeName=cp2"] {
        let server = control_plane();
        server.refuse(forbidden, 403);
        server.refuse("LIST /api/v1/pods fieldSelector=spec.nodeName=cp3", 403);
        let cluster = some(&server, &["cp1"]);
        ready(&cluster).await;
        assert!(matches!(quorum(&node_name("cp1"), &cluster.snapshot()), Quorum::Unknown { .. }), "{forbidden}");
        assert!(cluster.not_ready().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_of_the_node_itself_is_waited_for_and_said() {
    let server = cluster_of(0);
    server.refuse("LIST /apis/policy/v1/namespaces/shop", 403);
    let cluster = some(&server, &["node02"]);
    assert!(timeout(Duration::from_secs(60), cluster.ready()).await.is_err());
    let error = "refused, as the test wants it".to_owned();
    assert_eq!(cluster.not_ready().get("PodDisruptionBudget"), Some(&WatchState::Failing { error }));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_asked_again_for_what_matters() {
    let server = cluster_of(0);
    server.set_mood(Mood::Hang);
    let cluster = some(&server, &["node02"]);
    settle().await;
    server.set_mood(Mood::Serve);
    assert!(timeout(Duration::from_secs(120), cluster.ready()).await.is_ok(), "{:?}", cluster.not_ready());
}
