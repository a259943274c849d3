use serde_json::{Value, json};

use super::Deployments;
use crate::{
    actors::{
        kinds::{DEPLOYMENT, NODE, POD, REPLICA_SET},
        kubelet::Kubelet,
        object::{condition, is_ready, label, name_of},
        rules::Rules,
        scheduler::Scheduler,
        workloads::{owned::replicas, replica_set::ReplicaSets},
        world::{World, node, s},
    },
    selector::LabelSelector,
};

fn world(strategy: &Value) -> World {
    let every_node = LabelSelector::from_json(&json!({})).unwrap();
    let mut world = World::new()
        .with(Deployments::default())
        .with(ReplicaSets::default())
        .with(Scheduler::default())
        .with(Kubelet::of(every_node, Rules::new(1)));
    for name in ["a", "b"] {
        world.create(NODE, node(name));
    }
    let template = json!({
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "one"}]},
    });
    let spec = json!({
        "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": template,
        "strategy": strategy, "progressDeadlineSeconds": 600,
    });
    world.create(DEPLOYMENT, json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec}));
    world.run(s(10));
    world
}

fn update(world: &mut World, image: &str) {
    let template = json!({"spec": {"containers": [{"name": "a", "image": image}]}});
    world.patch(DEPLOYMENT, "shop", "web", &json!({"spec": {"template": template}}));
}

fn images(world: &World) -> Vec<&str> {
    world.view.all(POD).filter_map(|pod| pod["spec"]["containers"][0]["image"].as_str()).collect()
}

fn reason<'a>(world: &'a World, type_: &str) -> &'a Value {
    &condition(world.get(DEPLOYMENT, "shop", "web"), type_).unwrap()["reason"]
}

#[test]
fn it_makes_a_replica_set_with_the_hash_of_its_template() {
    let world = world(&json!({"type": "RollingUpdate"}));
    let set = world.view.all(REPLICA_SET).next().unwrap();
    let hash = label(set, "pod-template-hash").unwrap();
    assert_eq!(name_of(set), format!("web-{hash}"));
    assert_eq!(set["spec"]["selector"]["matchLabels"], json!({"app": "web", "pod-template-hash": hash}));
    let status = &world.get(DEPLOYMENT, "shop", "web")["status"];
    assert_eq!((&status["readyReplicas"], &status["unavailableReplicas"]), (&json!(4), &Value::Null));
    assert_eq!(reason(&world, "Available"), "MinimumReplicasAvailable");
    assert_eq!(reason(&world, "Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn a_rolling_update_keeps_within_its_bounds_until_all_are_new() {
    let bounds = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let mut world = world(&bounds);
    update(&mut world, "two");
    for _ in 0..60 {
        world.run(s(1));
        let wanted: i64 = world.view.all(REPLICA_SET).map(replicas).sum();
        assert!(wanted <= 5, "{wanted}");
        assert!(world.view.all(POD).filter(|pod| is_ready(pod)).count() >= 4);
    }
    assert_eq!(images(&world), ["two"; 4]);
    let revision = |object: &Value| object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone();
    assert_eq!(revision(world.get(DEPLOYMENT, "shop", "web")), "2");
    assert_eq!(world.names(REPLICA_SET).len(), 2, "the old one is history");
    update(&mut world, "one");
    world.run(s(60));
    assert_eq!(images(&world), ["one"; 4]);
    assert_eq!(world.names(REPLICA_SET).len(), 2, "a template that was there before has its ReplicaSet");
    assert_eq!(revision(world.get(DEPLOYMENT, "shop", "web")), "3");
}

#[test]
fn with_recreate_no_new_pod_comes_before_the_last_old_one_has_gone() {
    let mut world = world(&json!({"type": "Recreate"}));
    update(&mut world, "two");
    for _ in 0..20 {
        world.run(s(1));
        let images = images(&world);
        assert!(images.iter().all(|image| *image == "one") || images.iter().all(|image| *image == "two"), "{images:?}");
    }
    assert_eq!(images(&world), ["two"; 4]);
}

#[test]
fn an_update_that_does_not_get_ready_stops_and_says_so() {
    let mut world = world(&json!({"type": "RollingUpdate"}));
    let annotations = json!({"sim.careen.dev/never-ready": "true"});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    world.patch(DEPLOYMENT, "shop", "web", &patch);
    world.run(s(300));
    assert_eq!(reason(&world, "Progressing"), "ReplicaSetUpdated");
    assert_eq!(reason(&world, "Available"), "MinimumReplicasAvailable", "one of four may be away");
    world.run(s(600));
    assert_eq!(reason(&world, "Progressing"), "ProgressDeadlineExceeded");
}
