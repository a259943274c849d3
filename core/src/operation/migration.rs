//! Migrate a VM, and cancel a migration.

use super::{OperationError, Operations};
use crate::{
    cluster::Snapshot,
    migration::{Outcome, Requester, create_migration, delete_migration, is_safe_to_abort},
    model::{
        ObjectKey, Uid,
        virtual_machine::{LiveMigratable, Migration, VmiPhase},
    },
};

/// A VM is to be migrated to another node; KubeVirt chooses which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrateInstance {
    /// Namespace and name of the VMI.
    pub key: ObjectKey,
    /// Who asks, as far as the service knows.
    pub requested_by: Option<String>,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// A migration that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationRequested {
    /// The VMI.
    pub instance: ObjectKey,
    /// The migration; `None` for a dry run.
    pub migration: Option<ObjectKey>,
}

/// A migration is to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelMigration {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Only if it has that UID.
    pub uid: Option<Uid>,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// A migration that is cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationCancelled {
    /// The migration.
    pub key: ObjectKey,
    /// Whether it was being cancelled already.
    pub already: bool,
    /// Whether KubeVirt makes another, because the VM is still to leave its node: a maintenance or a drain asks for
    /// that.
    pub made_again: bool,
}

impl Operations {
    /// Migrates a VM. Whoever repeats it after a lost answer is told `AlreadyMigrating`.
    pub async fn migrate(&self, request: &MigrateInstance) -> Result<MigrationRequested, OperationError> {
        let snapshot = self.cluster.snapshot();
        may_migrate(&request.key, &snapshot)?;
        let instance = request.key.clone();
        if request.dry_run {
            return Ok(MigrationRequested { instance, migration: None });
        }
        let requester = Requester::Person(request.requested_by.as_deref());
        match create_migration(self.cluster.client(), &instance, requester).await? {
            Ok(migration) => Ok(MigrationRequested { instance, migration: Some(migration) }),
            Err(Outcome::AlreadyMigrating) => Err(OperationError::AlreadyMigrating { key: instance, migration: None }),
            Err(Outcome::Gone) => Err(OperationError::VirtualMachineInstanceNotFound { key: instance }),
            Err(Outcome::Done) => Ok(MigrationRequested { instance, migration: None }),
        }
    }

    /// Cancels a migration that is not over. Repeating it changes nothing.
    pub async fn cancel_migration(&self, request: &CancelMigration) -> Result<MigrationCancelled, OperationError> {
        let snapshot = self.cluster.snapshot();
        let (migration, cancelled) = may_cancel(request, &snapshot)?;
        if cancelled.already || request.dry_run {
            return Ok(cancelled);
        }
        match delete_migration(self.cluster.client(), &migration.key, &migration.uid).await? {
            Outcome::Done | Outcome::AlreadyMigrating => Ok(cancelled),
            Outcome::Gone => Err(OperationError::MigrationNotFound { key: request.key.clone() }),
        }
    }
}

fn may_migrate(key: &ObjectKey, snapshot: &Snapshot) -> Result<(), OperationError> {
    let Some(vmi) = snapshot.virtual_machine_instance(key) else {
        return Err(OperationError::VirtualMachineInstanceNotFound { key: key.clone() });
    };
    let not_running = |state| Err(OperationError::NotRunning { key: key.clone(), state });
    match vmi.phase {
        _ if vmi.deleting => return not_running("being deleted"),
        VmiPhase::Starting => return not_running("starting"),
        VmiPhase::Ended => return not_running("ended"),
        VmiPhase::Running | VmiPhase::Unknown => {}
    }
    if let Some(migration) = snapshot.unfinished_migration_of(key) {
        let migration = Some(migration.key.name.clone());
        return Err(OperationError::AlreadyMigrating { key: key.clone(), migration });
    }
    if vmi.evacuation_node.is_some() && vmi.evacuation_node == vmi.node {
        return Err(OperationError::AlreadyMigrating { key: key.clone(), migration: None });
    }
    match &vmi.live_migratable {
        LiveMigratable::Yes => Ok(()),
        LiveMigratable::NotKnownYet => not_running("starting"),
        LiveMigratable::No { reason, message } => {
            Err(OperationError::NotLiveMigratable { key: key.clone(), why: reason.clone(), message: message.clone() })
        }
    }
}

fn may_cancel<'a>(
    request: &CancelMigration,
    snapshot: &'a Snapshot,
) -> Result<(&'a Migration, MigrationCancelled), OperationError> {
    let key = request.key.clone();
    let migration = snapshot.migration(&key).filter(|found| request.uid.as_ref().is_none_or(|uid| *uid == found.uid));
    let Some(migration) = migration else { return Err(OperationError::MigrationNotFound { key }) };
    if migration.is_finished() {
        return Err(OperationError::MigrationFinished { key });
    }
    let vmi = snapshot.virtual_machine_instance(&migration.instance_key());
    if !migration.deleting && !is_safe_to_abort(migration, vmi.map(AsRef::as_ref)) {
        return Err(OperationError::PostCopy { key });
    }
    let made_again = migration.evacuates.is_some() && vmi.is_some_and(|vmi| vmi.evacuation_node.is_some());
    Ok((migration, MigrationCancelled { key, already: migration.deleting, made_again }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        testing::{migration, uid, vmi},
        virtual_machine::{MigrationPhase, MigrationState},
    };

    fn key() -> ObjectKey {
        ObjectKey::new("shop", "db")
    }

    fn refused(snapshot: &Snapshot) -> Option<&'static str> {
        may_migrate(&key(), snapshot).err().map(|error| error.reason())
    }

    #[test]
    fn only_a_running_vm_that_can_and_does_not_yet_migrates() {
        let db = || vmi("shop", "db").on("node02");
        let with = |vmi| Snapshot::default().with(vmi);
        assert_eq!(refused(&with(db())), None);
        assert_eq!(refused(&Snapshot::default()), Some("VirtualMachineInstanceNotFound"));
        assert_eq!(refused(&with(db().starting())), Some("NotRunning"));
        assert_eq!(refused(&with(db().in_phase(VmiPhase::Ended))), Some("NotRunning"));
        assert_eq!(refused(&with(db().not_migratable())), Some("NotLiveMigratable"));
        assert_eq!(refused(&with(db().marked("node02"))), Some("AlreadyMigrating"));
        assert_eq!(refused(&with(db()).with(migration("shop", "m", "db"))), Some("AlreadyMigrating"));
        let over = migration("shop", "m", "db").in_phase(MigrationPhase::Failed);
        assert_eq!(refused(&with(db()).with(over)), None);
    }

    #[test]
    fn a_migration_is_cancelled_as_long_as_that_does_not_lose_the_vm() {
        let running = |mode: Option<&str>| {
            let state = MigrationState {
                migration_uid: Some(uid("shop", "m").0),
                mode: mode.map(|mode| mode.to_owned().into()),
                ..MigrationState::default()
            };
            Snapshot::default()
                .with(vmi("shop", "db").on("node02").with_migration_state(state))
                .with(migration("shop", "m", "db").in_phase(MigrationPhase::Running))
        };
        let request = CancelMigration { key: ObjectKey::new("shop", "m"), uid: None, dry_run: false };
        let reason = |snapshot: &Snapshot| may_cancel(&request, snapshot).err().map(|error| error.reason());
        assert_eq!(reason(&running(Some("PreCopy"))), None);
        assert_eq!(reason(&running(Some("PostCopy"))), Some("PostCopy"));
        assert_eq!(reason(&running(None)), Some("PostCopy"));
        assert_eq!(reason(&Snapshot::default()), Some("MigrationNotFound"));
        let over = running(None).with(migration("shop", "m", "db").in_phase(MigrationPhase::Succeeded));
        assert_eq!(reason(&over), Some("MigrationFinished"));
        let evacuation = Snapshot::default()
            .with(vmi("shop", "db").on("node02").marked("node02"))
            .with(migration("shop", "m", "db").evacuating("node02"));
        assert!(may_cancel(&request, &evacuation).unwrap().1.made_again);
    }
}
