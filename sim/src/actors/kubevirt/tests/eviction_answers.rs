use serde_json::{Value, json};

use super::bed::{Bed, CASES, bed, review_of, vm};
use crate::actors::{
    kinds::POD,
    kubevirt::{
        definitions::EVICTION_WEBHOOK,
        names::{DOMAIN, INSTANCE, MIGRATION, VIRTUAL_MACHINE},
        object::{is_deleting, name_of, phase, text},
        virt_api::eviction::review_eviction,
    },
    world::s,
};

fn strategy(name: &str, settings: &[(&str, &str)]) -> (Bed, String) {
    let mut bed = bed();
    let vm = bed.runs(vm("web", Some(name), settings));
    (bed, vm)
}

const MARKS: &str = "Eviction triggered evacuation of VMI \"cases/web\"";
const IS_MARKED: &str = "Evacuation in progress: Eviction triggered evacuation of VMI \"cases/web\"";
const CANNOT: &str = "VMI web is configured with an eviction strategy but is not live-migratable";
const STUCK: (&str, &str) = ("not-migratable", "DisksNotLiveMigratable");

fn mark(bed: &Bed) -> String {
    text(bed.vmi("web"), "/status/evacuationNodeName").to_owned()
}

#[test]
fn the_first_eviction_marks_and_the_next_find_the_mark() {
    let (mut bed, web) = strategy("LiveMigrate", &[]);
    assert_eq!(bed.evict(&web).unwrap(), MARKS);
    assert_eq!(mark(&bed), bed.node_of(&web));
    assert_eq!(bed.evict(&web).unwrap(), IS_MARKED);
    bed.world.run(s(4));
    let target = name_of(bed.target(&web)).to_owned();
    assert_eq!(bed.evict_pod(&target, &json!({})).unwrap(), IS_MARKED, "of the target pod too");
}

#[test]
fn the_target_pod_of_a_users_migration_is_named_as_such() {
    let (mut bed, web) = strategy("LiveMigrate", &[("migration-stays-in", "Running")]);
    bed.world.create(MIGRATION, json!({"metadata": {"namespace": CASES, "name": "own"}, "spec": {"vmiName": web}}));
    bed.world.run(s(10));
    let target = name_of(bed.target(&web)).to_owned();
    assert_eq!(bed.evict_pod(&target, &json!({})).unwrap(), "Eviction request for target Pod");
    assert_eq!(bed.evict(&web).unwrap(), MARKS, "the source pod is marked");
    bed.world.run(s(10));
    assert_eq!(bed.world.names(MIGRATION), ["own"], "and no second migration is made");
}

#[test]
fn a_vm_that_cannot_migrate_is_refused_without_a_mark() {
    let (mut bed, web) = strategy("LiveMigrate", &[STUCK]);
    assert_eq!(bed.evict(&web).unwrap(), CANNOT);
    assert_eq!(mark(&bed), "");
}

#[test]
fn a_vm_that_still_starts_cannot_migrate_yet() {
    let mut bed = bed();
    bed.world.create(VIRTUAL_MACHINE, vm("web", Some("LiveMigrate"), &[("guest-starts-after", "20s")]));
    bed.world.run(s(10));
    assert_eq!(phase(bed.vmi("web")), "Scheduled");
    assert_eq!(bed.evict("web").unwrap(), CANNOT);
    bed.world.run(s(20));
    assert_eq!(bed.evict("web").unwrap(), MARKS);
}

#[test]
fn a_mark_stays_when_the_vm_cannot_migrate_any_more() {
    let (mut bed, web) = strategy("LiveMigrate", &[("migrates-for", "20s")]);
    let source = bed.node_of(&web);
    bed.evict(&web);
    bed.world.run(s(10));
    bed.annotate(&web, STUCK.0, Some(STUCK.1));
    assert_eq!(bed.evict(&web).unwrap(), CANNOT);
    assert_eq!(mark(&bed), source);
    bed.world.run(s(30));
    assert_ne!(bed.node_of(&web), source, "the migration goes on");
}

#[test]
fn if_possible_is_if_possible() {
    let (mut bed, web) = strategy("LiveMigrateIfPossible", &[]);
    assert_eq!(bed.evict(&web).unwrap(), MARKS);
    let (mut bed, web) = strategy("LiveMigrateIfPossible", &[STUCK]);
    assert_eq!(bed.evict(&web), None);
    assert_eq!(mark(&bed), "");
}

#[test]
fn if_possible_a_vm_is_shut_down_in_the_middle_of_its_migration() {
    let (mut bed, web) = strategy("LiveMigrateIfPossible", &[("migrates-for", "1h")]);
    bed.evict(&web);
    bed.world.run(s(10));
    let migration = name_of(bed.migration(&web)).to_owned();
    let first = bed.vmi(&web)["metadata"]["uid"].clone();
    bed.annotate(&web, STUCK.0, Some(STUCK.1));
    assert_eq!(bed.evict(&web), None);
    bed.world.run(s(20));
    let failed = "Warning FailedMigration: Migration failed vmi shutdown during migration.".to_owned();
    assert!(bed.events(&migration).contains(&failed));
    assert_eq!(bed.world.names(MIGRATION), Vec::<&str>::new());
    assert_eq!(phase(bed.vmi(&web)), "Running");
    assert_ne!(bed.vmi(&web)["metadata"]["uid"], first, "it is another VMI");
}

#[test]
fn without_a_strategy_an_eviction_is_let_through_and_the_vm_starts_elsewhere() {
    for evicted in [vm("web", Some("None"), &[]), vm("web", None, &[])] {
        let mut bed = bed();
        let web = bed.runs(evicted);
        assert_eq!(bed.vmi(&web)["spec"]["evictionStrategy"], "None", "it is written in");
        let first = bed.vmi(&web)["metadata"]["uid"].clone();
        assert_eq!(bed.evict(&web), None);
        assert!(is_deleting(bed.launcher(&web)));
        assert_eq!(bed.evict(&web), None, "again while it ends");
        bed.world.run(s(20));
        assert_eq!(phase(bed.vmi(&web)), "Running");
        assert_ne!(bed.vmi(&web)["metadata"]["uid"], first);
    }
}

#[test]
fn the_cluster_has_a_default_which_reaches_new_vms_only() {
    let mut bed = bed();
    let old = bed.runs(vm("old", None, &[]));
    bed.configure(&json!({"evictionStrategy": "LiveMigrate"}));
    let new = bed.runs(vm("new", None, &[]));
    assert_eq!(bed.evict(&old), None);
    assert_eq!(bed.evict(&new).unwrap(), MARKS.replace("web", "new"));
}

#[test]
fn an_external_vm_is_marked_whether_it_can_migrate_or_not() {
    for settings in [&[][..], &[STUCK]] {
        let (mut bed, web) = strategy("External", settings);
        assert_eq!(bed.evict(&web).unwrap(), MARKS);
        assert_eq!(mark(&bed), bed.node_of(&web));
    }
}

#[test]
fn a_dry_run_says_the_same_and_marks_nothing() {
    let options = json!({"object": {"deleteOptions": {"dryRun": ["All"]}}, "dryRun": true});
    for said in [json!({"dryRun": true}), options] {
        let (mut bed, web) = strategy("LiveMigrate", &[]);
        let pod = name_of(bed.launcher(&web)).to_owned();
        assert_eq!(bed.evict_pod(&pod, &said).unwrap(), MARKS);
        assert_eq!(mark(&bed), "");
        bed.world.run(s(10));
        assert_eq!(bed.world.names(MIGRATION), Vec::<&str>::new());
    }
}

#[test]
fn a_launcher_of_which_kubevirt_knows_nothing() {
    let mut bed = bed();
    let launcher = |name: &str, annotations: Value| {
        json!({
            "metadata": {
                "namespace": CASES, "name": name, "labels": {"kubevirt.io": "virt-launcher"}, "annotations": annotations,
            },
            "spec": {},
        })
    };
    bed.world.create(POD, launcher("virt-launcher-lost", json!({DOMAIN: "no-such-vmi"})));
    bed.world.create(POD, launcher("virt-launcher-plain", json!({})));
    let missing = "kubevirt failed getting the vmi: virtualmachineinstances.kubevirt.io \"no-such-vmi\" not found";
    assert_eq!(bed.evict_pod("virt-launcher-lost", &json!({})).unwrap(), missing);
    assert_eq!(bed.evict_pod("virt-launcher-plain", &json!({})), None);
    assert_eq!(
        review_eviction(&bed.world.view, &review_of("virt-launcher-gone", &json!({}))).response["allowed"],
        true
    );
}

#[test]
fn a_pod_with_hot_plugged_volumes_is_held_by_a_launcher_that_lives() {
    let (mut bed, web) = strategy("LiveMigrate", &[]);
    let owner = bed.launcher(&web).clone();
    let hotplug = json!({
        "metadata": {
            "namespace": CASES, "name": "hp-volume-abcde", "labels": {"kubevirt.io": "hotplug-disk"},
            "ownerReferences": [{"kind": "Pod", "name": name_of(&owner), "uid": owner["metadata"]["uid"], "controller": true}],
        },
        "spec": {},
    });
    bed.world.create(POD, hotplug);
    let held = "cannot evict hotplug pod: hp-volume-abcde associated with running vmi: web in namespace cases";
    assert_eq!(bed.evict_pod("hp-volume-abcde", &json!({})).unwrap(), held);
    bed.world.patch(POD, CASES, name_of(&owner), &json!({"status": {"phase": "Succeeded"}}));
    assert_eq!(bed.evict_pod("hp-volume-abcde", &json!({})), None);
}

#[test]
fn a_bare_vmi_that_is_evicted_ends_and_stays() {
    let mut bed = bed();
    bed.world.create(INSTANCE, json!({"metadata": {"namespace": CASES, "name": "bare"}, "spec": {"domain": {}}}));
    bed.world.run(s(5));
    assert_eq!(bed.evict("bare"), None);
    bed.world.run(s(60));
    assert_eq!(phase(bed.vmi("bare")), "Succeeded");
    assert_eq!(bed.world.names(POD), Vec::<&str>::new());
}

#[test]
fn the_webhook_has_the_name_that_the_answers_bear() {
    let webhooks = crate::actors::kubevirt::definitions::validating_webhooks(|path| json!({"url": path}));
    let eviction = &webhooks["webhooks"][0];
    assert_eq!(EVICTION_WEBHOOK, "virt-launcher-eviction-interceptor.kubevirt.io");
    assert_eq!((&eviction["name"], &eviction["failurePolicy"]), (&json!(EVICTION_WEBHOOK), &json!("Fail")));
    assert_eq!(eviction["matchConditions"][0]["expression"], "object.metadata.name.startsWith(\"virt-launcher\")");
}
