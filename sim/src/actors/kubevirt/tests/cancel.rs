use serde_json::json;

use super::bed::{Bed, CASES, bed, vm};
use crate::actors::{
    kubevirt::{
        names::{INSTANCE, MIGRATION},
        object::{name_of, phase, text},
    },
    world::s,
};

/// A VM with a migration in that phase, and the mark taken back.
fn unmarked_in(held: &str, more: &[(&str, &str)]) -> (Bed, String) {
    let mut bed = bed();
    let mut settings = vec![("migration-stays-in", held)];
    settings.extend(more);
    let name = bed.runs(vm("vm", Some("LiveMigrate"), &settings));
    bed.evict(&name);
    bed.world.run(s(10));
    assert_eq!(phase(bed.migration(&name)), held);
    bed.world.patch(INSTANCE, CASES, &name, &json!({"status": {"evacuationNodeName": null}}));
    bed.seen();
    (bed, name)
}

fn cancel(bed: &mut Bed, name: &str) -> String {
    let migration = name_of(bed.migration(name)).to_owned();
    bed.world.delete(MIGRATION, CASES, &migration, None);
    migration
}

#[test]
fn before_it_is_handed_over_a_migration_is_cancelled_at_once() {
    for held in ["Pending", "Scheduling"] {
        let (mut bed, name) = unmarked_in(held, &[]);
        let source = bed.node_of(&name);
        let migration = cancel(&mut bed, &name);
        bed.world.run(s(0));
        assert!(bed.seen_of("VMIM").contains(&"Failed deleting finalizer abort".to_owned()), "{held}");
        assert_eq!(bed.world.names(MIGRATION), Vec::<&str>::new());
        let cancelled = "Warning FailedMigration: Migration failed due to being canceled".to_owned();
        let events = bed.events(&migration);
        assert!(events.contains(&cancelled));
        let deleted = events.iter().any(|event| event.contains("migration canceled and pod cases/virt-launcher-vm-"));
        assert_eq!(deleted, held == "Scheduling");
        bed.world.run(s(60));
        assert_eq!(bed.world.names(MIGRATION), Vec::<&str>::new());
        assert_eq!((bed.node_of(&name), bed.launchers(&name).len()), (source, 1));
    }
}

#[test]
fn while_the_target_is_prepared_a_cancelled_migration_waits_until_it_runs() {
    let (mut bed, name) = unmarked_in("PreparingTarget", &[("prepares-for", "20s")]);
    bed.annotate(&name, "migration-stays-in", None);
    bed.seen();
    cancel(&mut bed, &name);
    bed.world.run(s(5));
    assert_eq!(bed.seen_of("VMIM"), ["PreparingTarget deleting finalizer", "PreparingTarget deleting finalizer abort"]);
    bed.world.run(s(30));
    let rest = [
        "TargetReady deleting finalizer abort",
        "Running deleting finalizer abort",
        "Failed deleting finalizer abort",
        "gone",
    ];
    assert_eq!(bed.seen_of("VMIM"), rest);
}

#[test]
fn a_migration_that_runs_is_aborted_and_the_vmi_says_so() {
    let (mut bed, name) = unmarked_in("Running", &[]);
    let source = bed.node_of(&name);
    let migration = cancel(&mut bed, &name);
    bed.world.run(s(1));
    let expected =
        ["Running deleting finalizer", "Running deleting finalizer abort", "Failed deleting finalizer abort", "gone"];
    assert_eq!(bed.seen_of("VMIM"), expected);
    let state = &bed.vmi(&name)["status"]["migrationState"];
    assert_eq!((text(state, "/abortStatus"), &state["abortRequested"]), ("Succeeded", &json!(true)));
    assert_eq!(text(state, "/failureReason"), "Live migration has been aborted");
    let events = bed.events(&migration);
    let last = &events[events.len() - 2..];
    assert_eq!(last[0], "Normal SuccessfulAbortMigration: Migration is ready to be canceled by virt-handler.");
    assert_eq!(last[1], "Warning FailedMigration: source node reported migration failed");
    assert_eq!((bed.node_of(&name), bed.launchers(&name).len()), (source, 1));
    assert!(bed.evict(&name).unwrap().starts_with("Eviction triggered"), "it can be evicted again");
}

#[test]
fn without_taking_the_mark_back_another_migration_starts_at_once_and_without_back_off() {
    let mut bed = bed();
    let name = bed.runs(vm("vm", Some("LiveMigrate"), &[("migrates-for", "1m")]));
    bed.evict(&name);
    bed.world.run(s(10));
    let first = cancel(&mut bed, &name);
    bed.world.run(s(2));
    assert_ne!(name_of(bed.migration(&name)), first, "another name, as if it were made up");
    assert!(!matches!(phase(bed.migration(&name)), "" | "Pending"));
}

#[test]
fn taking_back_the_mark_alone_does_not_stop_the_migration() {
    let (mut bed, name) = unmarked_in("Running", &[]);
    let source = bed.node_of(&name);
    bed.annotate(&name, "migration-stays-in", None);
    bed.world.run(s(30));
    assert_ne!(bed.node_of(&name), source);
}
