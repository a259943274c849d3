//! What a stop takes back of the evacuations and migrations that it caused, and in which order.

use std::collections::BTreeSet;

use crate::{
    cluster::Snapshot,
    model::{
        DrainOptions, LeaveOrAbort, NodeName, ObjectKey, Record, Uid,
        virtual_machine::{Migration, MigrationMode, MigrationPhase, VirtualMachineInstance},
    },
};

/// What can be done now, and what stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancellation {
    /// To be done now. When it is done, look again: deleting a migration waits until the mark is seen to be gone.
    pub next: Vec<CancelStep>,
    /// Migrations that we caused and that go on.
    pub left: Vec<Left>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelStep {
    /// Take KubeVirt's mark back ([`super::cancel_evacuation`]), or it makes another migration for each that is
    /// deleted.
    CancelEvacuation {
        /// The VM.
        vmi: ObjectKey,
    },
    /// Delete a migration ([`super::delete_migration`]).
    DeleteMigration {
        /// The migration.
        key: ObjectKey,
        /// Its UID.
        uid: Uid,
    },
}

/// A migration that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The migration.
    pub migration: ObjectKey,
    /// The VM that it moves.
    pub vmi: ObjectKey,
    /// Why it is not aborted.
    pub reason: LeftReason,
}

/// Why a migration is not aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftReason {
    /// It has a target, and is to run to its end (`runningMigrationsOnStop: Leave`).
    Running,
    /// It runs in mode `PostCopy`, or it is not known that it does not: aborting would lose the VM.
    PostCopy,
    /// It is being aborted already.
    Aborting,
}

/// What a stop of `actor` on `node` has to take back next; nothing is left to do when `next` is empty.
///
/// `evacuations` are the VMIs whose evacuation this actor asked for, from the node's record. A VM is touched only if
/// it is one of them, and its mark names this node; a migration only if it evacuates such a VM from this node, or
/// carries the actor's label and moves a VM of this node.
#[must_use]
pub fn next_cancel_steps(
    node: &NodeName,
    evacuations: &[Uid],
    actor: &Uid,
    snapshot: &Snapshot,
    options: &DrainOptions,
) -> Cancellation {
    let asked: BTreeSet<&Uid> = evacuations.iter().collect();
    let is_asked = |vmi: &&VirtualMachineInstance| asked.contains(&vmi.uid);
    let is_marked = |vmi: &VirtualMachineInstance| vmi.evacuation_node.as_ref() == Some(node);
    let mut cancellation = Cancellation::default();
    for vmi in snapshot.virtual_machine_instances().filter(|vmi| is_asked(&&***vmi) && is_marked(vmi)) {
        cancellation.next.push(CancelStep::CancelEvacuation { vmi: vmi.key.clone() });
    }
    for migration in snapshot.migrations().filter(|migration| !migration.is_finished()) {
        let key = migration.instance_key();
        let vmi = snapshot.virtual_machine_instance(&key).map(AsRef::as_ref);
        let ours = vmi.filter(is_asked);
        let evacuates = ours.is_some() && migration.evacuates.as_deref() == Some(node.as_str());
        let is_own = is_own(migration, vmi, node, actor);
        if !(evacuates || is_own) || ours.is_some_and(is_marked) {
            continue;
        }
        match left(migration, vmi, options) {
            Some(reason) => cancellation.left.push(Left { migration: migration.key.clone(), vmi: key, reason }),
            None => cancellation
                .next
                .push(CancelStep::DeleteMigration { key: migration.key.clone(), uid: migration.uid.clone() }),
        }
    }
    cancellation
}

/// Whether a stop of the record's actor on `node` may have something to take back: the evacuations that the record
/// names, and migrations that the actor has made itself.
#[must_use]
pub fn has_to_take_back(node: &NodeName, record: &Record, snapshot: &Snapshot) -> bool {
    let is_own = |migration: &Migration| {
        let vmi = snapshot.virtual_machine_instance(&migration.instance_key());
        is_own(migration, vmi.map(AsRef::as_ref), node, &record.actor.uid)
    };
    !record.evacuations.is_empty() || snapshot.migrations().any(|found| !found.is_finished() && is_own(found))
}

/// A record may name any actor, so a label alone proves nothing about another node's migrations.
fn is_own(migration: &Migration, vmi: Option<&VirtualMachineInstance>, node: &NodeName, actor: &Uid) -> bool {
    migration.actor.as_ref() == Some(&actor.0) && vmi.is_some_and(|vmi| vmi.node.as_ref() == Some(node))
}

/// Why that migration is not to be deleted (now).
fn left(migration: &Migration, vmi: Option<&VirtualMachineInstance>, options: &DrainOptions) -> Option<LeftReason> {
    if migration.deleting {
        return Some(LeftReason::Aborting);
    }
    let may_abort = options.running_migrations_on_stop == LeaveOrAbort::Abort;
    match migration.phase {
        MigrationPhase::Pending | MigrationPhase::Scheduling => None,
        _ if !may_abort => Some(LeftReason::Running),
        _ => (!is_safe_to_abort(migration, vmi)).then_some(LeftReason::PostCopy),
    }
}

/// Whether a migration that is not over can be aborted without losing its VM: not in post-copy, when each of the nodes
/// has a part of the VM's memory. One that runs and does not show its mode may be in it.
#[must_use]
pub fn is_safe_to_abort(migration: &Migration, vmi: Option<&VirtualMachineInstance>) -> bool {
    let mode = vmi.and_then(|vmi| vmi.state_of(migration)).and_then(|state| state.mode.as_ref());
    match migration.phase {
        MigrationPhase::Running | MigrationPhase::Unknown(_) => {
            matches!(mode, Some(MigrationMode::PreCopy | MigrationMode::Paused))
        }
        _ => mode != Some(&MigrationMode::PostCopy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        DrainSpec,
        testing::{self, migration, node_name, vmi},
        virtual_machine::MigrationState,
    };

    fn db() -> VirtualMachineInstance {
        vmi("shop", "db").on("node02")
    }

    fn evacuation() -> Migration {
        migration("shop", "m1", "db").evacuating("node02")
    }

    fn steps_with(snapshot: &Snapshot, on_stop: LeaveOrAbort) -> Cancellation {
        let spec = DrainSpec { running_migrations_on_stop: Some(on_stop), ..DrainSpec::default() };
        let evacuations = [testing::uid("shop", "db")];
        next_cancel_steps(
            &node_name("node02"),
            &evacuations,
            &"actor".into(),
            snapshot,
            &spec.for_maintenance().unwrap(),
        )
    }

    fn steps(snapshot: &Snapshot) -> Vec<CancelStep> {
        steps_with(snapshot, LeaveOrAbort::Leave).next
    }

    fn deletes_m1() -> Vec<CancelStep> {
        vec![CancelStep::DeleteMigration { key: ObjectKey::new("shop", "m1"), uid: testing::uid("shop", "m1") }]
    }

    #[test]
    fn the_mark_goes_first_and_then_the_migration() {
        let marked = Snapshot::default().with(db().marked("node02")).with(evacuation());
        assert_eq!(steps(&marked), [CancelStep::CancelEvacuation { vmi: ObjectKey::new("shop", "db") }]);
        assert_eq!(steps(&marked.with(db())), deletes_m1());
    }

    #[test]
    fn only_what_we_caused_is_touched() {
        let mut later = db().marked("node02");
        later.uid = "a later VMI of the name".into();
        for others in [
            Snapshot::default().with(db().marked("node03")),
            Snapshot::default().with(later).with(evacuation()),
            Snapshot::default().with(vmi("shop", "web").marked("node02")),
            Snapshot::default().with(db()).with(migration("shop", "by-a-user", "db")),
            Snapshot::default().with(db()).with(evacuation().evacuating("node03")),
            Snapshot::default().with(db()).with(migration("shop", "m1", "db").made_by("another actor")),
            Snapshot::default().with(db()).with(evacuation().in_phase(MigrationPhase::Failed)),
        ] {
            assert_eq!(steps_with(&others, LeaveOrAbort::Abort), Cancellation::default());
        }
        let own = |on| {
            let web = vmi("shop", "web").on(on);
            Snapshot::default().with(web).with(migration("shop", "m1", "web").made_by("actor"))
        };
        assert_eq!(steps(&own("node02")), deletes_m1());
        assert_eq!(steps(&own("node03")), [], "of the same actor, by its label, on another node");
    }

    #[test]
    fn a_migration_that_runs_is_aborted_only_when_asked_and_never_in_post_copy() {
        use MigrationPhase::{Pending, PreparingTarget, Running, Scheduled, Scheduling, TargetReady, Unknown};
        let in_mode = |mode: Option<&str>| {
            let state = MigrationState {
                migration_uid: Some(testing::uid("shop", "m1").0),
                mode: mode.map(|mode| mode.to_owned().into()),
                ..MigrationState::default()
            };
            db().with_migration_state(state)
        };
        for (phase, mode, on_leave, on_abort) in [
            (Pending, None, None, None),
            (Scheduling, None, None, None),
            (Scheduled, None, Some(LeftReason::Running), None),
            (PreparingTarget, None, Some(LeftReason::Running), None),
            (TargetReady, None, Some(LeftReason::Running), None),
            (TargetReady, Some("PostCopy"), Some(LeftReason::Running), Some(LeftReason::PostCopy)),
            (Running, Some("PreCopy"), Some(LeftReason::Running), None),
            (Running, Some("Paused"), Some(LeftReason::Running), None),
            (Running, Some("PostCopy"), Some(LeftReason::Running), Some(LeftReason::PostCopy)),
            (Running, None, Some(LeftReason::Running), Some(LeftReason::PostCopy)),
            (Unknown("Synchronizing".into()), None, Some(LeftReason::Running), Some(LeftReason::PostCopy)),
        ] {
            let snapshot = Snapshot::default().with(in_mode(mode)).with(evacuation().in_phase(phase.clone()));
            for (on_stop, expected) in [(LeaveOrAbort::Leave, on_leave), (LeaveOrAbort::Abort, on_abort)] {
                let cancellation = steps_with(&snapshot, on_stop);
                assert_eq!(cancellation.left.first().map(|left| left.reason), expected, "{phase:?} {mode:?}");
                assert_eq!(cancellation.next.is_empty(), expected.is_some(), "{phase:?} {mode:?}");
            }
        }
    }

    #[test]
    fn what_is_being_aborted_is_not_deleted_twice() {
        let mut aborting = evacuation();
        aborting.deleting = true;
        let cancellation = steps_with(&Snapshot::default().with(db()).with(aborting), LeaveOrAbort::Abort);
        assert!(cancellation.next.is_empty());
        assert_eq!(cancellation.left[0].reason, LeftReason::Aborting);
    }
}
