use serde_json::json;

use super::bed::{Bed, bed, vm};
use crate::actors::{
    kinds::NODE,
    kubevirt::{
        names::{MIGRATION, VIRTUAL_MACHINE},
        object::{phase, text},
    },
    world::s,
};

/// Six VMs on one node, evicted at once.
fn six_evicted(configuration: Option<&serde_json::Value>) -> Bed {
    let mut bed = bed();
    if let Some(configuration) = configuration {
        bed.configure(configuration);
    }
    for other in ["node-1", "node-2"] {
        bed.world.patch(NODE, "", other, &json!({"spec": {"unschedulable": true}}));
    }
    let names: Vec<String> = (0..6).map(|index| format!("vm-{index}")).collect();
    for name in &names {
        bed.world.create(VIRTUAL_MACHINE, vm(name, Some("LiveMigrate"), &[("migrates-for", "3s")]));
    }
    bed.world.run(s(10));
    for (node, unschedulable) in [("node-0", true), ("node-1", false), ("node-2", false)] {
        bed.world.patch(NODE, "", node, &json!({"spec": {"unschedulable": unschedulable}}));
    }
    for name in &names {
        assert_eq!(bed.node_of(name), "node-0");
        bed.evict(name);
    }
    bed.world.run(s(1));
    bed
}

fn in_phase(bed: &Bed, wanted: &[&str]) -> usize {
    bed.world.view.all(MIGRATION).filter(|migration| wanted.contains(&phase(migration))).count()
}

#[test]
fn all_migrations_are_made_and_two_leave_a_node_at_once() {
    let mut bed = six_evicted(None);
    assert_eq!(bed.world.names(MIGRATION).len(), 6);
    let mut most = 0;
    for _ in 0..150 {
        bed.world.run(std::time::Duration::from_millis(200));
        let under_way = ["Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running"];
        most = most.max(in_phase(&bed, &under_way));
        let waiting = bed.world.view.all(MIGRATION).find(|migration| phase(migration) == "Pending");
        if let Some(waiting) = waiting {
            assert!(waiting["status"]["conditions"].is_null(), "nothing says why it waits");
        }
    }
    assert_eq!((most, in_phase(&bed, &["Succeeded"])), (2, 6));
}

#[test]
fn the_limits_are_those_of_the_configuration() {
    for (limits, expected) in [
        (json!({"parallelOutboundMigrationsPerNode": 1}), 1),
        (json!({"parallelOutboundMigrationsPerNode": 9}), 5),
        (json!({"parallelOutboundMigrationsPerNode": 9, "parallelMigrationsPerCluster": 3}), 3),
    ] {
        let bed = six_evicted(Some(&json!({"migrations": limits})));
        assert_eq!(6 - in_phase(&bed, &["Pending"]), expected, "{limits}");
    }
}

#[test]
fn what_the_system_needs_goes_before_what_users_want() {
    let mut bed = bed();
    bed.configure(&json!({"migrations": {"parallelMigrationsPerCluster": 0}}));
    let users = bed.runs(vm("a-users", Some("LiveMigrate"), &[]));
    let evicted = bed.runs(vm("b-evicted", Some("LiveMigrate"), &[]));
    let own = json!({"metadata": {"namespace": "cases", "name": "own"}, "spec": {"vmiName": users}});
    bed.world.create(MIGRATION, own);
    bed.world.run(s(5));
    bed.evict(&evicted);
    bed.world.run(s(5));
    assert_eq!(in_phase(&bed, &["Pending"]), 2);
    let limit = json!({"spec": {"configuration": {"migrations": {"parallelMigrationsPerCluster": 1}}}});
    bed.world.patch(crate::actors::kubevirt::names::KUBEVIRT, "kubevirt", "kubevirt", &limit);
    bed.world.run(s(2));
    let waiting = bed.world.view.all(MIGRATION).find(|migration| phase(migration) == "Pending").unwrap();
    assert_eq!(text(waiting, "/spec/vmiName"), users);
}
