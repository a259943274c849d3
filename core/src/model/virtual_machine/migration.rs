//! A `VirtualMachineInstanceMigration`.

use jiff::Timestamp;
use kube::api::DynamicObject;

use super::{key_of, text, uid_of};
use crate::model::{ObjectKey, Uid};

/// `status.phase` of a `VirtualMachineInstanceMigration`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrationPhase {
    /// No phase yet, or `Pending`: waits for a place in KubeVirt's queue, or for its back-off.
    Pending,
    /// The target pod is being scheduled.
    Scheduling,
    /// The target pod runs.
    Scheduled,
    /// The target is being prepared.
    PreparingTarget,
    /// The target is ready.
    TargetReady,
    /// The VM's memory is being transferred.
    Running,
    /// Over: the VM is on its new node.
    Succeeded,
    /// Over: the VM is where it was.
    Failed,
    /// One that this version does not know; counts as unfinished.
    Unknown(String),
}

/// A `VirtualMachineInstanceMigration`.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.labels[`[`crate::names::ACTOR_LABEL`]`]`: set on those that Careen made itself.
    pub actor: Option<String>,
    /// Annotation `kubevirt.io/evacuationMigration`: the node that KubeVirt evacuates with it.
    pub evacuates: Option<String>,
    /// Whether it is being deleted (aborted).
    pub deleting: bool,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `spec.vmiName`.
    pub vmi_name: String,
    /// `status.phase`.
    pub phase: MigrationPhase,
    /// Why it failed, where KubeVirt says so on the migration itself.
    pub failure_reason: Option<String>,
}

impl MigrationPhase {
    /// As KubeVirt writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduling => "Scheduling",
            Self::Scheduled => "Scheduled",
            Self::PreparingTarget => "PreparingTarget",
            Self::TargetReady => "TargetReady",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown(text) => text,
        }
    }
}

impl Migration {
    /// Whether it is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, MigrationPhase::Succeeded | MigrationPhase::Failed)
    }

    /// The VMI that it moves.
    #[must_use]
    pub fn instance_key(&self) -> ObjectKey {
        ObjectKey::new(&self.key.namespace, &self.vmi_name)
    }
}

impl From<DynamicObject> for Migration {
    fn from(object: DynamicObject) -> Self {
        let data = &object.data;
        let annotation = |key: &str| object.metadata.annotations.as_ref().and_then(|a| a.get(key)).cloned();
        let label = |key: &str| object.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        Self {
            key: key_of(&object),
            uid: uid_of(&object),
            actor: label(crate::names::ACTOR_LABEL),
            evacuates: annotation("kubevirt.io/evacuationMigration"),
            deleting: object.metadata.deletion_timestamp.is_some(),
            created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
            vmi_name: text(data, "/spec/vmiName").unwrap_or_default(),
            phase: match text(data, "/status/phase").as_deref() {
                None | Some("Pending") => MigrationPhase::Pending,
                Some("Scheduling") => MigrationPhase::Scheduling,
                Some("Scheduled") => MigrationPhase::Scheduled,
                Some("PreparingTarget") => MigrationPhase::PreparingTarget,
                Some("TargetReady") => MigrationPhase::TargetReady,
                Some("Running") => MigrationPhase::Running,
                Some("Succeeded") => MigrationPhase::Succeeded,
                Some("Failed") => MigrationPhase::Failed,
                Some(other) => MigrationPhase::Unknown(other.to_owned()),
            },
            failure_reason: text(data, "/status/migrationState/failureReason"),
        }
    }
}
