use serde_json::json;

use super::bed::{CASES, bed, bed_of, vm};
use crate::actors::{
    kinds::POD,
    kubevirt::{
        names::{INSTANCE, NODE_NAME, VIRTUAL_MACHINE},
        object::{condition, has_finalizer, label, list, name_of, phase, text, uid_of},
    },
    world::s,
};

#[test]
fn a_vm_starts_in_the_order_that_was_observed() {
    let mut bed = bed();
    bed.world.create(VIRTUAL_MACHINE, vm("web", Some("LiveMigrate"), &[]));
    bed.world.run(s(10));
    let node = bed.node_of("web");
    let expected = [
        " ".to_owned(),
        "Pending ".to_owned(),
        "Scheduling ".to_owned(),
        format!("Scheduled {node}"),
        format!("Running {node} LiveMigratable"),
        format!("Running {node} LiveMigratable Ready"),
    ];
    assert_eq!(bed.seen_of("VMI"), expected);
    let vmi = bed.vmi("web");
    assert_eq!(label(vmi, NODE_NAME), Some(node.as_str()));
    assert_eq!(vmi["status"]["activePods"], json!({uid_of(bed.launcher("web")): node}));
    assert_eq!(vmi["status"]["interfaces"][0]["ipAddress"], bed.launcher("web")["status"]["podIP"]);
    assert!(has_finalizer(vmi, "kubevirt.io/foregroundDeleteVirtualMachine"));
    assert_eq!(vmi["metadata"]["ownerReferences"][0]["kind"], "VirtualMachine");
    let phases: Vec<_> =
        list(vmi, "/status/phaseTransitionTimestamps").iter().map(|time| text(time, "/phase")).collect();
    assert_eq!(phases, ["Pending", "Scheduling", "Scheduled", "Running"]);
}

#[test]
fn a_vm_says_how_it_is() {
    let mut bed = bed_of(&[]);
    bed.world.create(VIRTUAL_MACHINE, vm("web", None, &[("guest-starts-after", "5s")]));
    bed.world.run(s(1));
    let status = |bed: &super::bed::Bed| text(bed.vm("web"), "/status/printableStatus").to_owned();
    assert_eq!(status(&bed), "ErrorUnschedulable");
    bed.world.create(crate::actors::kinds::NODE, crate::actors::world::node("node-0"));
    bed.world.run(s(3));
    assert_eq!(status(&bed), "Starting");
    bed.world.run(s(10));
    assert_eq!(status(&bed), "Running");
    assert_eq!((&bed.vm("web")["status"]["ready"], &bed.vm("web")["status"]["created"]), (&json!(true), &json!(true)));
    bed.world.delete(VIRTUAL_MACHINE, CASES, "web", None);
    bed.world.run(s(1));
    assert_eq!(status(&bed), "Terminating");
    bed.world.run(s(10));
    for kind in [VIRTUAL_MACHINE, INSTANCE, POD] {
        assert_eq!(bed.world.names(kind), Vec::<&str>::new());
    }
}

#[test]
fn a_vm_that_migrates_says_so() {
    let mut bed = bed();
    let web = bed.runs(vm("web", Some("LiveMigrate"), &[("migration-stays-in", "Running")]));
    bed.evict(&web);
    bed.world.run(s(10));
    assert_eq!(text(bed.vm("web"), "/status/printableStatus"), "Migrating");
    assert!(condition(bed.vm("web"), "EvictionRequested").is_some(), "it has its VMI's conditions");
}

#[test]
fn a_launcher_ends_when_its_guest_has_shut_down() {
    let mut bed = bed();
    let web = bed.runs(vm("web", None, &[("shuts-down-after", "20s")]));
    let pod = name_of(bed.launcher(&web)).to_owned();
    bed.evict(&web);
    bed.world.run(s(19));
    assert_eq!(phase(bed.world.get(POD, CASES, &pod)), "Running", "the kubelet waits for the guest");
    bed.seen();
    bed.world.run(s(2));
    assert!(bed.world.view.get(POD, CASES, &pod).is_none());
    let seen = bed.seen();
    let at =
        |wanted: &str| seen.iter().position(|line| line.starts_with(wanted)).unwrap_or_else(|| panic!("{seen:#?}"));
    assert!(at("VMI Succeeded") < at("Pod source Succeeded"));
}

#[test]
fn a_guest_that_does_not_shut_down_is_killed_after_its_grace() {
    let mut bed = bed();
    let mut stubborn = vm("web", None, &[("shuts-down-after", "10m")]);
    stubborn["spec"]["runStrategy"] = "Once".into();
    stubborn["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 12.into();
    let web = bed.runs(stubborn);
    assert_eq!(bed.launcher(&web)["spec"]["terminationGracePeriodSeconds"], 42);
    bed.evict(&web);
    bed.world.run(s(11));
    assert_eq!(phase(bed.vmi(&web)), "Running");
    bed.world.run(s(2));
    assert_eq!(phase(bed.vmi(&web)), "Failed");
}

#[test]
fn a_vmi_fails_with_its_pod() {
    let mut bed = bed();
    let mut once = vm("web", None, &[]);
    once["spec"]["runStrategy"] = "Once".into();
    let web = bed.runs(once);
    let pod = name_of(bed.launcher(&web)).to_owned();
    bed.world.delete(POD, CASES, &pod, Some(0));
    bed.world.run(s(1));
    assert_eq!(phase(bed.vmi(&web)), "Failed");
}

#[test]
fn a_vm_that_is_evicted_while_it_starts_is_started_again() {
    let mut bed = bed();
    bed.world.create(VIRTUAL_MACHINE, vm("web", None, &[("guest-starts-after", "10s")]));
    bed.world.run(s(5));
    assert_eq!(phase(bed.vmi("web")), "Scheduled");
    let first = uid_of(bed.vmi("web")).to_owned();
    assert_eq!(bed.evict("web"), None);
    bed.world.run(s(60));
    assert_eq!(phase(bed.vmi("web")), "Running");
    assert_ne!(uid_of(bed.vmi("web")), first);
}
