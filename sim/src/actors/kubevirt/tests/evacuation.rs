use serde_json::json;

use super::bed::{CASES, bed, vm};
use crate::actors::{
    kinds::{NODE, POD},
    kubevirt::{
        names::{INSTANCE, MIGRATION, NODE_NAME, SCHEDULABLE, VIRTUAL_MACHINE},
        object::{annotation, label, name_of, phase, text, uid_of},
    },
    world::s,
};

const LIVE: Option<&str> = Some("LiveMigrate");

#[test]
fn an_evicted_vm_moves_in_the_order_that_was_observed() {
    let mut bed = bed();
    let name = bed.runs(vm("livemigrate", LIVE, &[("migrates-for", "3s")]));
    let (uid, source) = (uid_of(bed.vmi(&name)).to_owned(), bed.node_of(&name));
    bed.seen();
    bed.evict(&name);
    bed.world.run(s(10));
    let target = bed.node_of(&name);
    assert_ne!(target, source);
    assert_eq!(uid_of(bed.vmi(&name)), uid, "it is the same VMI");
    let seen = bed.seen();
    let of = |kind: &str| -> Vec<&str> { seen.iter().filter_map(|line| line.strip_prefix(kind)).collect() };
    let migration = [
        "(none) finalizer",
        "Pending finalizer",
        "Scheduling finalizer",
        "Scheduled finalizer",
        "PreparingTarget finalizer",
        "TargetReady finalizer",
        "Running finalizer",
        "Succeeded finalizer",
        "Succeeded",
    ];
    assert_eq!(of("VMIM "), migration);
    let on = |node: &str, rest: &str| format!("Running {node} {rest}");
    let vmi = [
        on(&source, "marked LiveMigratable Ready"),
        on(&source, "marked EvictionRequested LiveMigratable Ready"),
        on(&source, "marked target EvictionRequested LiveMigratable Ready"),
        on(&source, "marked target address EvictionRequested LiveMigratable Ready"),
        on(&source, "marked target address start EvictionRequested LiveMigratable Ready"),
        on(&source, "marked target address start domain EvictionRequested LiveMigratable Ready"),
        on(&target, "target address start domain end EvictionRequested LiveMigratable Ready"),
    ];
    assert_eq!(of("VMI ")[..vmi.len()], vmi);
    assert_eq!(
        of("VMI ").last().unwrap(),
        &on(&target, "target address start domain end completed LiveMigratable Ready")
    );
    assert!(of("VMI ").iter().any(|line| line.ends_with("completed LiveMigratable")), "Ready drops for a moment");
}

#[test]
fn the_vmi_changes_hands_before_its_migration_is_over() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[]));
    bed.evict(&name);
    bed.seen();
    bed.world.run(s(20));
    let seen = bed.seen();
    let at = |wanted: &str| {
        seen.iter().position(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted}: {seen:#?}"))
    };
    assert!(at("domain end EvictionRequested") < at("end completed"));
    assert!(at("end completed") < at("VMIM Succeeded"));
    assert!(at("end completed") < at("Pod source Succeeded"));
}

#[test]
fn the_finished_launcher_stays_until_somebody_deletes_it() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[]));
    let source = name_of(bed.launcher(&name)).to_owned();
    bed.evict(&name);
    bed.world.run(s(600));
    assert_eq!(phase(bed.world.get(POD, CASES, &source)), "Succeeded");
    assert_eq!(bed.launchers(&name).len(), 1);
    assert_eq!(bed.evict_pod(&source, &json!({})), None, "its eviction is let through");
    assert!(bed.world.view.get(POD, CASES, &source).is_none());
}

#[test]
fn what_is_made_bears_the_labels_and_annotations_of_the_real_ones() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[("migration-stays-in", "Running")]));
    let source = bed.node_of(&name);
    let pod = bed.launcher(&name).clone();
    assert!(name_of(&pod).starts_with("virt-launcher-vm-"));
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 60);
    assert_eq!(pod["spec"]["nodeSelector"], json!({SCHEDULABLE: "true"}));
    assert_eq!(pod["spec"]["readinessGates"], json!([{"conditionType": "kubevirt.io/virtual-machine-unpaused"}]));
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({}));
    bed.evict(&name);
    bed.world.run(s(10));
    let migration = bed.migration(&name);
    assert_eq!(migration["spec"], json!({"priority": "system-critical", "vmiName": "vm"}));
    assert_eq!(migration["metadata"]["generateName"], "kubevirt-evacuation-");
    assert_eq!(annotation(migration, "kubevirt.io/evacuationMigration"), Some(source.as_str()));
    assert_eq!(label(migration, "kubevirt.io/vmi-name"), Some("vm"));
    assert_eq!(
        migration["status"]["migrationState"],
        json!({"sourcePod": name_of(&pod)}),
        "until its end it says only this"
    );
    let target = bed.target(&name);
    assert_eq!(label(target, "kubevirt.io/migrationJobUID"), Some(uid_of(migration)));
    assert_eq!(annotation(target, "kubevirt.io/migrationJobName"), Some(name_of(migration)));
    assert_eq!(label(target, "kubevirt.io/created-by"), Some(uid_of(bed.vmi(&name))));
    assert_eq!(label(target, NODE_NAME), Some(source.as_str()), "as the VMI's");
    assert_eq!(target["spec"]["nodeSelector"]["cpu-vendor.node.kubevirt.io/Intel"], "true");
    assert_eq!(target["spec"]["nodeSelector"]["machine-type.node.kubevirt.io/pc-q35-rhel9.6.0"], "true");
    let state = &bed.vmi(&name)["status"]["migrationState"];
    assert_eq!(state["mode"], "PreCopy");
    assert_eq!(state["sourcePod"], name_of(&pod));
    assert_eq!(state["targetPod"], name_of(target));
    assert_eq!(state["migrationConfiguration"]["parallelOutboundMigrationsPerNode"], 2);
    let source_pod = bed.world.get(POD, CASES, name_of(&pod));
    assert_eq!(annotation(source_pod, "descheduler.alpha.kubernetes.io/eviction-in-progress"), Some("true"));
}

#[test]
fn events_tell_the_story() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[]));
    bed.evict(&name);
    bed.world.run(s(20));
    let migration = bed.migration(&name);
    let (migration_name, uid) = (name_of(migration), uid_of(migration));
    let target = bed.node_of(&name);
    let about_vmi = bed.events(&name);
    let expected = [
        format!("Normal SuccessfulCreate: Created Migration {migration_name}"),
        "on ports: 49152".to_owned(),
        format!("Normal Migrating: VirtualMachineInstance is migrating. migration uid {uid}"),
        format!("Normal Migrated: The VirtualMachineInstance migrated to node {target}."),
    ];
    let positions: Vec<_> =
        expected.iter().map(|wanted| about_vmi.iter().position(|line| line.ends_with(wanted.as_str()))).collect();
    assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{about_vmi:#?}");
    let about_migration = bed.events(migration_name);
    let reasons: Vec<_> = about_migration.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(reasons, ["Normal SuccessfulCreate", "Normal SuccessfulHandOver", "Normal SuccessfulMigration"]);
}

#[test]
fn an_external_vm_is_marked_and_left_alone_but_a_migration_of_ones_own_moves_it() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", Some("External"), &[("not-migratable", "DisksNotLiveMigratable")]));
    assert!(bed.evict(&name).unwrap().starts_with("Eviction triggered"));
    bed.world.run(s(600));
    assert_eq!(bed.world.names(MIGRATION), Vec::<&str>::new());
    bed.annotate(&name, "not-migratable", None);
    let before = bed.node_of(&name);
    bed.world.create(MIGRATION, json!({"metadata": {"namespace": CASES, "name": "own"}, "spec": {"vmiName": name}}));
    bed.world.run(s(30));
    assert_ne!(bed.node_of(&name), before);
    assert_eq!(text(bed.vmi(&name), "/status/evacuationNodeName"), "", "the mark goes with the migration");
    let own = bed.world.get(MIGRATION, CASES, "own");
    assert_eq!((phase(own), label(own, "kubevirt.io/vmi-name")), ("Succeeded", Some("vm")));
    assert_eq!(own["status"]["migrationState"]["completed"], true, "its end is kept with it");
}

#[test]
fn uncordoning_changes_nothing() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[("migrates-for", "1m")]));
    let source = bed.node_of(&name);
    bed.world.patch(NODE, "", &source, &json!({"spec": {"unschedulable": true}}));
    bed.evict(&name);
    bed.world.run(s(10));
    bed.world.patch(NODE, "", &source, &json!({"spec": {"unschedulable": null}}));
    bed.world.run(s(100));
    assert_ne!(bed.node_of(&name), source);
}

#[test]
fn the_deprecated_taint_evacuates_without_a_mark() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[]));
    let source = bed.node_of(&name);
    let taint = json!([{"key": "kubevirt.io/drain", "effect": "NoSchedule"}]);
    bed.world.patch(NODE, "", &source, &json!({"spec": {"taints": taint}}));
    bed.world.run(s(5));
    assert_eq!(text(bed.vmi(&name), "/status/evacuationNodeName"), "");
    bed.world.run(s(15));
    assert_ne!(bed.node_of(&name), source);
}

#[test]
fn a_vm_that_the_descheduler_evicts_is_of_low_priority() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[]));
    let pod = name_of(bed.launcher(&name)).to_owned();
    let said = json!({"object": {"metadata": {"annotations": {"requested-by": "sigs.k8s.io/descheduler"}}}});
    bed.evict_pod(&pod, &said);
    assert_eq!(annotation(bed.vmi(&name), "kubevirt.io/eviction-source"), Some("descheduler"));
    bed.world.run(s(1));
    assert_eq!(bed.migration(&name)["spec"]["priority"], "system-maintenance");
    bed.world.run(s(20));
    assert_eq!(annotation(bed.vmi(&name), "kubevirt.io/eviction-source"), None);
}

#[test]
fn a_deleted_vm_takes_its_migration_with_it() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[("migrates-for", "10m")]));
    bed.evict(&name);
    bed.world.run(s(10));
    assert_eq!(phase(bed.migration(&name)), "Running");
    let migration = name_of(bed.migration(&name)).to_owned();
    bed.world.delete(VIRTUAL_MACHINE, CASES, &name, None);
    bed.world.run(s(10));
    for kind in [VIRTUAL_MACHINE, INSTANCE, MIGRATION, POD] {
        assert_eq!(bed.world.names(kind), Vec::<&str>::new());
    }
    let failed = "Warning FailedMigration: Migration failed vmi shutdown during migration.".to_owned();
    assert!(bed.events(&migration).contains(&failed));
}

#[test]
fn a_vm_can_move_again_and_back() {
    let mut bed = super::bed::bed_of(&["node-0", "node-1"]);
    let name = bed.runs(vm("vm", LIVE, &[]));
    let (uid, first) = (uid_of(bed.vmi(&name)).to_owned(), bed.node_of(&name));
    for _ in 0..4 {
        let before = bed.node_of(&name);
        bed.evict(&name);
        bed.world.run(s(30));
        assert_ne!(bed.node_of(&name), before);
    }
    assert_eq!((bed.node_of(&name), uid_of(bed.vmi(&name))), (first, uid.as_str()));
    for _ in 0..4 {
        bed.evict(&name);
        bed.world.run(s(30));
    }
    assert_eq!(bed.world.names(MIGRATION).len(), 5, "the newest five are kept");
}
