use serde_json::{Value, json};

use super::Kubelet;
use crate::{
    actors::{
        kinds::{LEASE, NODE, POD},
        object::{condition, is_ready},
        rules::Rules,
        world::{World, merged, node, pod, s},
    },
    selector::LabelSelector,
};

fn world() -> World {
    let every_node = LabelSelector::from_json(&json!({})).unwrap();
    let mut world = World::new().with(Kubelet::of(every_node, Rules::new(1).jittered(0.0)));
    world.create(NODE, node("a"));
    world
}

fn bound(name: &str, annotations: &Value) -> Value {
    merged(pod(name), &json!({"metadata": {"annotations": annotations}, "spec": {"nodeName": "a"}}))
}

fn phase<'a>(world: &'a World, name: &str) -> &'a str {
    world.get(POD, "shop", name)["status"]["phase"].as_str().unwrap_or_default()
}

#[test]
fn a_pod_starts_and_then_is_ready() {
    let mut world = world();
    world.create(POD, bound("web", &json!({"sim.careen.dev/starts-after": "3s", "sim.careen.dev/ready-after": "5s"})));
    world.run(s(2));
    assert_eq!(phase(&world, "web"), "Pending");
    let status = &world.get(POD, "shop", "web")["status"];
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    world.run(s(2));
    assert_eq!(phase(&world, "web"), "Running");
    assert!(!is_ready(world.get(POD, "shop", "web")));
    world.run(s(5));
    let web = world.get(POD, "shop", "web");
    assert!(is_ready(web));
    assert!(web["status"]["podIP"].as_str().unwrap().starts_with("10."));
    let patches = world.log.iter().filter(|line| line.ends_with("pods/status shop/web")).count();
    assert_eq!(patches, 3, "one for each step: {:#?}", world.log);
}

#[test]
fn a_deleted_pod_takes_its_time_but_not_more_than_its_grace() {
    for (annotations, gone_after) in [
        (json!({}), 1),
        (json!({"sim.careen.dev/ends-after": "10s"}), 10),
        (json!({"sim.careen.dev/ends-after": "10m"}), 30),
        (json!({"sim.careen.dev/ignores-termination": "true"}), 30),
    ] {
        let mut world = world();
        world.create(POD, bound("web", &annotations));
        world.run(s(10));
        world.delete(POD, "shop", "web", None);
        world.run(s(gone_after - 1));
        assert_eq!(world.names(POD), ["web"], "{annotations}");
        world.run(s(1));
        assert_eq!(world.names(POD), Vec::<&str>::new(), "{annotations}");
    }
}

#[test]
fn a_pod_that_never_ends_stays() {
    let mut world = world();
    world.create(POD, bound("web", &json!({"sim.careen.dev/never-ends": "true"})));
    world.run(s(10));
    world.delete(POD, "shop", "web", None);
    world.run(s(3600));
    assert_eq!(world.names(POD), ["web"]);
}

#[test]
fn containers_that_end_are_started_again_where_the_pod_says_so() {
    let mut world = world();
    let once = json!({"spec": {"restartPolicy": "Never"}});
    world.create(POD, merged(bound("job", &json!({"sim.careen.dev/completes-after": "10s"})), &once));
    world.create(POD, merged(bound("bad", &json!({"sim.careen.dev/fails-after": "10s"})), &once));
    world.create(POD, bound("web", &json!({"sim.careen.dev/fails-after": "10s"})));
    world.run(s(12));
    assert_eq!(["job", "bad", "web"].map(|name| phase(&world, name)), ["Succeeded", "Failed", "Running"]);
    assert_eq!(world.get(POD, "shop", "web")["status"]["containerStatuses"][0]["restartCount"], 1);
}

#[test]
fn faults_keep_a_pod_from_starting_or_from_being_ready() {
    let mut world = world();
    world.create(POD, bound("noimage", &json!({"sim.careen.dev/never-starts": "true"})));
    world.create(POD, bound("unready", &json!({"sim.careen.dev/never-ready": "true"})));
    world.run(s(600));
    assert_eq!([phase(&world, "noimage"), phase(&world, "unready")], ["Pending", "Running"]);
    assert!(!is_ready(world.get(POD, "shop", "unready")));
    world.patch(POD, "shop", "unready", &json!({"metadata": {"annotations": {"sim.careen.dev/never-ready": null}}}));
    world.run(s(1));
    assert!(is_ready(world.get(POD, "shop", "unready")), "a fault can be mended");
}

#[test]
fn a_node_reports_itself_and_renews_its_lease() {
    let mut world = world();
    world.patch(NODE, "", "a", &json!({"status": {"conditions": [{"type": "Drained", "status": "False"}]}}));
    world.run(s(3600));
    let a = world.get(NODE, "", "a");
    assert_eq!(condition(a, "Ready").unwrap()["reason"], "KubeletReady");
    assert!(condition(a, "Drained").is_some(), "conditions of others stay");
    assert_eq!(a["status"]["nodeInfo"]["kubeletVersion"], "v1.37.2");
    assert_eq!(a["status"]["allocatable"]["cpu"], "4", "what it was made with stays");
    assert_eq!(world.get(LEASE, "kube-node-lease", "a")["spec"]["renewTime"], "2026-11-24T01:00:00.000000Z");
    let reports = world.log.iter().filter(|line| line.contains("nodes/status")).count();
    assert_eq!(reports, 13, "one every five minutes");
}

#[test]
fn nothing_moves_on_an_unreachable_node() {
    let mut world = world();
    world.create(POD, bound("web", &json!({})));
    world.run(s(10));
    world.patch(NODE, "", "a", &json!({"metadata": {"annotations": {"sim.careen.dev/unreachable": "true"}}}));
    world.delete(POD, "shop", "web", None);
    let before = world.log.len();
    world.run(s(3600));
    assert_eq!(world.log.len(), before);
    world.patch(NODE, "", "a", &json!({"metadata": {"annotations": {"sim.careen.dev/unreachable": null}}}));
    world.run(s(31));
    assert_eq!(world.names(POD), Vec::<&str>::new(), "when it is back, it does what it was told");
}

#[test]
fn a_mirror_pod_comes_back_and_is_ready_at_once() {
    let mut world = world();
    world.create(POD, bound("etcd-a", &json!({"kubernetes.io/config.mirror": "hash"})));
    world.run(s(10));
    let uid = world.get(POD, "shop", "etcd-a")["metadata"]["uid"].clone();
    world.delete(POD, "shop", "etcd-a", None);
    world.run(s(0));
    let etcd = world.get(POD, "shop", "etcd-a");
    assert_ne!(etcd["metadata"]["uid"], uid);
    assert!(is_ready(etcd));
}
