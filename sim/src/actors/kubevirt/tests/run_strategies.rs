use serde_json::{Value, json};

use super::bed::{Bed, CASES, bed, vm};
use crate::actors::{
    kubevirt::{
        names::VIRTUAL_MACHINE,
        object::{phase, text, uid_of},
    },
    world::s,
};

fn with_strategy(strategy: &str, settings: &[(&str, &str)]) -> Bed {
    let mut bed = bed();
    let mut made = vm("web", None, settings);
    made["spec"]["runStrategy"] = strategy.into();
    bed.world.create(VIRTUAL_MACHINE, made);
    bed.world.run(s(5));
    bed
}

fn ask(bed: &mut Bed, request: &Value) {
    let patch = json!({"status": {"stateChangeRequests": [request]}});
    bed.world.patch(VIRTUAL_MACHINE, CASES, "web", &patch);
    bed.world.run(s(10));
}

fn printable(bed: &Bed) -> &str {
    text(bed.vm("web"), "/status/printableStatus")
}

#[test]
fn always_starts_it_again_whatever_its_end() {
    for setting in ["powers-off-after", "crashes-after"] {
        let mut bed = with_strategy("Always", &[(setting, "20s")]);
        let first = uid_of(bed.vmi("web")).to_owned();
        bed.world.run(s(30));
        assert_ne!(uid_of(bed.vmi("web")), first, "{setting}");
        assert_eq!(phase(bed.vmi("web")), "Running", "{setting}");
    }
}

#[test]
fn rerun_on_failure_starts_it_again_when_it_failed() {
    let mut bed = with_strategy("RerunOnFailure", &[("crashes-after", "20s")]);
    let first = uid_of(bed.vmi("web")).to_owned();
    bed.world.run(s(30));
    assert_ne!(uid_of(bed.vmi("web")), first);
    let mut bed = with_strategy("RerunOnFailure", &[("powers-off-after", "20s")]);
    assert_eq!(phase(bed.vmi("web")), "Running");
    bed.world.run(s(30));
    assert!(!bed.vmi_exists("web"));
    assert_eq!(printable(&bed), "Stopped");
    ask(&mut bed, &json!({"action": "Start"}));
    assert_eq!(phase(bed.vmi("web")), "Running");
}

#[test]
fn once_starts_it_once() {
    let mut bed = with_strategy("Once", &[("crashes-after", "20s")]);
    let first = uid_of(bed.vmi("web")).to_owned();
    bed.world.run(s(60));
    assert_eq!((uid_of(bed.vmi("web")), phase(bed.vmi("web"))), (first.as_str(), "Failed"));
    assert_eq!(printable(&bed), "Stopped");
}

#[test]
fn manual_waits_for_requests() {
    let mut bed = with_strategy("Manual", &[]);
    assert!(!bed.vmi_exists("web"));
    ask(&mut bed, &json!({"action": "Start"}));
    assert_eq!(phase(bed.vmi("web")), "Running");
    assert!(bed.vm("web")["status"]["stateChangeRequests"].is_null(), "what is done is no request any more");
    let uid = uid_of(bed.vmi("web")).to_owned();
    ask(&mut bed, &json!({"action": "Stop", "uid": uid}));
    assert!(!bed.vmi_exists("web"));
    bed.world.run(s(60));
    assert!(!bed.vmi_exists("web"));
}

#[test]
fn halted_stops_it() {
    let mut bed = with_strategy("Always", &[]);
    bed.world.patch(VIRTUAL_MACHINE, CASES, "web", &json!({"spec": {"runStrategy": "Halted"}}));
    bed.world.run(s(1));
    assert_eq!(printable(&bed), "Stopping");
    bed.world.run(s(10));
    assert!(!bed.vmi_exists("web"));
    assert_eq!(printable(&bed), "Stopped");
}

#[test]
fn the_older_field_means_always_or_halted() {
    let mut bed = bed();
    let mut made = vm("web", None, &[]);
    made["spec"]["runStrategy"].take();
    made["spec"]["running"] = true.into();
    bed.world.create(VIRTUAL_MACHINE, made);
    bed.world.run(s(5));
    assert_eq!(phase(bed.vmi("web")), "Running");
    bed.world.patch(VIRTUAL_MACHINE, CASES, "web", &json!({"spec": {"running": false}}));
    bed.world.run(s(10));
    assert!(!bed.vmi_exists("web"));
}

#[test]
fn a_vm_that_does_not_start_is_tried_again_after_longer_and_longer_waits() {
    let mut bed = with_strategy("Always", &[("guest-never-starts", "true")]);
    assert_eq!(printable(&bed), "CrashLoopBackOff");
    bed.world.run(s(600));
    let failure = &bed.vm("web")["status"]["startFailure"];
    let count = failure["consecutiveFailCount"].as_u64().unwrap();
    // 10, 40, 90, 160 and 250 s, and up to half as much again.
    assert!((4..=6).contains(&count), "{count}");
    let patch =
        json!({"spec": {"template": {"metadata": {"annotations": {"sim.careen.dev/guest-never-starts": null}}}}});
    bed.world.patch(VIRTUAL_MACHINE, CASES, "web", &patch);
    bed.world.run(s(600));
    assert_eq!(phase(bed.vmi("web")), "Running");
    assert!(bed.vm("web")["status"]["startFailure"].is_null());
}
