use serde_json::{Value, json};

use super::bed::{Bed, CASES, bed, vm};
use crate::actors::{
    kinds::{NODE, POD},
    kubevirt::{
        names::{INSTANCE, SCHEDULABLE, VIRTUAL_MACHINE},
        object::{is_deleting, list, name_of, phase, text},
    },
    world::s,
};

const LIVE: Option<&str> = Some("LiveMigrate");

fn lose(bed: &mut Bed, node: &str, is_lost: bool) {
    let wish: Value = if is_lost { "true".into() } else { Value::Null };
    let patch = json!({"metadata": {"annotations": {"sim.careen.dev/unreachable": wish}}});
    bed.world.patch(NODE, "", node, &patch);
}

#[test]
fn no_guest_leaves_a_node_of_which_nothing_is_heard() {
    let mut bed = bed();
    let name = bed.runs(vm("web", LIVE, &[]));
    let source = bed.node_of(&name);
    lose(&mut bed, &source, true);
    bed.evict(&name);
    bed.world.run(s(600));
    assert_eq!((phase(bed.vmi(&name)), bed.node_of(&name)), ("Running", source.clone()));
    assert_eq!(phase(bed.migration(&name)), "TargetReady");
    lose(&mut bed, &source, false);
    bed.world.run(s(30));
    assert_eq!(phase(bed.migration(&name)), "Succeeded");
    assert_ne!(bed.node_of(&name), source);
}

#[test]
fn a_transfer_stops_with_its_source() {
    let mut bed = bed();
    let name = bed.runs(vm("web", LIVE, &[("migrates-for", "5s")]));
    let source = bed.node_of(&name);
    bed.evict(&name);
    bed.world.run(s(4));
    assert_eq!(phase(bed.migration(&name)), "Running");
    lose(&mut bed, &source, true);
    bed.world.run(s(600));
    assert_eq!((phase(bed.migration(&name)), bed.node_of(&name)), ("Running", source));
    assert_eq!(phase(bed.vmi(&name)), "Running");
}

#[test]
fn a_target_of_which_nothing_is_heard_is_not_prepared() {
    let mut bed = bed();
    let name = bed.runs(vm("web", LIVE, &[("prepares-for", "20s")]));
    bed.evict(&name);
    bed.world.run(s(10));
    assert_eq!(phase(bed.migration(&name)), "PreparingTarget");
    let target = text(bed.target(&name), "/spec/nodeName").to_owned();
    lose(&mut bed, &target, true);
    bed.world.run(s(600));
    assert_eq!(phase(bed.migration(&name)), "PreparingTarget");
    assert!(bed.vmi(&name)["status"]["migrationState"]["targetNodeAddress"].is_null());
}

#[test]
fn neither_guest_nor_launcher_ends_on_a_node_of_which_nothing_is_heard() {
    let mut bed = bed();
    let name = bed.runs(vm("web", None, &[("crashes-after", "1m")]));
    let node = bed.node_of(&name);
    let pod = name_of(bed.launcher(&name)).to_owned();
    lose(&mut bed, &node, true);
    bed.world.delete(POD, CASES, &pod, None);
    bed.world.run(s(600));
    assert_eq!(phase(bed.vmi(&name)), "Running");
    let launcher = bed.world.get(POD, CASES, &pod);
    assert!(is_deleting(launcher) && phase(launcher) == "Running", "{launcher:#}");
}

#[test]
fn no_guest_starts_on_a_node_of_which_nothing_is_heard() {
    let mut bed = bed();
    bed.world.create(VIRTUAL_MACHINE, vm("web", None, &[("guest-starts-after", "20s")]));
    bed.world.run(s(10));
    assert_eq!(phase(bed.vmi("web")), "Scheduled");
    let node = bed.node_of("web");
    lose(&mut bed, &node, true);
    bed.world.run(s(600));
    assert_eq!(phase(bed.world.get(INSTANCE, CASES, "web")), "Scheduled");
}

#[test]
fn a_node_of_which_nothing_is_heard_does_not_report() {
    let mut bed = bed();
    let mut node = crate::actors::world::node("silent");
    node["metadata"]["annotations"]["sim.careen.dev/unreachable"] = "true".into();
    bed.world.create(NODE, node);
    bed.world.run(s(10));
    let node = bed.world.get(NODE, "", "silent");
    assert!(node["metadata"]["labels"][SCHEDULABLE].is_null() && list(node, "/spec/taints").is_empty(), "{node:#}");
}
