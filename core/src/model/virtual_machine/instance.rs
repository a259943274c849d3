//! A `VirtualMachineInstance`: a VM that runs.

use jiff::Timestamp;
use kube::api::DynamicObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Migration, key_of, text, uid_of};
use crate::model::{NodeName, ObjectKey, Owner, Uid};

/// `spec.evictionStrategy` of a VMI, or the cluster's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EvictionStrategy {
    /// Evicting the launcher pod shuts the VM down.
    None,
    /// Evicting asks KubeVirt for a live migration; a VM that cannot migrate is refused.
    LiveMigrate,
    /// As `LiveMigrate`, but a VM that cannot migrate is shut down.
    LiveMigrateIfPossible,
    /// Evicting marks the VM; somebody else's controller has to move it.
    External,
    /// One that this version does not know.
    Unknown(String),
}

/// `status.phase` of a VMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum VmiPhase {
    /// `Pending`, `Scheduling`, `Scheduled` or none yet: the VM is still starting.
    Starting,
    /// `Running`.
    Running,
    /// `Succeeded` or `Failed`: it has ended.
    Ended,
    /// `Unknown`, `WaitingForSync` or one that this version does not know.
    Unknown,
}

/// The VMI condition `LiveMigratable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveMigratable {
    /// `True`.
    Yes,
    /// `False`, with KubeVirt's reason (`DisksNotLiveMigratable`, …) and message.
    No {
        /// The condition's reason.
        reason: String,
        /// The condition's message.
        message: String,
    },
    /// KubeVirt has not worked it out yet.
    NotKnownYet,
}

/// A `VirtualMachineInstance`.
#[derive(Clone, Debug)]
pub struct VirtualMachineInstance {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The controlling owner: its `VirtualMachine`, a pool or a replica set; `None` for a bare VMI.
    pub owner: Option<Owner>,
    /// `spec.evictionStrategy`, as stamped at creation.
    pub eviction_strategy: Option<EvictionStrategy>,
    /// `status.phase`.
    pub phase: VmiPhase,
    /// `status.nodeName`: where the VM runs.
    pub node: Option<NodeName>,
    /// `status.evacuationNodeName`: KubeVirt's mark that the VM has to leave that node.
    pub evacuation_node: Option<NodeName>,
    /// The condition `LiveMigratable`.
    pub live_migratable: LiveMigratable,
    /// `status.machine.type`: the machine that the guest sees.
    pub machine_type: Option<String>,
    /// `status.migrationState`: of the present or the last migration.
    pub migration_state: Option<MigrationState>,
}

/// `status.migrationState` of a VMI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationState {
    /// UID of the `VirtualMachineInstanceMigration`.
    pub migration_uid: Option<String>,
    /// Where it comes from.
    pub source_node: Option<String>,
    /// Where it goes.
    pub target_node: Option<String>,
    /// The pod there.
    pub target_pod: Option<String>,
    /// How the memory is transferred, once that is known.
    pub mode: Option<MigrationMode>,
    /// When the transfer began.
    pub start_timestamp: Option<Timestamp>,
    /// When it ended.
    pub end_timestamp: Option<Timestamp>,
    /// Whether it is over.
    pub completed: bool,
    /// Whether it failed.
    pub failed: bool,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// `status.migrationState.mode`: how a VM's memory is transferred.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum MigrationMode {
    /// The VM runs on the source, while its memory is copied.
    PreCopy,
    /// The VM runs on the target already, and what is missing of its memory comes from the source: it needs both.
    PostCopy,
    /// The VM is paused until all of its memory is copied.
    Paused,
    /// One that this version does not know.
    Unknown(String),
}

impl MigrationMode {
    /// As KubeVirt writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::PreCopy => "PreCopy",
            Self::PostCopy => "PostCopy",
            Self::Paused => "Paused",
            Self::Unknown(text) => text,
        }
    }
}

impl From<String> for MigrationMode {
    fn from(text: String) -> Self {
        match text.as_str() {
            "PreCopy" => Self::PreCopy,
            "PostCopy" => Self::PostCopy,
            "Paused" => Self::Paused,
            _ => Self::Unknown(text),
        }
    }
}

impl VirtualMachineInstance {
    /// What its status says of that migration; `None` if it says nothing yet, or speaks of another.
    #[must_use]
    pub fn state_of(&self, migration: &Migration) -> Option<&MigrationState> {
        self.migration_state.as_ref().filter(|state| state.migration_uid.as_ref() == Some(&migration.uid.0))
    }
}

impl From<String> for EvictionStrategy {
    fn from(text: String) -> Self {
        match text.as_str() {
            "None" | "" => Self::None,
            "LiveMigrate" => Self::LiveMigrate,
            "LiveMigrateIfPossible" => Self::LiveMigrateIfPossible,
            "External" => Self::External,
            _ => Self::Unknown(text),
        }
    }
}

impl From<EvictionStrategy> for String {
    fn from(strategy: EvictionStrategy) -> Self {
        match strategy {
            EvictionStrategy::None => "None".to_owned(),
            EvictionStrategy::LiveMigrate => "LiveMigrate".to_owned(),
            EvictionStrategy::LiveMigrateIfPossible => "LiveMigrateIfPossible".to_owned(),
            EvictionStrategy::External => "External".to_owned(),
            EvictionStrategy::Unknown(text) => text,
        }
    }
}

impl From<DynamicObject> for VirtualMachineInstance {
    fn from(object: DynamicObject) -> Self {
        let data = &object.data;
        let node = |pointer| text(data, pointer).and_then(|name| name.parse().ok());
        Self {
            key: key_of(&object),
            uid: uid_of(&object),
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            owner: object
                .metadata
                .owner_references
                .iter()
                .flatten()
                .find(|owner| owner.controller == Some(true))
                .cloned()
                .map(Owner::from),
            eviction_strategy: text(data, "/spec/evictionStrategy").map(EvictionStrategy::from),
            phase: match text(data, "/status/phase").as_deref() {
                None | Some("Pending" | "Scheduling" | "Scheduled") => VmiPhase::Starting,
                Some("Running") => VmiPhase::Running,
                Some("Succeeded" | "Failed") => VmiPhase::Ended,
                Some(_) => VmiPhase::Unknown,
            },
            node: node("/status/nodeName"),
            evacuation_node: node("/status/evacuationNodeName"),
            live_migratable: live_migratable(data),
            machine_type: text(data, "/status/machine/type"),
            migration_state: data
                .pointer("/status/migrationState")
                .and_then(|state| MigrationState::deserialize(state).ok()),
        }
    }
}

fn live_migratable(data: &Value) -> LiveMigratable {
    let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
    let condition = conditions.into_iter().flatten().find(|c| text(c, "/type").as_deref() == Some("LiveMigratable"));
    match condition.map(|condition| (condition, text(condition, "/status"))) {
        Some((_, Some(status))) if status == "True" => LiveMigratable::Yes,
        Some((condition, Some(status))) if status == "False" => LiveMigratable::No {
            reason: text(condition, "/reason").unwrap_or_default(),
            message: text(condition, "/message").unwrap_or_default(),
        },
        _ => LiveMigratable::NotKnownYet,
    }
}
