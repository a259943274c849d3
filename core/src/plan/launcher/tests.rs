use super::*;
use crate::{
    model::{
        DrainSpec,
        testing::{at, launcher, migration, vm, vmi},
        virtual_machine::{KubeVirtConfiguration, MigrationPhase, MigrationState},
    },
    plan::{Restarts, classify},
};

const EVACUATION: Verdict = Verdict::Migrate(MigrateBy::Evacuation);
const OWN: Verdict = Verdict::Migrate(MigrateBy::OwnMigration);
const SHUT_DOWN: Verdict = Verdict::ShutDown { restarts: Restarts::Yes, by: ShutDownBy::Eviction };

fn db() -> VirtualMachineInstance {
    vmi("shop", "db").on("node02")
}

fn pod() -> Pod {
    launcher("shop", "db").on("node02")
}

/// What becomes of the launcher pod `pod()` when its VM `shop/db` always runs and its VMI is that one.
fn verdict_of(vmi: VirtualMachineInstance) -> Verdict {
    decide(&pod(), cluster(vmi), &DrainSpec::default())
}

fn cluster(vmi: VirtualMachineInstance) -> Snapshot {
    Snapshot::default().with(vm("shop", "db")).with(vmi)
}

#[expect(clippy::needless_pass_by_value, reason = "a test hands its cluster over")]
fn decide(pod: &Pod, snapshot: Snapshot, spec: &DrainSpec) -> Verdict {
    classify(pod, &snapshot, &spec.for_maintenance().unwrap()).verdict
}

fn blocked(verdict: &Verdict) -> BlockReason {
    match verdict {
        Verdict::Blocked(block) => block.reason,
        other => panic!("{other:?} is not blocked"),
    }
}

fn migrate_without_strategy() -> DrainSpec {
    DrainSpec { vm_without_strategy: Some(ShutDownOrMigrate::Migrate), ..DrainSpec::default() }
}

#[test]
fn each_strategy_goes_its_own_way() {
    use EvictionStrategy::{External, LiveMigrate, LiveMigrateIfPossible, None, Unknown};
    assert_eq!(verdict_of(db()), SHUT_DOWN);
    assert_eq!(verdict_of(db().strategy(None)), SHUT_DOWN);
    assert_eq!(verdict_of(db().strategy(None).starting()), SHUT_DOWN);
    assert_eq!(verdict_of(db().strategy(LiveMigrate)), EVACUATION);
    assert_eq!(verdict_of(db().strategy(LiveMigrateIfPossible)), EVACUATION);
    assert_eq!(verdict_of(db().strategy(LiveMigrateIfPossible).not_migratable()), SHUT_DOWN);
    for (vmi, expected) in [
        (db().strategy(LiveMigrate).not_migratable(), BlockReason::NotLiveMigratable),
        (db().strategy(LiveMigrate).starting(), BlockReason::VirtualMachineStarting),
        (db().strategy(LiveMigrate).not_migratable().in_phase(VmiPhase::Starting), BlockReason::VirtualMachineStarting),
        (db().strategy(LiveMigrateIfPossible).starting(), BlockReason::VirtualMachineStarting),
        (db().strategy(External), BlockReason::ExternalStrategy),
        (db().strategy(Unknown("Teleport".into())), BlockReason::UnknownStrategy),
    ] {
        assert_eq!(blocked(&verdict_of(vmi)), expected);
    }
}

#[test]
fn the_clusters_strategy_holds_for_a_vm_without_one() {
    let configuration =
        KubeVirtConfiguration { eviction_strategy: EvictionStrategy::LiveMigrate, ..KubeVirtConfiguration::default() };
    let snapshot = cluster(db()).with(configuration.clone());
    assert_eq!(decide(&pod(), snapshot, &DrainSpec::default()), EVACUATION);
    let stamped = cluster(db().strategy(EvictionStrategy::None)).with(configuration);
    assert_eq!(decide(&pod(), stamped, &DrainSpec::default()), SHUT_DOWN);
}

#[test]
fn a_vm_that_cannot_migrate_says_why_and_is_deleted_only_when_asked() {
    let cannot = db().strategy(EvictionStrategy::LiveMigrate).not_migratable();
    let Verdict::Blocked(block) = verdict_of(cannot.clone()) else { panic!("it goes") };
    assert!(block.message.contains("DisksNotLiveMigratable: cannot migrate VMI: PVC data is not shared"));
    let spec = DrainSpec { vm_that_cannot_migrate: Some(ShutDownOrBlock::ShutDown), ..DrainSpec::default() };
    let by = ShutDownBy::DeletingTheInstance;
    assert_eq!(decide(&pod(), cluster(cannot.clone()), &spec), Verdict::ShutDown { restarts: Restarts::Yes, by });
    assert_eq!(blocked(&decide(&pod(), cluster(cannot.bare()), &spec)), BlockReason::WillNotRestart);
}

#[test]
fn a_vm_without_strategy_is_migrated_when_asked_and_possible() {
    let spec = migrate_without_strategy();
    assert_eq!(decide(&pod(), cluster(db()), &spec), OWN);
    assert_eq!(decide(&pod(), cluster(db().not_migratable()), &spec), SHUT_DOWN);
    assert_eq!(blocked(&decide(&pod(), cluster(db().starting()), &spec)), BlockReason::VirtualMachineStarting);
}

#[test]
fn an_unfinished_migration_goes_on_whatever_else_would_happen() {
    use EvictionStrategy::{External, LiveMigrate, LiveMigrateIfPossible, None};
    for (strategy, expected) in
        [(None, OWN), (LiveMigrate, EVACUATION), (LiveMigrateIfPossible, EVACUATION), (External, EVACUATION)]
    {
        let snapshot = |phase| {
            cluster(db().strategy(strategy.clone()).not_migratable())
                .with(migration("shop", "m1", "db").in_phase(phase))
        };
        assert_eq!(decide(&pod(), snapshot(MigrationPhase::Running), &DrainSpec::default()), expected);
        assert_eq!(decide(&pod(), snapshot(MigrationPhase::Pending), &DrainSpec::default()), expected);
        assert_ne!(decide(&pod(), snapshot(MigrationPhase::Failed), &DrainSpec::default()), expected);
    }
}

#[test]
fn a_marked_vm_is_not_shut_down_by_a_second_eviction() {
    let marked = db().strategy(EvictionStrategy::LiveMigrateIfPossible).marked("node02");
    assert_eq!(verdict_of(marked.clone()), EVACUATION);
    assert_eq!(blocked(&verdict_of(marked.not_migratable())), BlockReason::NotLiveMigratable);
}

#[test]
fn a_launcher_that_the_webhook_does_not_guard_is_never_evicted_to_migrate() {
    let odd = pod().named("my-launcher");
    let snapshot = cluster(db().strategy(EvictionStrategy::LiveMigrate));
    assert_eq!(decide(&odd, snapshot, &DrainSpec::default()), OWN);
}

#[test]
fn a_launcher_without_its_vmi_is_stuck() {
    assert_eq!(blocked(&decide(&pod(), Snapshot::default(), &DrainSpec::default())), BlockReason::OrphanedLauncher);
    let mut later = db();
    later.uid = "another".into();
    assert_eq!(blocked(&verdict_of(later)), BlockReason::OrphanedLauncher);
    let going = pod().terminating(at(30));
    assert_eq!(decide(&going, Snapshot::default(), &DrainSpec::default()), Verdict::Evict);
}

#[test]
fn the_target_of_a_migration_is_waited_for() {
    let target = pod().target_of("m1");
    let elsewhere = || cluster(vmi("shop", "db").on("node03"));
    let running = || migration("shop", "m1", "db").in_phase(MigrationPhase::Running);
    let incoming = |snapshot| blocked(&decide(&target, snapshot, &DrainSpec::default()));
    assert_eq!(incoming(elsewhere().with(running())), BlockReason::MigrationIncoming);
    // The VM has changed hands, and its migration is not over yet.
    assert_eq!(incoming(cluster(db()).with(running())), BlockReason::MigrationIncoming);
    let failed = MigrationState { target_pod: Some(target.key.name.clone()), ..MigrationState::default() };
    let after_failure = cluster(vmi("shop", "db").on("node03").with_migration_state(failed));
    assert_eq!(incoming(after_failure), BlockReason::MigrationIncoming);
    // Seen from a script that does not know the VM's node.
    assert_eq!(incoming(Snapshot::of(View::Nodes)), BlockReason::MigrationIncoming);
    // It has arrived: an ordinary launcher.
    let over = cluster(db()).with(running().in_phase(MigrationPhase::Succeeded));
    assert_eq!(decide(&target, over, &DrainSpec::default()), SHUT_DOWN);
    let going = target.clone().terminating(at(30));
    assert_eq!(decide(&going, elsewhere().with(running()), &DrainSpec::default()), Verdict::Evict);
}

#[test]
fn a_source_whose_vm_has_just_left_is_not_shut_down() {
    // It was the target of an older migration itself.
    for source in [pod(), pod().target_of("older")] {
        let left = cluster(vmi("shop", "db").on("node03"));
        assert_eq!(decide(&source, left, &DrainSpec::default()), OWN);
    }
}

#[test]
fn what_goes_already_is_never_blocked() {
    let strategy = EvictionStrategy::LiveMigrate;
    let going = pod().terminating(at(30));
    let cannot = db().strategy(strategy.clone()).not_migratable().bare();
    let verdict = decide(&going, cluster(cannot.clone()), &DrainSpec::default());
    assert!(matches!(verdict, Verdict::ShutDown { restarts: Restarts::No(_), by: ShutDownBy::Eviction }));
    let mut deleting = cannot;
    deleting.deleting = true;
    assert!(matches!(verdict_of(deleting), Verdict::ShutDown { by: ShutDownBy::DeletingTheInstance, .. }));
    assert_eq!(verdict_of(db().strategy(strategy).in_phase(VmiPhase::Ended)), Verdict::Evict);
}

#[test]
fn moving_is_marked_migrating_or_gone() {
    let node = pod().node.unwrap();
    assert!(!is_moving(&db(), &node, &Snapshot::default()));
    assert!(is_moving(&db().marked("node02"), &node, &Snapshot::default()));
    assert!(is_moving(&db(), &node, &Snapshot::default().with(migration("shop", "m1", "db"))));
    assert!(is_moving(&vmi("shop", "db").on("node03"), &node, &Snapshot::default()));
}
