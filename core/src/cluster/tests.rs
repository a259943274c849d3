use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1;
use kube::Api;
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::error::TryRecvError,
    time::{Instant, timeout},
};

use super::{caches::not_ready, shared::Shared, *};
use crate::{
    metrics::{ApiRequestLabels, KindLabels, Metrics},
    model::{
        Node, ObjectKey,
        testing::{at, node, node_name},
    },
    testing::{FakeServer, Mood},
};

const NODES: &str = "/api/v1/nodes";
const VMIS: &str = "/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances";
const CRD: &str = "virtualmachineinstances.kubevirt.io";

fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/shop/pods/{name}")
}

fn pod_on(name: &str, node: &str) -> Value {
    json!({
        "metadata": { "namespace": "shop", "name": name, "uid": format!("uid-{name}") },
        "spec": { "nodeName": node, "containers": [] },
    })
}

/// One of which the API server of another day may think differently.
fn undecodable(name: &str) -> Value {
    json!({ "metadata": { "namespace": "shop", "name": name, "uid": format!("uid-{name}") }, "spec": "rubbish" })
}

fn put_vmi(server: &FakeServer) {
    let metadata = json!({ "namespace": "shop", "name": "db", "uid": "uid-db" });
    server.put(&format!("{VMIS}/db"), json!({ "metadata": metadata, "status": { "nodeName": "node02" } }));
}

fn server() -> FakeServer {
    let server = FakeServer::default();
    server.put(&format!("{NODES}/node02"), json!({ "metadata": { "name": "node02", "uid": "uid-node02" } }));
    server.put(&pod_path("web-1"), pod_on("web-1", "node02"));
    server
}

fn whole(server: &FakeServer) -> Cluster {
    let metrics = Metrics::default();
    Cluster::whole(client_on(server.service(), &metrics), metrics)
}

async fn is_ready(cluster: &Cluster) -> bool {
    timeout(Duration::from_secs(300), cluster.ready()).await.is_ok()
}

/// Waits until the snapshot is like that.
async fn until(cluster: &Cluster, what: &str, is_so: impl Fn(&Snapshot) -> bool) {
    let mut changes = cluster.changes();
    let wait = async {
        while !is_so(&cluster.snapshot()) {
            changes.next().await;
        }
    };
    timeout(Duration::from_secs(300), wait).await.unwrap_or_else(|_| panic!("{what}: {:?}", cluster.not_ready()));
}

fn pods(cluster: &Cluster) -> Vec<String> {
    cluster.snapshot().pods().map(|pod| pod.key.name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_ready_when_every_cache_is_filled_and_follows_from_then_on() {
    let server = server();
    let cluster = whole(&server);
    assert_eq!(cluster.not_ready().len(), 8, "{:?}", cluster.not_ready());
    assert!(is_ready(&cluster).await);
    assert!(cluster.not_ready().is_empty());
    assert_eq!((cluster.snapshot().nodes().count(), pods(&cluster)), (1, vec!["web-1".to_owned()]));
    assert!(cluster.serves("Pod") && !cluster.serves("VirtualMachine"));

    let mut changes = cluster.changes();
    server.put(&pod_path("web-2"), pod_on("web-2", "node03"));
    let concerned = changes.next().await;
    assert!(concerned.concerns(&node_name("node03")) && !concerned.concerns(&node_name("node02")));
    server.remove(&pod_path("web-1"));
    assert!(changes.next().await.concerns(&node_name("node02")));
    assert_eq!(pods(&cluster), ["web-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_stalls_no_other_and_has_not_gone() {
    let server = server();
    server.put(&pod_path("odd"), undecodable("odd"));
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await);
    assert_eq!(pods(&cluster), ["web-1"]);

    server.put(&pod_path("web-1"), undecodable("web-1"));
    server.put(&pod_path("web-2"), pod_on("web-2", "node02"));
    until(&cluster, "the next pod is seen", |snapshot| snapshot.pods().count() == 2).await;
    assert_eq!(pods(&cluster), ["web-1", "web-2"], "what was known of it still counts");

    server.close_watches("pods");
    server.remove(&pod_path("web-2"));
    server.forget_history();
    until(&cluster, "a new list is taken", |snapshot| snapshot.pods().count() == 1).await;
    assert_eq!(pods(&cluster), ["web-1"], "also in a new list");
    server.remove(&pod_path("web-1"));
    until(&cluster, "its end is seen", |snapshot| snapshot.pods().count() == 0).await;
    let labels = KindLabels { kind: "Pod" };
    assert_eq!(cluster.metrics().undecodable_objects.get_or_create(&labels).get(), 4, "twice in lists, twice as news");
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_a_watch_was_away_is_made_up_for() {
    let server = server();
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await);
    // Within the history of the API server: the watch goes on where it was.
    server.close_watches("pods");
    server.remove(&pod_path("web-1"));
    server.put(&pod_path("web-2"), pod_on("web-2", "node02"));
    until(&cluster, "missed news comes", |snapshot| snapshot.pod(&ObjectKey::new("shop", "web-2")).is_some()).await;
    assert_eq!((pods(&cluster), server.count("LIST /api/v1/pods")), (vec!["web-2".to_owned()], 1));
    // Beyond it: everything is listed anew.
    server.close_watches("pods");
    server.remove(&pod_path("web-2"));
    server.put(&pod_path("web-3"), pod_on("web-3", "node02"));
    server.forget_history();
    until(&cluster, "a new list is taken", |snapshot| snapshot.pod(&ObjectKey::new("shop", "web-3")).is_some()).await;
    assert_eq!((pods(&cluster), server.count("LIST /api/v1/pods")), (vec!["web-3".to_owned()], 2));
    assert!(cluster.not_ready().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_is_installed_later_is_picked_up_and_one_that_goes_empties_its_cache() {
    let server = server();
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await);
    for _ in 0..2 {
        assert!(!cluster.serves("VirtualMachineInstance"));
        server.install(CRD);
        cluster.until_served("VirtualMachineInstance", true).await;
        put_vmi(&server);
        let on_node = |snapshot: &Snapshot| snapshot.virtual_machine_instances_on(&node_name("node02")).count();
        until(&cluster, "the VMI is seen", |snapshot| on_node(snapshot) == 1).await;
        assert!(is_ready(&cluster).await);
        server.uninstall(CRD);
        cluster.until_served("VirtualMachineInstance", false).await;
        assert_eq!(on_node(&cluster.snapshot()), 0);
        assert!(is_ready(&cluster).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_picked_up_although_its_resource_is_served_a_moment_later() {
    let server = server();
    server.refuse("LIST /apis/kubevirt.io/v1/virtualmachineinstances", 404);
    server.install(CRD);
    let cluster = whole(&server);
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.refuse_nothing();
    put_vmi(&server);
    until(&cluster, "the VMI is seen", |snapshot| snapshot.virtual_machine_instances().count() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_see_definitions_what_is_not_there_is_not_waited_for() {
    let server = server();
    server.install(CRD);
    put_vmi(&server);
    server.refuse("LIST /apis/apiextensions.k8s.io", 403);
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await, "{:?}", cluster.not_ready());
    assert_eq!(cluster.snapshot().virtual_machine_instances().count(), 1);
    assert!(cluster.serves("VirtualMachineInstance") && !cluster.serves("NodeMaintenance"));

    server.uninstall(CRD);
    until(&cluster, "its end empties the cache", |snapshot| snapshot.virtual_machine_instances().count() == 0).await;
    server.install("nodemaintenances.nodemaintenance.kubevirt.io");
    server.put(
        "/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/m",
        json!({ "metadata": { "name": "m" }, "spec": { "nodeName": "node02" } }),
    );
    until(&cluster, "and a new one fills another", |snapshot| snapshot.maintenances().count() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_says_is_passed_on_until_it_says_something_else() {
    let server = server();
    server.refuse("LIST /api/v1/pods", 403);
    server.refuse("LIST /apis/apiextensions.k8s.io", 503);
    let cluster = whole(&server);
    assert!(!is_ready(&cluster).await);
    let failing = WatchState::Failing { error: "refused, as the test wants it".to_owned() };
    let not_ready = cluster.not_ready();
    assert_eq!(not_ready.get("Pod"), Some(&failing));
    assert_eq!(not_ready.get("NodeMaintenance"), Some(&failing), "nobody knows whether it is served");
    assert_eq!(not_ready.get("Node"), None);

    server.refuse_nothing();
    assert!(is_ready(&cluster).await);
    // From now on what is known may be old, but it is known.
    server.refuse("WATCH", 403);
    server.refuse("LIST", 403);
    server.close_watches("pods");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cluster.not_ready().is_empty());
    assert_eq!(pods(&cluster), ["web-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_is_tried_again_ever_more_seldom() {
    let server = server();
    server.refuse("LIST /api/v1/pods", 500);
    let cluster = whole(&server);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let tries = server.count("LIST /api/v1/pods");
    assert!((30..=80).contains(&tries), "{tries} in ten minutes");
    let labels = KindLabels { kind: "Pod" };
    assert_eq!(cluster.metrics().watch_failures.get_or_create(&labels).get(), tries as u64);
    server.refuse_nothing();
    let granted = Instant::now();
    assert!(is_ready(&cluster).await);
    assert!(granted.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn every_request_says_who_sends_it_and_is_counted() {
    let server = server();
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await);
    let nodes = Api::<v1::Node>::all(cluster.client().clone());
    nodes.get("node02").await.unwrap();
    nodes.get("node99").await.unwrap_err();
    let expected = concat!("careen/", env!("CARGO_PKG_VERSION"));
    assert!(server.log().iter().all(|logged| logged.user_agent == expected), "{:?}", server.log());

    let count = |verb, code| cluster.metrics().api_requests.get_or_create(&ApiRequestLabels { verb, code }).get();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((count("GET", 404), count("WATCH", 200)), (1, 4), "nodes, pods, budgets and definitions are watched");
    assert_eq!(count("GET", 200), 1 + 4, "and were listed before");

    server.set_mood(Mood::Hang);
    timeout(Duration::from_secs(5), nodes.get("node02")).await.unwrap_err();
    assert_eq!(count("GET", 0), 1, "one that was not answered counts too");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_now_comes_back_at_once() {
    let server = server();
    let cluster = whole(&server);
    server.refuse("GET /api/v1/nodes/node02", 429);
    let asked = Instant::now();
    let answer = Api::<v1::Node>::all(cluster.client().clone()).get("node02").await;
    assert!(matches!(answer, Err(kube::Error::Api(status)) if status.code == 429));
    assert_eq!((server.count("GET /api/v1/nodes/node02"), asked.elapsed()), (1, Duration::ZERO));
}

#[tokio::test]
async fn who_falls_behind_is_told_that_everything_may_have_changed() {
    let shared = Shared::new(Snapshot::default(), Metrics::default());
    let mut changes = Changes { receiver: shared.subscribe() };
    for number in 0..5000 {
        shared.change(|snapshot| snapshot.put(node(&format!("node{number}"))));
    }
    assert!(changes.next().await.everything);
    shared.change(|snapshot| snapshot.put(node("node01")));
    let concerned = changes.next().await;
    assert!(concerned.concerns(&node_name("node01")) && !concerned.everything);
}

#[tokio::test]
async fn a_snapshot_has_no_change_that_is_told_only_later() {
    const CHANGES: i64 = 20_000;
    let shared = Arc::new(Shared::new(Snapshot::default(), Metrics::default()));
    let mut receiver = shared.subscribe();
    let writer = std::thread::spawn({
        let shared = shared.clone();
        move || {
            for number in 0..CHANGES {
                shared.change(|snapshot| snapshot.put(Node { created: Some(at(number)), ..node("node01") }));
            }
        }
    });
    let created = |snapshot: &Snapshot| snapshot.node(&node_name("node01")).map(|node| node.created);
    let (mut seen, mut looks) = (None, 0_u32);
    while seen != Some(Some(at(CHANGES - 1))) {
        let (told, snapshot) = shared.taken(|| {
            std::iter::from_fn(|| match receiver.try_recv() {
                Err(TryRecvError::Empty | TryRecvError::Closed) => None,
                Ok(_) | Err(TryRecvError::Lagged(_)) => Some(()),
            })
            .count()
        });
        let now = created(&snapshot);
        assert_eq!(told > 0, now != seen, "look {looks}: {told} told, {seen:?} has become {now:?}");
        (seen, looks) = (now, looks + 1);
    }
    writer.join().unwrap();
}

#[tokio::test]
async fn of_several_watches_of_a_kind_the_one_that_fails_is_named() {
    let shared = Shared::new(Snapshot::default(), Metrics::default());
    let part = |name: &str| Part::Namespace(name.to_owned());
    let failing = WatchState::Failing { error: "forbidden".to_owned() };
    shared.set_state("Pod", &part("a"), WatchState::Syncing);
    shared.set_state("Pod", &part("b"), failing.clone());
    shared.set_state("Pod", &part("c"), WatchState::Syncing);
    shared.set_state("Node", &part("d"), WatchState::Synced);
    assert_eq!(not_ready(&shared.states().borrow()), BTreeMap::from([("Pod", failing)]));
}

#[tokio::test(start_paused = true)]
async fn the_watches_end_with_the_last_who_knows_of_them() {
    let server = server();
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await);
    let another = cluster.clone();
    drop(cluster);
    server.put(&pod_path("web-2"), pod_on("web-2", "node02"));
    until(&another, "a clone goes on", |snapshot| snapshot.pods().count() == 2).await;
    drop(another);
    server.close_watches("pods");
    let before = server.requests();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(server.requests(), before);
}

#[tokio::test(start_paused = true)]
async fn who_ends_the_watches_ends_them_for_everybody() {
    let server = server();
    let cluster = whole(&server);
    assert!(is_ready(&cluster).await);
    let another = cluster.clone();
    cluster.end();
    server.close_watches("pods");
    let before = server.requests();
    server.put(&pod_path("web-2"), pod_on("web-2", "node02"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((server.requests(), another.snapshot().pods().count()), (before, 1));
}
