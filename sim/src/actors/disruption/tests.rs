use serde_json::{Value, json};

use super::Disruption;
use crate::actors::{
    kinds::{POD, POD_DISRUPTION_BUDGET, REPLICA_SET},
    object::{condition, controlled_by},
    rules::Rules,
    world::{World, merged, pod, s},
};

/// So many pods of a ReplicaSet that wants `replicas`, `ready` of them ready.
fn world(spec: &Value, replicas: i64, pods: usize, ready: usize) -> World {
    let mut world = World::new().with(Disruption::new(Rules::new(1)));
    world
        .create(REPLICA_SET, json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"replicas": replicas}}));
    let owner = controlled_by(REPLICA_SET, world.get(REPLICA_SET, "shop", "web"));
    for number in 0..pods {
        let state = if number < ready { "True" } else { "False" };
        let patch = json!({
            "metadata": {"labels": {"app": "web"}, "ownerReferences": [owner]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": state}]},
        });
        world.create(POD, merged(pod(&format!("web-{number}")), &patch));
    }
    let spec = merged(spec.clone(), &json!({"selector": {"matchLabels": {"app": "web"}}}));
    world.create(POD_DISRUPTION_BUDGET, json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec}));
    world.run(s(1));
    world
}

fn status(world: &World) -> [i64; 4] {
    let status = &world.get(POD_DISRUPTION_BUDGET, "shop", "web")["status"];
    ["currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"]
        .map(|field| status[field].as_i64().unwrap_or_else(|| panic!("{status}")))
}

#[test]
fn budgets_are_worked_out_as_kubernetes_does() {
    for (spec, (replicas, pods, ready), expected) in [
        (json!({"minAvailable": 2}), (3, 3, 3), [3, 2, 3, 1]),
        (json!({"minAvailable": 2}), (3, 2, 2), [2, 2, 2, 0]),
        (json!({"minAvailable": "50%"}), (5, 5, 5), [5, 3, 5, 2]),
        (json!({"minAvailable": "50%"}), (5, 4, 4), [4, 3, 5, 1]),
        (json!({"maxUnavailable": 1}), (3, 3, 3), [3, 2, 3, 1]),
        (json!({"maxUnavailable": 1}), (3, 3, 2), [2, 2, 3, 0]),
        (json!({"maxUnavailable": "30%"}), (4, 4, 4), [4, 2, 4, 2]),
        (json!({"maxUnavailable": 5}), (3, 3, 3), [3, 0, 3, 3]),
        (json!({"minAvailable": 0}), (3, 0, 0), [0, 0, 0, 0]),
    ] {
        assert_eq!(status(&world(&spec, replicas, pods, ready)), expected, "{spec} of {replicas}");
    }
}

#[test]
fn pods_that_nobody_owns_count_only_for_a_number_that_must_be_there() {
    for (spec, expected) in [(json!({"minAvailable": 1}), [2, 1, 2, 1]), (json!({"maxUnavailable": 1}), [2, 0, 1, 2])] {
        let mut world = world(&spec, 1, 1, 1);
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let patch = json!({"metadata": {"labels": {"app": "web"}}, "status": {"conditions": ready}});
        world.create(POD, merged(pod("bare"), &patch));
        world.run(s(1));
        assert_eq!(status(&world), expected, "{spec}");
    }
}

#[test]
fn a_granted_eviction_counts_until_the_pod_goes_or_two_minutes_have_passed() {
    let mut world = world(&json!({"maxUnavailable": 1}), 3, 3, 3);
    let granted = json!({"disruptedPods": {"web-0": "2026-11-24T00:00:01Z"}, "disruptionsAllowed": 0});
    world.patch(POD_DISRUPTION_BUDGET, "shop", "web", &json!({"status": granted}));
    world.run(s(60));
    assert_eq!(status(&world), [2, 2, 3, 0]);
    world.run(s(61));
    assert_eq!(status(&world), [3, 2, 3, 1]);
    assert_eq!(world.get(POD_DISRUPTION_BUDGET, "shop", "web")["status"]["disruptedPods"], json!({}));
}

#[test]
fn a_pod_that_is_going_is_not_healthy() {
    let mut world = world(&json!({"maxUnavailable": 1}), 3, 3, 3);
    world.patch(POD, "shop", "web-0", &json!({"spec": {"nodeName": "a"}}));
    world.delete(POD, "shop", "web-0", None);
    world.run(s(1));
    assert_eq!(status(&world), [2, 2, 3, 0]);
    let budget = world.get(POD_DISRUPTION_BUDGET, "shop", "web");
    assert_eq!(condition(budget, "DisruptionAllowed").unwrap()["reason"], "InsufficientPods");
}

#[test]
fn an_owner_without_a_scale_lets_nothing_go() {
    let mut world = world(&json!({"maxUnavailable": 1}), 1, 1, 1);
    let owner = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "log", "uid": "u", "controller": true});
    let patch = json!({"metadata": {"labels": {"app": "web"}, "ownerReferences": [owner]}});
    world.create(POD, merged(pod("log"), &patch));
    world.run(s(1));
    let budget = world.get(POD_DISRUPTION_BUDGET, "shop", "web");
    let condition = condition(budget, "DisruptionAllowed").unwrap();
    assert_eq!(condition["reason"], "SyncFailed");
    assert_eq!(condition["message"], "daemonsets.apps does not implement the scale subresource");
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
}

#[test]
fn a_pod_that_was_not_evicted_after_all_loses_its_mark() {
    let mut world = world(&json!({"maxUnavailable": 1}), 1, 1, 1);
    let target = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    });
    world.patch(POD, "shop", "web-0", &json!({"status": {"conditions": [target]}}));
    world.run(s(100));
    assert_eq!(condition(world.get(POD, "shop", "web-0"), "DisruptionTarget").unwrap()["status"], "True");
    world.run(s(20));
    assert_eq!(condition(world.get(POD, "shop", "web-0"), "DisruptionTarget").unwrap()["status"], "False");
}
