//! Plays the controller of `ReplicaSet`s: as many pods as wanted.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::owned::{by_owner, count, deletions, first_to_go, pod_of, replicas, status_write};
use crate::actors::{
    actor::{Actor, Turn, Write},
    kinds::{POD, REPLICA_SET},
    object::{available_at, is_active, is_available, is_deleting, is_ready, name_of, uid_of},
    view::{Kind, View},
};

/// Plays the controller of `ReplicaSet`s.
#[derive(Debug, Default)]
pub struct ReplicaSets(());

impl Actor for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![REPLICA_SET, POD]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let pods = by_owner(view, POD);
        for set in view.all(REPLICA_SET) {
            let mut active: Vec<&Value> =
                pods.get(uid_of(set)).into_iter().flatten().copied().filter(|pod| is_active(pod)).collect();
            if !is_deleting(set) {
                keep_count(set, &mut active, &mut turn);
            }
            report(set, &active, now, &mut turn);
        }
        turn
    }
}

fn keep_count(set: &Value, active: &mut [&Value], turn: &mut Turn) {
    let wanted = usize::try_from(replicas(set)).unwrap_or(0);
    for _ in active.len()..wanted {
        let mut pod = pod_of(REPLICA_SET, set);
        pod["metadata"]["generateName"] = format!("{}-", name_of(set)).into();
        turn.writes.push(Write::Create { kind: POD, object: pod });
    }
    if active.len() > wanted {
        first_to_go(active);
        turn.writes.extend(deletions(active.iter().copied().take(active.len() - wanted)));
    }
}

fn report(set: &Value, active: &[&Value], now: Timestamp, turn: &mut Turn) {
    let seconds = set["spec"]["minReadySeconds"].as_i64().unwrap_or(0);
    for at in active.iter().filter_map(|pod| available_at(pod, seconds)).filter(|at| *at > now) {
        turn.look_again(at);
    }
    let labels = set["spec"]["template"]["metadata"]["labels"].as_object();
    let is_labelled = |pod: &&&Value| {
        labels.is_none_or(|labels| labels.iter().all(|(key, value)| pod["metadata"]["labels"][key.as_str()] == *value))
    };
    let status = json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": count(active.iter().filter(is_labelled).count()),
        "readyReplicas": count(active.iter().filter(|pod| is_ready(pod)).count()),
        "availableReplicas": count(active.iter().filter(|pod| is_available(pod, seconds, now)).count()),
        "observedGeneration": set["metadata"]["generation"],
    });
    turn.writes.extend(status_write(REPLICA_SET, set, &status));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::{
        object::{is_controlled_by, label},
        world::{World, s},
    };

    fn world(replicas: i64) -> World {
        let mut world = World::new().with(ReplicaSets::default());
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template});
        world.create(REPLICA_SET, json!({"metadata": {"namespace": "shop", "name": "web-1"}, "spec": spec}));
        world.run(s(1));
        world
    }

    fn becomes(world: &mut World, name: &str, ready: &str, node: &str) {
        let conditions = json!([{"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-24T00:00:01Z"}]);
        let patch = json!({"spec": {"nodeName": node}, "status": {"phase": "Running", "conditions": conditions}});
        world.patch(POD, "shop", name, &patch);
    }

    #[test]
    fn it_makes_as_many_pods_as_wanted_and_owns_them() {
        let world = world(3);
        assert_eq!(world.names(POD).len(), 3);
        let uid = uid_of(world.get(REPLICA_SET, "shop", "web-1"));
        for pod in world.view.all(POD) {
            assert!(is_controlled_by(pod, uid) && label(pod, "app") == Some("web"), "{pod}");
            assert!(name_of(pod).starts_with("web-1-"));
        }
        assert_eq!(world.get(REPLICA_SET, "shop", "web-1")["status"]["replicas"], 3);
    }

    #[test]
    fn a_pod_that_is_on_its_way_out_is_replaced_at_once() {
        let mut world = world(1);
        let name = world.names(POD)[0].to_owned();
        becomes(&mut world, &name, "True", "a");
        world.delete(POD, "shop", &name, None);
        world.run(s(1));
        assert_eq!(world.names(POD).len(), 2);
    }

    #[test]
    fn of_too_many_the_one_goes_that_is_missed_least() {
        let mut world = world(3);
        let names: Vec<String> = world.names(POD).into_iter().map(str::to_owned).collect();
        for (name, ready) in names.iter().zip(["True", "False", "True"]) {
            becomes(&mut world, name, ready, "a");
        }
        world.patch(REPLICA_SET, "shop", "web-1", &json!({"spec": {"replicas": 2}}));
        world.run(s(0));
        let going: Vec<_> = world.view.all(POD).filter(|pod| is_deleting(pod)).map(name_of).collect();
        assert_eq!(going, [&names[1]]);
    }

    #[test]
    fn ready_pods_are_available_after_min_ready_seconds() {
        let mut world = world(1);
        world.patch(REPLICA_SET, "shop", "web-1", &json!({"spec": {"minReadySeconds": 10}}));
        let name = world.names(POD)[0].to_owned();
        becomes(&mut world, &name, "True", "a");
        world.run(s(5));
        let status = |world: &World| world.get(REPLICA_SET, "shop", "web-1")["status"].clone();
        assert_eq!((&status(&world)["readyReplicas"], &status(&world)["availableReplicas"]), (&json!(1), &Value::Null));
        world.run(s(10));
        assert_eq!(status(&world)["availableReplicas"], 1);
    }
}
