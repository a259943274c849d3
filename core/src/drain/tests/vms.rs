//! VMs that are shut down, or that nobody moves; and what all tests of VMs share.

use super::*;
use crate::{
    drain::ShutDownOrBlock,
    model::{
        testing::{budget, hotplug_pod, launcher, migration, vm, vmi},
        virtual_machine::{EvictionStrategy, Migration, MigrationPhase, RunStrategy, VirtualMachineInstance, VmiPhase},
    },
};

/// The launcher pod of the VM `db`.
pub(super) const DB: &str = "virt-launcher-db-abcde";
pub(super) const EVICT_DB: &str = "evict virt-launcher-db-abcde at 1";

/// The VM `db` with that strategy, running here.
pub(super) fn db(strategy: EvictionStrategy) -> VirtualMachineInstance {
    vmi(NAMESPACE, "db").on(NODE).strategy(strategy)
}

pub(super) fn with_db_of(spec: &DrainSpec, vmi: VirtualMachineInstance) -> Drill {
    Drill::of(spec).with(launcher(NAMESPACE, "db").on(NODE)).with(vm(NAMESPACE, "db")).with(vmi)
}

pub(super) fn with_db(vmi: VirtualMachineInstance) -> Drill {
    with_db_of(&spec(), vmi)
}

pub(super) fn live_migrate() -> VirtualMachineInstance {
    db(EvictionStrategy::LiveMigrate)
}

pub(super) fn evacuation(name: &str, phase: MigrationPhase) -> Migration {
    migration(NAMESPACE, name, "db").evacuating(NODE).in_phase(phase)
}

/// A LiveMigrate VM whose evacuation KubeVirt has just begun, and the caches show it.
pub(super) fn marked() -> Drill {
    let mut drill = with_db(live_migrate());
    assert_eq!(drill.does(0.0), ["record uid-shop-db"]);
    drill.records(0.1, &["db"]);
    assert_eq!(drill.does(0.1), [EVICT_DB]);
    drill.answers(0.2, DB, Answer::EvacuationStarted);
    drill.rests(0.2);
    assert_eq!(drill.state(DB), "Asked");
    drill.see(live_migrate().marked(NODE));
    drill.rests(0.3);
    drill
}

#[test]
fn live_migrate_if_possible_that_cannot_is_shut_down_and_recorded_all_the_same() {
    // KubeVirt may find it migratable at the last moment, and mark it.
    let mut drill = with_db(db(EvictionStrategy::LiveMigrateIfPossible).not_migratable());
    assert_eq!(drill.does(0.0), ["record uid-shop-db"]);
    drill.records(0.1, &["db"]);
    assert_eq!(drill.does(0.1), [EVICT_DB]);
}

#[test]
fn a_vm_that_is_starting_is_waited_for() {
    for strategy in [EvictionStrategy::LiveMigrate, EvictionStrategy::LiveMigrateIfPossible] {
        let mut drill = with_db(db(strategy.clone()).starting());
        drill.rests(0.0);
        assert_eq!(drill.state(DB), "Waits VirtualMachineStarting");
        drill.see(db(strategy));
        assert_eq!(drill.does(5.0), ["record uid-shop-db"]);
    }
}

#[test]
fn a_vm_without_a_strategy_is_evicted_and_asks_its_budget() {
    let mut drill = with_db(db(EvictionStrategy::None));
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    drill.answers(0.1, DB, Answer::Accepted);
    drill.see(launcher(NAMESPACE, "db").on(NODE).terminating(second(30.0)));
    drill.rests(0.2);
    assert_eq!(drill.state(DB), "Terminating");
    drill.see_gone(DB);
    assert_eq!(drill.does(20.0), ["list"]);

    let all = budget(NAMESPACE, "all").selecting_all().needing(2, 2, 3);
    let mut drill = with_db(db(EvictionStrategy::None)).with(all.clone());
    drill.rests(0.0);
    assert_eq!(drill.state(DB), "Waits BudgetExhausted");
    let mut drill = with_db(live_migrate()).with(all);
    assert_eq!(drill.does(0.0), ["record uid-shop-db"], "KubeVirt answers before any budget is looked at");
}

#[test]
fn a_vm_that_would_stay_down_blocks_until_that_is_allowed() {
    let mut drill = with_db(db(EvictionStrategy::None)).with(vm(NAMESPACE, "db").run(RunStrategy::Manual));
    drill.rests(0.0);
    assert_eq!(drill.state(DB), "Stuck WillNotRestart");
    let allowed = DrainSpec { vm_that_will_not_restart: Some(ShutDownOrBlock::ShutDown), ..spec() };
    drill.takes(1.0, &allowed);
    assert_eq!(drill.does(1.0), [EVICT_DB]);
}

#[test]
fn an_external_vm_is_asked_for_once_and_then_stuck() {
    let vmi = || db(EvictionStrategy::External);
    let mut drill = with_db(vmi());
    assert_eq!(drill.does(0.0), ["record uid-shop-db"]);
    drill.records(0.1, &["db"]);
    assert_eq!(drill.does(0.1), [EVICT_DB]);
    drill.answers(0.2, DB, Answer::EvacuationStarted);
    drill.rests(0.2);
    assert_eq!(drill.state(DB), "Stuck ExternalStrategy");
    drill.see(vmi().marked(NODE));
    drill.rests(0.3);
    assert_eq!(drill.state(DB), "Stuck ExternalStrategy");
    drill.rests(5000.0);
    drill.see(vmi());
    drill.rests(5001.0);
    assert_eq!(drill.state(DB), "Stuck ExternalStrategy");
    let other = DrainSpec { delete_after: Some("100h".into()), ..spec() };
    drill.takes(5002.0, &other);
    assert_eq!(drill.does(5002.0), [EVICT_DB]);
    // Its owner moves it.
    drill.see(vmi().marked(NODE));
    drill.see(migration(NAMESPACE, "m1", "db").in_phase(MigrationPhase::Running));
    drill.rests(5003.0);
    assert_eq!(drill.state(DB), "Migrating m1");
}

#[test]
fn an_external_vm_whose_eviction_came_to_nothing_is_asked_for_again() {
    for (answer, second) in [
        (Answer::Overloaded(Duration::from_secs(1)), 1.0),
        (Answer::Contended("the object was modified".into()), 0.5),
        (Answer::WebhookRefused("not on Fridays".into()), 5.0),
    ] {
        let mut drill = with_db(db(EvictionStrategy::External));
        drill.does(0.0);
        drill.records(0.0, &["db"]);
        assert_eq!(drill.does(0.0), [EVICT_DB]);
        drill.answers(0.0, DB, answer.clone());
        drill.rests(0.0);
        assert_eq!(drill.does(second), [EVICT_DB], "{answer:?}");
    }
}

#[test]
fn a_vm_that_cannot_migrate_is_stuck_or_its_vmi_is_deleted_once() {
    let mut drill = with_db(live_migrate().not_migratable());
    drill.rests(0.0);
    assert_eq!(drill.state(DB), "Stuck NotLiveMigratable");
    let shut_down = DrainSpec { vm_that_cannot_migrate: Some(ShutDownOrBlock::ShutDown), ..spec() };
    drill.takes(1.0, &shut_down);
    assert_eq!(drill.does(1.0), ["delete VMI db"]);
    drill.rests(1.1);
    drill.answers(1.2, DB, Answer::Accepted);
    drill.rests(1.2);
    let mut deleting = live_migrate().not_migratable();
    deleting.deleting = true;
    drill.see(deleting);
    drill.rests(1.3);
    assert_eq!(drill.state(DB), "Asked");
    drill.see(launcher(NAMESPACE, "db").on(NODE).terminating(second(31.3)));
    drill.rests(1.4);
    assert_eq!(drill.state(DB), "Terminating");
}

#[test]
fn a_marked_vm_that_turns_out_not_to_migrate_is_shut_down_where_that_is_allowed() {
    let mut drill = marked();
    let shut_down = DrainSpec { vm_that_cannot_migrate: Some(ShutDownOrBlock::ShutDown), ..spec() };
    drill.takes(1.0, &shut_down);
    drill.rests(1.0);
    drill.see(live_migrate().marked(NODE).not_migratable());
    assert_eq!(drill.does(2.0), ["delete VMI db"]);
}

#[test]
fn a_vm_that_turns_out_not_to_migrate_before_its_mark_shows_is_shut_down_where_that_is_allowed() {
    let shut_down = DrainSpec { vm_that_cannot_migrate: Some(ShutDownOrBlock::ShutDown), ..spec() };
    let mut drill = with_db_of(&shut_down, live_migrate());
    drill.does(0.0);
    drill.records(0.0, &["db"]);
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    drill.answers(0.1, DB, Answer::EvacuationStarted);
    drill.see(live_migrate().marked(NODE).not_migratable());
    assert_eq!(drill.does(0.2), ["delete VMI db"]);
    drill.answers(0.3, DB, Answer::Accepted);
    drill.rests(0.4);
}

#[test]
fn a_lost_deletion_of_a_vmi_is_repeated_although_the_vm_is_marked() {
    let mut drill = marked();
    let shut_down = DrainSpec { vm_that_cannot_migrate: Some(ShutDownOrBlock::ShutDown), ..spec() };
    drill.takes(2.0, &shut_down);
    drill.see(live_migrate().marked(NODE).not_migratable());
    assert_eq!(drill.does(2.0), ["delete VMI db"]);
    drill.answers(2.0, DB, Answer::Lost("connection reset".into()));
    assert_eq!(drill.does(2.5), [format!("look at {DB}")]);
    drill.shows(2.6, DB, Seen::Marked);
    assert_eq!(drill.does(2.6), ["delete VMI db"], "the mark is of the eviction before");
}

#[test]
fn a_vmi_whose_deletion_leads_to_nothing_says_so() {
    let mut deleting = db(EvictionStrategy::None);
    deleting.deleting = true;
    let mut drill = with_db(deleting);
    drill.rests(0.0);
    assert_eq!(drill.state(DB), "Asked");
    assert_eq!(drill.wakes(), Some(30.0));
    drill.rests(30.0);
    assert_eq!(drill.state(DB), "Waits TerminationOverdue");
    assert!(drill.sentence(DB).contains("VirtualMachineInstance shop/db"), "{}", drill.sentence(DB));
}

#[test]
fn a_hotplugged_disk_waits_for_its_vm() {
    let disk = hotplug_pod(&launcher(NAMESPACE, "db").on(NODE), "hp-volume-1");
    let mut drill = with_db(live_migrate()).with(disk);
    assert_eq!(drill.does(0.0), ["record uid-shop-db"]);
    assert_eq!(drill.state("hp-volume-1"), "Waits HotplugFollowsVirtualMachine");
    drill.see(live_migrate().on("node03"));
    drill.see(launcher(NAMESPACE, "db").on(NODE).finished());
    assert_eq!(drill.does(10.0), ["evict hp-volume-1"]);
}

#[test]
fn a_vm_that_ends_and_an_orphaned_launcher_are_told_apart() {
    let mut drill = with_db(live_migrate().in_phase(VmiPhase::Ended));
    assert_eq!(drill.does(0.0), [EVICT_DB]);
    let mut drill = Drill::new().with(launcher(NAMESPACE, "db").on(NODE));
    drill.rests(0.0);
    assert_eq!(drill.state(DB), "Stuck OrphanedLauncher");
}
