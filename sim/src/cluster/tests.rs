use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, header};
use serde_json::{Value, json};

use super::{Builder, SimulatedCluster};
use crate::{
    actors::object::{condition, is_ready, is_true, name_of},
    api_server::Options,
    clock::Clock,
    objects::{
        annotated, daemon_set, deployment, job, max_unavailable, min_available, pod, stateful_set, static_pod,
        virtual_machine,
    },
};

/// A cluster whose time is virtual and whose writes are told.
fn builder(seed: u64) -> Builder {
    let clock = Clock::starting_at("2026-11-24T00:00:00Z".parse().unwrap());
    SimulatedCluster::builder().seed(seed).options(Options::new(clock, seed))
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn send(cluster: &SimulatedCluster, method: Method, path: &str, body: &Value) -> u16 {
    let type_ = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, type_)
        .body(body.to_string().into_bytes())
        .unwrap();
    match cluster.client().request::<Value>(request).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn cordon(cluster: &SimulatedCluster, node: &str, cordoned: bool) {
    let patch = json!({"spec": {"unschedulable": cordoned}});
    assert_eq!(send(cluster, Method::PATCH, &format!("/api/v1/nodes/{node}"), &patch).await, 200);
}

async fn evict(cluster: &SimulatedCluster, pod: &Value) -> u16 {
    let (namespace, name) = (pod["metadata"]["namespace"].as_str().unwrap(), name_of(pod));
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"namespace": namespace, "name": name},
    });
    send(cluster, Method::POST, &format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"), &body).await
}

fn pods(cluster: &SimulatedCluster, app: &str) -> Vec<Arc<Value>> {
    let is_of = |pod: &Arc<Value>| pod["metadata"]["labels"]["app"] == app;
    cluster.api_server().all("pods").into_iter().filter(is_of).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_comes_up_and_everything_on_it() {
    let cluster = builder(1)
        .nodes(3)
        .object(deployment("shop", "web", 4))
        .object(max_unavailable("shop", "web", 1))
        .object(stateful_set("shop", "db", 3))
        .object(min_available("shop", "db", "50%"))
        .object(daemon_set("kube-system", "log"))
        .object(job("shop", "once", "10s"))
        .object(static_pod("kube-system", "etcd", "node01"))
        .object(pod("shop", "bare"))
        .start()
        .await
        .unwrap();
    pass(60).await;
    for (app, count) in [("web", 4), ("db", 3), ("log", 3), ("etcd", 1), ("bare", 1)] {
        let pods = pods(&cluster, app);
        assert_eq!(pods.iter().filter(|pod| is_ready(pod)).count(), count, "{app}: {pods:#?}");
    }
    let server = cluster.api_server();
    assert!(is_true(&server.get("jobs.batch", "shop", "once").unwrap(), "Complete"));
    assert!(server.all("nodes").iter().all(|node| is_true(node, "Ready")));
    let allowed = |name: &str| {
        server.get("poddisruptionbudgets.policy", "shop", name).unwrap()["status"]["disruptionsAllowed"].clone()
    };
    assert_eq!((allowed("web"), allowed("db")), (json!(1), json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_as_its_budget_allows() {
    let web = annotated(deployment("shop", "web", 4), "unused", "");
    let budget = max_unavailable("shop", "web", 1);
    let cluster = builder(1).nodes(2).object(web).object(budget).start().await.unwrap();
    pass(30).await;
    cordon(&cluster, "node01", true).await;
    let on_node = |cluster: &SimulatedCluster| -> Vec<Arc<Value>> {
        pods(cluster, "web").into_iter().filter(|pod| pod["spec"]["nodeName"] == "node01").collect()
    };
    let mut refused = 0;
    for _ in 0..60 {
        for pod in on_node(&cluster) {
            refused += u32::from(evict(&cluster, &pod).await == 429);
        }
        assert!(pods(&cluster, "web").iter().filter(|pod| is_ready(pod)).count() >= 3);
        pass(1).await;
    }
    assert!(on_node(&cluster).is_empty());
    assert!(refused > 0, "the budget was in the way for a while");
    let node = cluster.api_server().get("nodes", "", "node01").unwrap();
    assert_eq!(node["spec"]["taints"][0]["key"], "node.kubernetes.io/unschedulable");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_takes_all_with_it_that_it_owns() {
    let cluster = builder(1).nodes(2).object(deployment("shop", "web", 2)).start().await.unwrap();
    pass(30).await;
    for options in [json!({}), json!({"propagationPolicy": "Foreground"})] {
        let path = "/apis/apps/v1/namespaces/shop/deployments/web";
        assert_eq!(send(&cluster, Method::DELETE, path, &options).await, 200);
        pass(60).await;
        for resource in ["deployments.apps", "replicasets.apps", "pods"] {
            assert_eq!(cluster.api_server().all(resource).len(), 0, "{resource} {options}");
        }
        cluster.create(deployment("shop", "web", 2)).await.unwrap();
        pass(30).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_loses_its_pods_after_five_minutes() {
    let cluster = builder(1).nodes(2).object(deployment("shop", "web", 2)).start().await.unwrap();
    pass(30).await;
    let fault = json!({"metadata": {"annotations": {"sim.careen.dev/unreachable": "true"}}});
    send(&cluster, Method::PATCH, "/api/v1/nodes/node01", &fault).await;
    pass(120).await;
    let node = cluster.api_server().get("nodes", "", "node01").unwrap();
    assert_eq!(condition(&node, "Ready").unwrap()["status"], "Unknown");
    assert_eq!(pods(&cluster, "web").len(), 2);
    pass(300).await;
    let pods = pods(&cluster, "web");
    assert_eq!(pods.len(), 3, "the one there cannot end, and has been replaced");
    assert_eq!(pods.iter().filter(|pod| is_ready(pod)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_virtual_machine_migrates_when_its_launcher_pod_is_evicted() {
    let vm = virtual_machine("shop", "vm1", Some("LiveMigrate"));
    let cluster = builder(1).nodes(2).kubevirt(None).object(vm).start().await.unwrap();
    pass(60).await;
    let vmi = || cluster.api_server().get("virtualmachineinstances.kubevirt.io", "shop", "vm1").unwrap();
    let before = vmi();
    assert_eq!(before["status"]["phase"], "Running", "{before:#}");
    let launcher = cluster.api_server().all("pods").into_iter().next().unwrap();
    assert_eq!(evict(&cluster, &launcher).await, 429, "KubeVirt takes it in hand");
    pass(60).await;
    let after = vmi();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_ne!(after["status"]["nodeName"], before["status"]["nodeName"], "{after:#}");
}

/// An hour on a cluster with random evictions and cordons: a hash of all writes of its actors, and their number.
async fn hour(seed: u64) -> (u64, usize) {
    let trace = Arc::new(Mutex::new((0xcbf2_9ce4_8422_2325_u64, 0)));
    let told = trace.clone();
    let cluster = builder(seed)
        .renewing_every(Duration::from_secs(600))
        .nodes(3)
        .object(deployment("shop", "web", 3))
        .object(max_unavailable("shop", "web", 1))
        .object(stateful_set("shop", "db", 2))
        .object(min_available("shop", "db", "50%"))
        .object(daemon_set("kube-system", "log"))
        .recording(move |done| {
            let mut told = told.lock().unwrap();
            for byte in format!("{done:?}").bytes() {
                told.0 = (told.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            told.1 += 1;
        })
        .start()
        .await
        .unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..10 {
        pass(random.u64(1..720)).await;
        if random.bool() {
            cordon(&cluster, &format!("node0{}", random.u8(1..=3)), random.bool()).await;
        }
        let pods = cluster.api_server().all("pods");
        if let Some(pod) = random.choice(&pods) {
            evict(&cluster, pod).await;
        }
    }
    drop(cluster);
    *trace.lock().unwrap()
}

fn run(seed: u64) -> (u64, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(hour(seed))
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_one_another() {
    // Each seed twice, each half of the seeds on a thread of its own.
    let half = |seeds: Range<u64>| std::thread::spawn(|| seeds.map(|seed| (seed, run(seed), run(seed))).collect());
    let halves: [std::thread::JoinHandle<Vec<_>>; 2] = [half(0..25), half(25..50)];
    let histories: Vec<_> = halves.into_iter().flat_map(|half| half.join().unwrap()).collect();
    for (seed, first, second) in &histories {
        assert_eq!(first, second, "seed {seed}");
        assert!(first.1 > 100, "seed {seed} has {} writes: too few to say anything", first.1);
    }
    let different: BTreeSet<_> = histories.iter().map(|(_, history, _)| history).collect();
    assert_eq!(different.len(), 50);
}
