//! KubeVirt's objects, trimmed: lenient subsets written by hand, so that a newer KubeVirt never breaks decoding.
//!
//! Every field is optional on the wire, every enumeration has an arm for what is not known here.
//! Names: `kubevirt.io/api/core/v1/types.go`.

use jiff::Timestamp;
use kube::api::DynamicObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NodeName, ObjectKey, Owner, Uid};

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
    /// `PreCopy`, `PostCopy` or `Paused`.
    pub mode: Option<String>,
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

/// `spec.runStrategy` of a `VirtualMachine` (`spec.running: true` is `Always`, `false` is `Halted`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStrategy {
    /// Always runs again.
    Always,
    /// Runs again after a failure only, not after a graceful end.
    RerunOnFailure,
    /// Only by hand.
    Manual,
    /// Runs once.
    Once,
    /// Is to be stopped.
    Halted,
    /// One that this version does not know.
    Unknown(String),
}

/// A `VirtualMachine`.
#[derive(Clone, Debug)]
pub struct VirtualMachine {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// How it is run.
    pub run_strategy: RunStrategy,
}

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

impl RunStrategy {
    /// As KubeVirt writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Always => "Always",
            Self::RerunOnFailure => "RerunOnFailure",
            Self::Manual => "Manual",
            Self::Once => "Once",
            Self::Halted => "Halted",
            Self::Unknown(text) => text,
        }
    }
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
}

/// What the engine needs of the `KubeVirt` resource; KubeVirt's defaults where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVirtConfiguration {
    /// `spec.configuration.evictionStrategy`.
    pub eviction_strategy: EvictionStrategy,
    /// `spec.configuration.migrations.parallelMigrationsPerCluster`.
    pub parallel_migrations_per_cluster: u32,
    /// `spec.configuration.migrations.parallelOutboundMigrationsPerNode`.
    pub parallel_outbound_migrations_per_node: u32,
    /// `spec.configuration.migrations.nodeDrainTaintKey`: Careen never writes it.
    pub node_drain_taint_key: String,
}

impl Default for KubeVirtConfiguration {
    fn default() -> Self {
        Self {
            eviction_strategy: EvictionStrategy::None,
            parallel_migrations_per_cluster: 5,
            parallel_outbound_migrations_per_node: 2,
            node_drain_taint_key: crate::names::KUBEVIRT_DRAIN_TAINT_KEY.to_owned(),
        }
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

/// A text at a JSON pointer; `None` when it is missing, empty or no text.
fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn key_of(object: &DynamicObject) -> ObjectKey {
    ObjectKey::new(
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}

fn uid_of(object: &DynamicObject) -> Uid {
    Uid(object.metadata.uid.clone().unwrap_or_default())
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

impl From<DynamicObject> for VirtualMachine {
    fn from(object: DynamicObject) -> Self {
        let running = object.data.pointer("/spec/running").and_then(Value::as_bool);
        Self {
            key: key_of(&object),
            uid: uid_of(&object),
            run_strategy: match (text(&object.data, "/spec/runStrategy"), running) {
                (Some(strategy), _) => match strategy.as_str() {
                    "Always" => RunStrategy::Always,
                    "RerunOnFailure" => RunStrategy::RerunOnFailure,
                    "Manual" => RunStrategy::Manual,
                    "Once" => RunStrategy::Once,
                    "Halted" => RunStrategy::Halted,
                    _ => RunStrategy::Unknown(strategy),
                },
                (None, Some(true)) => RunStrategy::Always,
                (None, _) => RunStrategy::Halted,
            },
        }
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

impl From<DynamicObject> for KubeVirtConfiguration {
    fn from(object: DynamicObject) -> Self {
        let default = Self::default();
        // KubeVirt ignores a configuration whose resource has no status.phase yet.
        if text(&object.data, "/status/phase").is_none() {
            return default;
        }
        let setting = |name: &str| object.data.pointer(&format!("/spec/configuration/{name}"));
        let number =
            |name: &str, or: u32| setting(name).and_then(Value::as_u64).map_or(or, |n| u32::try_from(n).unwrap_or(or));
        Self {
            eviction_strategy: text(&object.data, "/spec/configuration/evictionStrategy")
                .map_or(default.eviction_strategy, EvictionStrategy::from),
            parallel_migrations_per_cluster: number(
                "migrations/parallelMigrationsPerCluster",
                default.parallel_migrations_per_cluster,
            ),
            parallel_outbound_migrations_per_node: number(
                "migrations/parallelOutboundMigrationsPerNode",
                default.parallel_outbound_migrations_per_node,
            ),
            node_drain_taint_key: text(&object.data, "/spec/configuration/migrations/nodeDrainTaintKey")
                .unwrap_or(default.node_drain_taint_key),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rubbish_in_any_field_decodes_to_the_cautious_reading() {
        let vmi = VirtualMachineInstance::from(object(json!({
            "metadata": {"namespace": "a", "name": "b", "uid": "u"},
            "spec": {"evictionStrategy": "Teleport"},
            "status": {"phase": 7, "conditions": "none", "migrationState": [1], "nodeName": "NOT A NODE"},
        })));
        assert_eq!(vmi.eviction_strategy, Some(EvictionStrategy::Unknown("Teleport".into())));
        assert_eq!(vmi.phase, VmiPhase::Starting);
        assert_eq!(vmi.live_migratable, LiveMigratable::NotKnownYet);
        assert_eq!(vmi.node, None);
        assert_eq!(vmi.migration_state, None);
    }

    #[test]
    fn a_kubevirt_resource_without_status_phase_is_ignored() {
        let spec = json!({"configuration": {"evictionStrategy": "LiveMigrate", "migrations": {"parallelOutboundMigrationsPerNode": 1}}});
        let fresh = object(json!({"metadata": {"name": "kubevirt"}, "spec": spec}));
        assert_eq!(KubeVirtConfiguration::from(fresh), KubeVirtConfiguration::default());
        let deployed = object(json!({"metadata": {"name": "kubevirt"}, "spec": spec, "status": {"phase": "Deployed"}}));
        let read = KubeVirtConfiguration::from(deployed);
        assert_eq!(read.eviction_strategy, EvictionStrategy::LiveMigrate);
        assert_eq!((read.parallel_migrations_per_cluster, read.parallel_outbound_migrations_per_node), (5, 1));
    }

    #[test]
    fn running_true_is_run_strategy_always() {
        for (spec, expected) in [
            (json!({"running": true}), RunStrategy::Always),
            (json!({"running": false}), RunStrategy::Halted),
            (json!({"runStrategy": "RerunOnFailure"}), RunStrategy::RerunOnFailure),
            (json!({"runStrategy": "Sometimes"}), RunStrategy::Unknown("Sometimes".into())),
        ] {
            let vm = VirtualMachine::from(object(json!({"metadata": {"name": "vm"}, "spec": spec})));
            assert_eq!(vm.run_strategy, expected);
        }
    }
}
