//! VMs that leave by KubeVirt's evacuation, and its mark.

use super::{
    vms::{DB, EVICT_DB, db, evacuation, live_migrate, marked, with_db},
    *,
};
use crate::model::{
    testing::{launcher, vmi},
    virtual_machine::{EvictionStrategy, MigrationPhase},
};

#[test]
fn all_vms_are_recorded_in_one_write_before_the_first_is_evicted() {
    let app = |name: &str| vmi(NAMESPACE, name).on(NODE).strategy(EvictionStrategy::LiveMigrate);
    let mut drill =
        Drill::new().with_all(["a", "b"].map(|name| launcher(NAMESPACE, name).on(NODE))).with_all([app("a"), app("b")]);
    assert_eq!(drill.does(0.0), ["record uid-shop-a uid-shop-b"]);
    assert!(drill.machine.is_waiting_for_answers());
    drill.rests(0.5);
    drill.handle(1.0, Outcome::Recorded(Err("conflict".into())));
    drill.rests(1.0);
    assert_eq!(drill.state("virt-launcher-a-abcde"), "Waits ApiServerUnavailable");
    assert!(drill.sentence("virt-launcher-a-abcde").contains("conflict"));
    assert_eq!(drill.wakes(), Some(3.0));
    assert_eq!(drill.does(3.0), ["record uid-shop-a uid-shop-b"]);
    drill.records(3.1, &["a", "b"]);
    assert_eq!(drill.does(3.1), ["evict virt-launcher-a-abcde at 1", "evict virt-launcher-b-abcde at 1"]);
}

#[test]
fn a_vm_that_is_on_its_way_is_shown_and_not_evicted_again() {
    let mut drill = marked();
    assert_eq!(drill.state(DB), "Waits MigrationQueued");
    drill.see(evacuation("m1", MigrationPhase::Pending));
    drill.rests(1.0);
    assert_eq!(drill.state(DB), "Waits MigrationQueued");
    assert!(drill.sentence(DB).contains("shop/m1"), "{}", drill.sentence(DB));
    for phase in [MigrationPhase::Scheduling, MigrationPhase::TargetReady, MigrationPhase::Running] {
        drill.see(evacuation("m1", phase));
        drill.rests(2.0);
        assert_eq!(drill.state(DB), "Migrating m1");
    }
    // Its end: the VM is elsewhere and unmarked; then the migration is over; then the pod has ended.
    drill.see(live_migrate().on("node03"));
    drill.rests(30.0);
    assert_eq!(drill.state(DB), "Migrating m1");
    drill.see(evacuation("m1", MigrationPhase::Succeeded));
    drill.rests(30.1);
    assert_eq!(drill.state(DB), "Migrating");
    drill.see(launcher(NAMESPACE, "db").on(NODE).finished());
    assert_eq!(drill.does(30.2), ["list"]);
    assert_eq!(drill.state(DB), "Skipped CompletedLauncher");
    drill.lists(30.3, vec![launcher(NAMESPACE, "db").on(NODE).finished()]);
    drill.rests(30.3);
    assert_eq!(drill.phase(), "Drained");
}

#[test]
fn a_launcher_that_does_not_end_after_its_vm_has_left_is_said_to_be_overdue() {
    let mut drill = marked();
    drill.see(evacuation("m1", MigrationPhase::Succeeded));
    drill.see(live_migrate().on("node03"));
    drill.rests(4.0);
    assert_eq!(drill.state(DB), "Migrating");
    assert!(drill.wakes().is_some_and(|at| at <= 34.0), "{:?}", drill.wakes());
    drill.rests(35.0);
    assert_eq!(drill.state(DB), "Waits TerminationOverdue");
}

#[test]
fn kubevirt_tries_a_failed_migration_again_and_the_vm_is_not_evicted_again() {
    let mut drill = marked();
    drill.see(evacuation("m1", MigrationPhase::Running));
    drill.rests(1.0);
    let mut failed = evacuation("m1", MigrationPhase::Failed);
    failed.failure_reason = Some("stuck for 150 seconds".into());
    drill.see(failed);
    drill.rests(2.0);
    assert_eq!(drill.state(DB), "Waits MigrationBackoff");
    drill.see(evacuation("m2", MigrationPhase::Pending).created_at(second(2.0)));
    drill.rests(2.1);
    assert_eq!(drill.state(DB), "Waits MigrationBackoff");
    let sentence = drill.sentence(DB);
    assert!(sentence.contains("failed once (stuck for 150 seconds)") && sentence.contains("shop/m2"), "{sentence}");
    drill.see(evacuation("m2", MigrationPhase::Running).created_at(second(2.0)));
    drill.rests(22.0);
    assert_eq!(drill.state(DB), "Migrating m2");
}

#[test]
fn a_mark_that_was_taken_back_is_not_asked_for_again_unless_the_options_change() {
    let mut drill = marked();
    drill.see(live_migrate());
    drill.rests(5.0);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
    assert!(drill.sentence(DB).contains("shop/db"), "{}", drill.sentence(DB));
    drill.rests(5000.0);
    drill.takes(5000.0, &spec());
    drill.rests(5000.0);
    let other = DrainSpec { delete_after: Some("100h".into()), ..spec() };
    drill.takes(5001.0, &other);
    assert_eq!(drill.does(5001.0), [EVICT_DB]);
}

#[test]
fn options_that_change_while_the_mark_is_on_do_not_ask_again_when_it_is_taken_back() {
    let mut drill = marked();
    let other = DrainSpec { delete_after: Some("100h".into()), ..spec() };
    drill.takes(1.0, &other);
    drill.rests(1.0);
    drill.see(live_migrate());
    drill.rests(2.0);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
}

#[test]
fn a_mark_that_was_taken_back_before_the_caches_showed_it_is_withdrawn_as_well() {
    let mut drill = with_db(live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    drill.answers(0.0, DB, Answer::EvacuationStarted);
    drill.rests(9.9);
    assert_eq!(drill.does(10.0), [format!("look at {DB}")]);
    drill.shows(10.1, DB, Seen::Unchanged);
    drill.rests(10.1);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
}

#[test]
fn a_lost_answer_that_marked_the_vm_is_not_repeated_when_the_mark_is_taken_back() {
    let mut drill = with_db(live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    drill.answers(0.0, DB, Answer::Lost("connection reset".into()));
    drill.see(live_migrate().marked(NODE));
    drill.rests(0.1);
    assert_eq!(drill.state(DB), "Waits MigrationQueued");
    drill.see(live_migrate());
    drill.rests(5.0);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
}

#[test]
fn live_migrate_if_possible_is_not_evicted_again_while_marked_whatever_its_condition_says() {
    let vmi = || db(EvictionStrategy::LiveMigrateIfPossible);
    let mut drill = with_db(vmi());
    assert_eq!(drill.does(0.0), ["record uid-shop-db"]);
    drill.records(0.1, &["db"]);
    assert_eq!(drill.does(0.1), [EVICT_DB]);
    drill.answers(0.2, DB, Answer::EvacuationStarted);
    drill.see(vmi().marked(NODE).not_migratable());
    drill.rests(0.3);
    assert_eq!(drill.state(DB), "Stuck NotLiveMigratable");
    drill.see(evacuation("m1", MigrationPhase::Running));
    drill.rests(1.0);
    assert_eq!(drill.state(DB), "Migrating m1");
    drill.see(evacuation("m1", MigrationPhase::Failed));
    drill.rests(2.0);
    assert_eq!(drill.state(DB), "Stuck NotLiveMigratable");
    drill.see(vmi().not_migratable());
    drill.rests(3.0);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
}

#[test]
fn a_mark_that_came_and_went_while_the_node_did_not_answer_was_taken_back() {
    let mut drill = with_db(live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    drill.see(node(NODE).not_ready());
    drill.answers(0.0, DB, Answer::Lost("connection reset".into()));
    drill.see(live_migrate().marked(NODE));
    drill.rests(1.0);
    drill.see(live_migrate());
    drill.rests(2.0);
    drill.see(node(NODE));
    drill.rests(3.0);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
}

#[test]
fn kubevirt_calling_a_vm_not_migratable_passes_or_is_stuck_after_a_while() {
    let mut drill = with_db(live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    let mut time = 0.0;
    for wait in [0.5, 1.0, 2.0, 4.0] {
        assert_eq!(drill.does(time), [EVICT_DB]);
        drill.answers(time, DB, Answer::NotLiveMigratable("is not live-migratable".into()));
        drill.rests(time);
        assert_eq!(drill.state(DB), "Waits VirtualMachineStarting");
        time += wait;
    }
    assert_eq!(drill.does(time), [EVICT_DB]);
    drill.answers(time, DB, Answer::NotLiveMigratable("is not live-migratable".into()));
    drill.rests(time);
    assert_eq!(drill.state(DB), "Stuck NotLiveMigratable");
}

#[test]
fn other_troubles_before_do_not_make_a_starting_vm_stuck() {
    let mut drill = with_db(live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    for i in 0..6_u32 {
        let time = f64::from(i) * 100.0;
        assert_eq!(drill.does(time), [EVICT_DB]);
        drill.answers(time, DB, Answer::Contended("the object was modified".into()));
    }
    assert_eq!(drill.does(600.0), [EVICT_DB]);
    drill.answers(600.0, DB, Answer::NotLiveMigratable("is not live-migratable".into()));
    drill.rests(600.0);
    assert_eq!(drill.state(DB), "Waits VirtualMachineStarting");
}

#[test]
fn a_mark_that_came_and_went_while_the_request_was_on_its_way_was_taken_back() {
    let mut drill = with_db(live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    drill.see(live_migrate().marked(NODE));
    drill.rests(1.0);
    drill.see(live_migrate());
    drill.answers(2.0, DB, Answer::Lost("connection reset".into()));
    drill.rests(2.0);
    assert_eq!(drill.does(2.5), [format!("look at {DB}")]);
    drill.shows(2.6, DB, Seen::Unchanged);
    drill.rests(2.6);
    assert_eq!(drill.state(DB), "Stuck EvacuationWithdrawn");
}
