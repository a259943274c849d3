//! A live migration, as people see it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Views;
use crate::{
    migration::{MigrationProgress, QueuePlace, WaitsFor, migration_progress},
    model::{
        ObjectKey, Uid,
        virtual_machine::{Migration, MigrationState, VirtualMachineInstance},
    },
};

/// A migration of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Migration")]
pub struct MigrationView {
    /// Its namespace.
    pub namespace: String,
    /// Its name; absent while KubeVirt is to make one and has not.
    pub name: Option<String>,
    /// Its UID.
    pub uid: Option<Uid>,
    /// Name of the VMI.
    pub virtual_machine_instance: String,
    /// Its phase, as KubeVirt writes it.
    pub phase: Option<String>,
    /// The node that the VM leaves.
    pub source: Option<String>,
    /// The node that it goes to, once known.
    pub target: Option<String>,
    /// `PreCopy`, `PostCopy` or `Paused`.
    pub mode: Option<String>,
    /// When it was asked for.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created_at: Option<Timestamp>,
    /// When the transfer began.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub ended_at: Option<Timestamp>,
    /// Whether it is being aborted.
    pub aborting: bool,
    /// The node that KubeVirt evacuates with it.
    pub evacuates: Option<String>,
    /// UID of the maintenance or id of the drain that made it, where Careen did.
    pub made_by: Option<String>,
    /// Which attempt in a row it is, as far as KubeVirt keeps those that failed; absent for one that is over.
    pub attempt: Option<usize>,
    /// Why it failed, or why the one before it did.
    pub failure: Option<String>,
    /// What it waits for before it starts.
    pub waits_for: Option<WaitView>,
}

/// What a migration waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Wait")]
pub struct WaitView {
    /// In a word.
    pub kind: WaitsForKind,
    /// When KubeVirt's back-off ends, where that is known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// Its place in KubeVirt's queue, an estimate.
    pub place: Option<QueuePlace>,
}

/// What a migration waits for, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum WaitsForKind {
    /// KubeVirt's back-off after a failure.
    Backoff,
    /// A place in KubeVirt's queue.
    Queue,
    /// A place in KubeVirt's queue, whose length is not known: other VMs are not seen.
    Unknown,
}

impl Views {
    /// The migration of that namespace and name.
    #[must_use]
    pub fn migration(&self, key: &ObjectKey) -> Option<MigrationView> {
        self.snapshot.migration(key).map(|migration| self.view_of(migration))
    }

    /// All migrations, by namespace and name.
    pub fn migrations(&self) -> impl Iterator<Item = MigrationView> {
        self.snapshot.migrations().map(|migration| self.view_of(migration))
    }

    /// The present migration of a VM; one that is wanted and not made yet; or the last one, if it failed.
    pub(super) fn migration_of(&self, vmi: &VirtualMachineInstance) -> Option<MigrationView> {
        let progress = migration_progress(vmi, self.queue(), &self.snapshot, self.now)?;
        if let Some(migration) = progress.migration.as_ref().and_then(|key| self.snapshot.migration(key)) {
            return Some(with_progress(self.plain(migration), progress));
        }
        if vmi.evacuation_node.is_none() {
            let last =
                self.snapshot.migrations_of(&vmi.key).max_by_key(|migration| (migration.created, &migration.key));
            return last.map(|migration| self.plain(migration));
        }
        let wanted = MigrationView {
            namespace: vmi.key.namespace.clone(),
            name: None,
            uid: None,
            virtual_machine_instance: vmi.key.name.clone(),
            phase: None,
            source: None,
            target: None,
            mode: None,
            created_at: None,
            started_at: None,
            ended_at: None,
            aborting: false,
            evacuates: vmi.evacuation_node.as_ref().map(ToString::to_string),
            made_by: None,
            attempt: None,
            failure: None,
            waits_for: None,
        };
        Some(with_progress(wanted, progress))
    }

    fn view_of(&self, migration: &Migration) -> MigrationView {
        let plain = self.plain(migration);
        let vmi =
            self.snapshot.virtual_machine_instance(&migration.instance_key()).filter(|_| !migration.is_finished());
        let progress = vmi.and_then(|vmi| migration_progress(vmi, self.queue(), &self.snapshot, self.now));
        match progress.filter(|progress| progress.migration.as_ref() == Some(&migration.key)) {
            Some(progress) => with_progress(plain, progress),
            None => plain,
        }
    }

    /// What the migration itself says, and its VM of it.
    fn plain(&self, migration: &Migration) -> MigrationView {
        let vmi = self.snapshot.virtual_machine_instance(&migration.instance_key());
        let state = vmi.and_then(|vmi| vmi.state_of(migration));
        let of_state = |text: fn(&MigrationState) -> Option<String>| state.and_then(text);
        MigrationView {
            namespace: migration.key.namespace.clone(),
            name: Some(migration.key.name.clone()),
            uid: Some(migration.uid.clone()),
            virtual_machine_instance: migration.vmi_name.clone(),
            phase: Some(migration.phase.as_str().to_owned()),
            source: of_state(|state| state.source_node.clone()),
            target: of_state(|state| state.target_node.clone()),
            mode: of_state(|state| state.mode.as_ref().map(|mode| mode.as_str().to_owned())),
            created_at: migration.created,
            started_at: state.and_then(|state| state.start_timestamp),
            ended_at: state.and_then(|state| state.end_timestamp),
            aborting: migration.deleting,
            evacuates: migration.evacuates.clone(),
            made_by: migration.actor.clone(),
            attempt: None,
            failure: migration.failure_reason.clone().or_else(|| of_state(|state| state.failure_reason.clone())),
            waits_for: None,
        }
    }
}

fn with_progress(plain: MigrationView, progress: MigrationProgress) -> MigrationView {
    let waits_for = progress.waits_for.as_ref().map(|waits_for| match waits_for {
        WaitsFor::Backoff { until } => WaitView { kind: WaitsForKind::Backoff, until: *until, place: None },
        WaitsFor::Queue(place) => WaitView { kind: WaitsForKind::Queue, until: None, place: Some(*place) },
        WaitsFor::UnknownQueue => WaitView { kind: WaitsForKind::Unknown, until: None, place: None },
    });
    MigrationView {
        source: progress.source,
        target: progress.target,
        attempt: Some(progress.failures + 1),
        failure: progress.last_failure,
        waits_for,
        ..plain
    }
}
