use serde_json::{Value, json};

use super::Scheduler;
use crate::actors::{
    kinds::{NODE, POD},
    object::condition,
    world::{World, merged, node, pod, s},
};

fn world(nodes: impl IntoIterator<Item = Value>) -> World {
    let mut world = World::new().with(Scheduler::default());
    for node in nodes {
        world.create(NODE, node);
    }
    world
}

fn node_of<'a>(world: &'a World, name: &str) -> &'a str {
    world.get(POD, "shop", name)["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn asking(name: &str, cpu: &str) -> Value {
    let container = json!({"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}});
    merged(pod(name), &json!({"spec": {"containers": [container]}}))
}

#[test]
fn pods_go_where_the_load_is_least_and_the_first_of_equals_wins() {
    let mut world = world([node("a"), node("b")]);
    for name in ["one", "two", "three"] {
        world.create(POD, asking(name, "1"));
    }
    world.run(s(1));
    // In the order in which they are seen: by name.
    assert_eq!(["one", "three", "two"].map(|name| node_of(&world, name)), ["a", "b", "a"]);
}

#[test]
fn a_pod_that_fits_nowhere_is_told_why_in_kubernetes_words() {
    let cordoned = merged(node("a"), &json!({"spec": {"unschedulable": true}}));
    let taint = json!({"key": "gpu", "effect": "NoSchedule"});
    let tainted = merged(node("b"), &json!({"spec": {"taints": [taint]}}));
    let mut world = world([cordoned, tainted, node("c")]);
    world.create(POD, asking("big", "5"));
    world.run(s(1));
    let scheduled = condition(world.get(POD, "shop", "big"), "PodScheduled").unwrap();
    assert_eq!((&scheduled["status"], &scheduled["reason"]), (&json!("False"), &json!("Unschedulable")));
    assert_eq!(
        scheduled["message"],
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), \
         1 node(s) were unschedulable. preemption: 0/3 nodes are available: 1 No preemption victims found for \
         incoming pod, 2 Preemption is not helpful for scheduling."
    );
    world.patch(NODE, "", "a", &json!({"spec": {"unschedulable": false}, "status": {"allocatable": {"cpu": "8"}}}));
    world.run(s(1));
    assert_eq!(node_of(&world, "big"), "a", "it is tried again when something changes");
}

#[test]
fn no_node_takes_more_pods_than_it_says() {
    let mut world = world([node("a")]);
    for number in 0..12 {
        world.create(POD, pod(&format!("web{number:02}")));
    }
    world.run(s(1));
    assert_eq!((0..12).filter(|number| node_of(&world, &format!("web{number:02}")) == "a").count(), 10);
}

#[test]
fn pods_that_do_not_want_each_other_go_to_different_hosts() {
    let apart = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "quorum"}}},
    ]}});
    let mut world = world([node("a"), node("b")]);
    for name in ["one", "two", "three"] {
        let patch = json!({"metadata": {"labels": {"app": "quorum"}}, "spec": {"affinity": apart}});
        world.create(POD, merged(pod(name), &patch));
    }
    world.create(POD, pod("other"));
    world.run(s(1));
    assert_eq!(["one", "three", "two"].map(|name| node_of(&world, name)), ["a", "b", ""]);
    assert_ne!(node_of(&world, "other"), "");
}

#[test]
fn a_pod_with_a_scheduling_gate_or_another_scheduler_is_left_alone() {
    let mut world = world([node("a")]);
    world.create(POD, merged(pod("gated"), &json!({"spec": {"schedulingGates": [{"name": "later"}]}})));
    world.create(POD, merged(pod("others"), &json!({"spec": {"schedulerName": "mine"}})));
    world.run(s(1));
    assert_eq!(world.log, Vec::<String>::new());
}
