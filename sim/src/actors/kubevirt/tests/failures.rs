use serde_json::json;

use super::bed::{CASES, bed, bed_of, vm};
use crate::actors::{
    kinds::{NODE, POD},
    kubevirt::{
        names::MIGRATION,
        object::{annotation, is_final, name_of, phase, since_phase, text, uid_of},
    },
    world::{node, s},
};

const LIVE: Option<&str> = Some("LiveMigrate");

#[test]
fn a_migration_that_fails_is_followed_by_another_which_waits_longer_each_time() {
    let mut bed = bed();
    let name = bed.runs(vm("failures", LIVE, &[("migration-fails", "2"), ("migrates-for", "1s")]));
    let source = bed.node_of(&name);
    bed.seen();
    bed.evict(&name);
    bed.world.run(s(15));
    assert_eq!(phase(bed.migration(&name)), "Pending");
    assert_eq!(bed.world.names(MIGRATION).len(), 2, "the next one is made at once");
    let backing_off = "Warning MigrationBackoff: backoff migrating vmi cases/failures".to_owned();
    assert!(bed.events(&name).contains(&backing_off));
    let stuck = "failed. reason:Live migration stuck for 150 seconds and has been aborted";
    assert!(bed.events(&name).iter().any(|event| event.ends_with(stuck)));
    let again = bed.evict(&name).unwrap();
    assert!(again.starts_with("Evacuation in progress"), "{again}");
    bed.world.run(s(100));
    assert_ne!(bed.node_of(&name), source);
    assert_eq!(annotation(bed.vmi(&name), "sim.careen.dev/migration-fails"), Some("0"));
    let mut migrations: Vec<_> = bed.world.view.all(MIGRATION).collect();
    migrations.sort_by_key(|migration| text(migration, "/metadata/creationTimestamp"));
    assert_eq!(migrations.iter().map(|found| phase(found)).collect::<Vec<_>>(), ["Failed", "Failed", "Succeeded"]);
    let waited: Vec<i64> = migrations
        .windows(2)
        .map(|pair| {
            (since_phase(pair[1], "Scheduling").unwrap() - since_phase(pair[0], "Failed").unwrap()).get_seconds()
        })
        .collect();
    assert_eq!(waited, [20, 40]);
}

#[test]
fn a_migration_without_a_node_gives_up_after_five_minutes_or_when_its_annotation_says() {
    for (seconds, limit) in [(None, 300), (Some("4"), 4)] {
        let mut bed = bed_of(&["node-0"]);
        let name = bed.runs(vm("unschedulable", LIVE, &[]));
        bed.evict(&name);
        bed.world.run(s(1));
        let first = name_of(bed.migration(&name)).to_owned();
        if let Some(seconds) = seconds {
            let key = "kubevirt.io/migrationUnschedulablePodTimeoutSeconds";
            bed.world.patch(MIGRATION, CASES, &first, &json!({"metadata": {"annotations": {key: seconds}}}));
        }
        bed.world.run(s(limit - 2));
        assert_eq!(phase(bed.world.get(MIGRATION, CASES, &first)), "Scheduling");
        bed.world.run(s(2));
        assert_eq!(phase(bed.world.get(MIGRATION, CASES, &first)), "Failed");
        let events = bed.events(&first);
        let target = &events[0]["Normal SuccessfulCreate: Created migration target pod ".len()..];
        assert_eq!(
            events[1..],
            [
                "Warning migrationTargetPodUnschedulable: Migration target pod for VMI [cases/unschedulable] is currently \
                 unschedulable."
                    .to_owned(),
                format!("Normal SuccessfulDelete: unschedulable pod cases/{target} timeout period exceeded"),
                "Warning FailedMigration: Migration target pod was removed during active migration.".to_owned(),
            ]
        );
        bed.world.create(NODE, node("node-9"));
        bed.world.run(s(15));
        assert_eq!(phase(bed.migration(&name)), "Pending", "also with a free node the next one waits first");
        bed.world.run(s(30));
        assert_eq!(bed.node_of(&name), "node-9");
    }
}

#[test]
fn a_migration_fails_with_its_target_pod() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", LIVE, &[("migrates-for", "1h")]));
    let source = bed.node_of(&name);
    bed.evict(&name);
    bed.world.run(s(10));
    let (first, target) = (uid_of(bed.migration(&name)).to_owned(), name_of(bed.target(&name)).to_owned());
    bed.world.delete(POD, CASES, &target, None);
    bed.world.run(s(1));
    let failed = bed.world.view.all(MIGRATION).find(|migration| uid_of(migration) == first).unwrap();
    assert_eq!(phase(failed), "Failed");
    let state = &bed.vmi(&name)["status"]["migrationState"];
    assert_eq!((&state["failed"], &state["failureReason"]), (&json!(true), &json!("Target pod is down")));
    assert_eq!((phase(bed.vmi(&name)), bed.node_of(&name)), ("Running", source), "the guest stays where it is");
}

#[test]
fn a_migration_can_be_kept_in_each_phase_and_let_go() {
    for held in ["Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running"] {
        let mut bed = bed();
        let name = bed.runs(vm("vm", LIVE, &[("migration-stays-in", held)]));
        let source = bed.node_of(&name);
        bed.evict(&name);
        bed.world.run(s(120));
        assert_eq!(phase(bed.migration(&name)), held);
        assert_eq!(bed.node_of(&name), source);
        bed.annotate(&name, "migration-stays-in", None);
        bed.world.run(s(30));
        assert!(is_final(bed.migration(&name)), "{held}");
        assert_ne!(bed.node_of(&name), source);
    }
}
