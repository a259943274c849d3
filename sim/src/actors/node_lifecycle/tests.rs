use serde_json::{Value, json};

use super::NodeLifecycle;
use crate::{
    actors::{
        kinds::{NODE, POD},
        kubelet::Kubelet,
        object::{condition, is_deleting, is_ready, items},
        rules::Rules,
        world::{World, merged, node, pod, s},
    },
    selector::LabelSelector,
};

fn world() -> World {
    let every_node = LabelSelector::from_json(&json!({})).unwrap();
    let rules = Rules::new(1).jittered(0.0);
    let mut world = World::new().with(Kubelet::of(every_node, rules.clone())).with(NodeLifecycle::new(rules));
    world.create(NODE, node("a"));
    world.create(POD, merged(pod("web"), &json!({"spec": {"nodeName": "a", "tolerations": default_tolerations()}})));
    world.run(s(60));
    world
}

/// As the API server gives them to every pod.
fn default_tolerations() -> Value {
    let toleration = |key: &str| {
        let key = format!("node.kubernetes.io/{key}");
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    };
    json!([toleration("not-ready"), toleration("unreachable")])
}

fn taints(world: &World) -> Vec<String> {
    let taints = items(&world.get(NODE, "", "a")["spec"]["taints"]);
    taints
        .iter()
        .map(|taint| format!("{}:{}", taint["key"].as_str().unwrap(), taint["effect"].as_str().unwrap()))
        .collect()
}

fn set(world: &mut World, fault: &str, value: &Value) {
    let annotation = format!("sim.careen.dev/{fault}");
    world.patch(NODE, "", "a", &json!({"metadata": {"annotations": {annotation: value}}}));
}

#[test]
fn a_cordoned_node_has_its_taint_as_long_as_it_is_cordoned() {
    let mut world = world();
    let own = json!({"key": "gpu", "effect": "NoSchedule"});
    world.patch(NODE, "", "a", &json!({"spec": {"unschedulable": true, "taints": [own]}}));
    world.run(s(1));
    assert_eq!(taints(&world), ["gpu:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"]);
    world.patch(NODE, "", "a", &json!({"spec": {"unschedulable": null}}));
    world.run(s(1));
    assert_eq!(taints(&world), ["gpu:NoSchedule"]);
}

#[test]
fn a_silent_node_is_unreachable_and_its_pods_go_when_they_tolerate_it_no_longer() {
    let mut world = world();
    set(&mut world, "unreachable", &json!("true"));
    world.run(s(30));
    assert_eq!(condition(world.get(NODE, "", "a"), "Ready").unwrap()["status"], "True");
    world.run(s(30));
    let ready = condition(world.get(NODE, "", "a"), "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("Unknown"), &json!("NodeStatusUnknown")));
    assert_eq!(
        taints(&world),
        ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
    );
    assert!(!is_ready(world.get(POD, "shop", "web")));
    world.run(s(270));
    assert!(!is_deleting(world.get(POD, "shop", "web")));
    world.run(s(60));
    let web = world.get(POD, "shop", "web");
    assert!(is_deleting(web), "and it stays so, for nobody ends it");
    assert_eq!(condition(web, "DisruptionTarget").unwrap()["reason"], "DeletionByTaintManager");
    set(&mut world, "unreachable", &Value::Null);
    world.run(s(60));
    assert_eq!(world.names(POD), Vec::<&str>::new());
    assert_eq!(taints(&world), Vec::<String>::new());
    assert_eq!(condition(world.get(NODE, "", "a"), "Ready").unwrap()["status"], "True");
}

#[test]
fn a_node_that_is_not_ready_is_tainted_and_untainted() {
    let mut world = world();
    set(&mut world, "not-ready", &json!("true"));
    world.run(s(1));
    assert_eq!(taints(&world), ["node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"]);
    set(&mut world, "not-ready", &Value::Null);
    world.run(s(1));
    assert_eq!(taints(&world), Vec::<String>::new());
    assert!(is_ready(world.get(POD, "shop", "web")));
}

#[test]
fn a_pod_without_a_toleration_goes_at_once() {
    let mut world = world();
    world.patch(NODE, "", "a", &json!({"spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}}));
    world.run(s(0));
    assert!(is_deleting(world.get(POD, "shop", "web")));
}

#[test]
fn pods_of_a_vanished_node_are_removed_after_a_while() {
    let mut world = world();
    world.delete(NODE, "", "a", None);
    world.run(s(39));
    assert_eq!(world.names(POD), ["web"]);
    world.run(s(1));
    assert_eq!(world.names(POD), Vec::<&str>::new());
}
