//! Migrations that Careen makes itself, and those that bring a VM to the node.

use super::*;
use crate::{
    drain::ShutDownOrMigrate,
    model::{
        testing::{launcher, migration, vm, vmi},
        virtual_machine::{EvictionStrategy, Migration, MigrationPhase, MigrationState, VirtualMachineInstance},
    },
};

const DB: &str = "virt-launcher-db-abcde";

fn db() -> VirtualMachineInstance {
    vmi(NAMESPACE, "db").on(NODE).strategy(EvictionStrategy::None)
}

fn ours(attempt: u32, phase: MigrationPhase) -> Migration {
    let name = format!("careen-{attempt}");
    migration(NAMESPACE, &name, "db").made_by("m").in_phase(phase).created_at(second(f64::from(attempt)))
}

/// The VM `db` without a strategy, which is to be migrated all the same.
fn with_db() -> Drill {
    let spec = DrainSpec { vm_without_strategy: Some(ShutDownOrMigrate::Migrate), ..spec() };
    Drill::of(&spec).with(launcher(NAMESPACE, "db").on(NODE)).with(vm(NAMESPACE, "db")).with(db())
}

fn created(drill: &mut Drill, time: f64) {
    drill.handle(time, Outcome::MigrationCreated(uid(NAMESPACE, DB), Ok(())));
}

#[test]
fn a_migration_of_our_own_is_made_once_and_followed() {
    let mut drill = with_db();
    assert_eq!(drill.does(0.0), ["migrate db #0"]);
    assert!(drill.machine.is_waiting_for_answers());
    drill.rests(0.1);
    created(&mut drill, 0.2);
    drill.rests(0.2);
    assert_eq!(drill.state(DB), "Asked");
    drill.see(ours(0, MigrationPhase::Pending));
    drill.rests(0.3);
    assert_eq!(drill.state(DB), "Waits MigrationQueued");
    drill.see(ours(0, MigrationPhase::Running));
    drill.rests(0.4);
    assert_eq!(drill.state(DB), "Migrating careen-0");
    // The caches of migrations are ahead of those of VMIs.
    drill.see(ours(0, MigrationPhase::Succeeded));
    drill.rests(60.0);
    assert_eq!(drill.state(DB), "Asked");
    drill.see(db().on("node03"));
    drill.rests(60.5);
    assert_eq!(drill.state(DB), "Migrating");
    drill.see(launcher(NAMESPACE, "db").on(NODE).finished());
    assert_eq!(drill.does(61.0), ["list"]);
}

#[test]
fn after_a_restart_no_name_of_a_migration_is_taken_that_is_in_use() {
    // KubeVirt keeps the last five that have failed.
    let mut drill = with_db().with_all((4..=8).map(|attempt| ours(attempt, MigrationPhase::Failed)));
    assert_eq!(drill.does(100.0), ["migrate db #9"]);
}

#[test]
fn after_a_failure_the_next_attempt_waits_20_seconds_then_40() {
    let mut drill = with_db();
    let mut time = 0.0;
    for (attempt, wait) in [(0, 20.0), (1, 40.0), (2, 80.0), (3, 160.0), (4, 320.0), (5, 320.0)] {
        assert_eq!(drill.does(time), [format!("migrate db #{attempt}")]);
        created(&mut drill, time);
        // What failed before says nothing about this one.
        drill.rests(time + 0.1);
        assert_eq!(drill.state(DB), "Asked", "attempt {attempt}");
        drill.see(ours(attempt, MigrationPhase::Running));
        drill.rests(time + 1.0);
        drill.see(ours(attempt, MigrationPhase::Failed));
        drill.rests(time + 2.0);
        assert_eq!(drill.state(DB), "Waits MigrationBackoff");
        assert!(drill.sentence(DB).contains(&format!("careen-{attempt}")), "{}", drill.sentence(DB));
        assert_eq!(drill.wakes(), Some(time + 2.0 + wait));
        drill.rests(time + 1.9 + wait);
        time += 2.0 + wait;
    }
}

#[test]
fn migrations_that_succeeded_before_are_no_failures() {
    let mut drill = with_db().with(ours(0, MigrationPhase::Succeeded));
    assert_eq!(drill.does(0.0).len(), 1);
    created(&mut drill, 0.1);
    drill.rests(0.1);
    assert_eq!(drill.state(DB), "Asked");
}

#[test]
fn attempts_are_not_counted_down_when_kubevirt_forgets_old_migrations() {
    let mut drill = with_db();
    assert_eq!(drill.does(0.0), ["migrate db #0"]);
    created(&mut drill, 0.0);
    drill.see(ours(0, MigrationPhase::Running));
    drill.rests(1.0);
    drill.see(ours(0, MigrationPhase::Failed));
    drill.rests(2.0);
    drill.snapshot.take::<Migration>(&ours(0, MigrationPhase::Failed).key);
    assert_eq!(drill.does(22.0), ["migrate db #1"]);
}

#[test]
fn a_migration_that_was_deleted_is_made_again_after_a_while() {
    let mut drill = with_db();
    assert_eq!(drill.does(0.0), ["migrate db #0"]);
    created(&mut drill, 0.0);
    drill.see(ours(0, MigrationPhase::Running));
    drill.rests(1.0);
    drill.snapshot.take::<Migration>(&ours(0, MigrationPhase::Running).key);
    drill.rests(60.0);
    assert_eq!(drill.wakes(), Some(70.0), "first the caches of VMIs have time to show that it moved");
    drill.rests(65.0);
    drill.rests(70.0);
    assert_eq!(drill.state(DB), "Waits MigrationBackoff");
    assert_eq!(drill.wakes(), Some(90.0));
    assert_eq!(drill.does(90.0), ["migrate db #1"]);
}

#[test]
fn a_migration_that_cannot_be_made_is_tried_again_under_the_same_name() {
    let mut drill = with_db();
    let mut time = 0.0;
    for wait in [5.0, 10.0, 20.0] {
        assert_eq!(drill.does(time), ["migrate db #0"]);
        let refused = Err("in-flight migration detected".to_owned());
        drill.handle(time, Outcome::MigrationCreated(uid(NAMESPACE, DB), refused));
        drill.rests(time);
        assert_eq!(drill.state(DB), "Waits MigrationBackoff");
        assert_eq!(drill.sentence(DB), "in-flight migration detected");
        assert_eq!(drill.wakes(), Some(time + wait));
        time += wait;
    }
}

#[test]
fn a_migration_that_somebody_else_began_is_followed_too() {
    let live_migrate = vmi(NAMESPACE, "db").on(NODE).strategy(EvictionStrategy::LiveMigrate);
    let mut drill = Drill::new().with(launcher(NAMESPACE, "db").on(NODE)).with(live_migrate);
    drill.see(migration(NAMESPACE, "by-hand", "db").in_phase(MigrationPhase::Running));
    drill.rests(0.0);
    assert_eq!(drill.state(DB), "Migrating by-hand");
    drill.see(migration(NAMESPACE, "by-hand", "db").in_phase(MigrationPhase::Failed));
    assert_eq!(drill.does(5.0), ["record uid-shop-db"]);
}

#[test]
fn a_vm_on_its_way_to_the_node_keeps_it_from_drained() {
    let coming = |phase| migration(NAMESPACE, "m1", "guest").in_phase(phase);
    let state = MigrationState {
        migration_uid: Some(uid(NAMESPACE, "m1").0),
        target_node: Some(NODE.into()),
        ..MigrationState::default()
    };
    let guest = vmi(NAMESPACE, "guest").on("node03").with_migration_state(state);
    let mut drill = Drill::new();
    assert_eq!(drill.does(0.0), ["list"]);
    drill.see(coming(MigrationPhase::Running));
    drill.see(guest.clone());
    drill.lists(0.1, vec![]);
    drill.rests(0.1);
    assert_eq!(drill.phase(), "Waiting MigrationIncoming");

    // Its pod here, seen at last, is waited for; then the VM is here, and leaves as others do.
    drill.see(launcher(NAMESPACE, "guest").on(NODE).target_of("m1"));
    drill.rests(0.2);
    assert_eq!(drill.state("virt-launcher-guest-abcde"), "Waits MigrationIncoming");
    drill.see(coming(MigrationPhase::Succeeded));
    drill.see(VirtualMachineInstance { eviction_strategy: Some(EvictionStrategy::LiveMigrate), ..guest.on(NODE) });
    assert_eq!(drill.does(9.0), ["record uid-shop-guest"]);
}
