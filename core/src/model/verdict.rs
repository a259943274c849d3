//! The vocabulary of a plan: what would become of one workload, and what is in its way.
//!
//! These names are the same in the resource's status, JSON, GraphQL, Python, logs, metrics and docs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ObjectKey, Uid, sentence::bounded};
use crate::schema::without_description;

/// A pod or a VM on a node. A VM and its launcher pod are one workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// What it is.
    pub kind: WorkloadKind,
    /// The pod (for a VM its launcher pod on this node).
    pub pod: ObjectKey,
    /// The pod's UID.
    pub uid: Uid,
}

/// What a workload is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// An ordinary pod.
    Pod,
    /// A VM: the name of its `VirtualMachineInstance`, in the pod's namespace.
    VirtualMachineInstance(String),
}

impl Workload {
    /// The kind and name that a person would use: `Pod shop/web-1`, `VirtualMachineInstance shop/db`.
    #[must_use]
    pub fn kind_and_key(&self) -> (&'static str, ObjectKey) {
        match &self.kind {
            WorkloadKind::Pod => ("Pod", self.pod.clone()),
            WorkloadKind::VirtualMachineInstance(name) => {
                ("VirtualMachineInstance", ObjectKey::new(&self.pod.namespace, name))
            }
        }
    }
}

/// What would become of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, and is no work left.
    Skip(SkipReason),
    /// It is evicted, and its controller starts another elsewhere.
    Evict,
    /// It has ended; what is left of it is deleted.
    Delete,
    /// It moves live.
    Migrate(MigrateBy),
    /// The VM is shut down.
    ShutDown {
        /// Whether it starts again by itself.
        restarts: Restarts,
        /// How it is shut down.
        by: ShutDownBy,
    },
    /// It cannot go as things are.
    Blocked(Block),
}

/// Why a workload stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum SkipReason {
    /// A DaemonSet runs it on every node and tolerates the cordon.
    DaemonSet,
    /// The kubelet runs it from a file; the API server cannot stop it.
    Mirror,
    /// The pod selector leaves it out.
    Deselected,
    /// A launcher pod that has ended: it stays behind after every live migration until its VM goes.
    CompletedLauncher,
}

/// Who migrates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum MigrateBy {
    /// Evicting the launcher pod makes KubeVirt's evacuation migrate it, by its queue and limits.
    Evacuation,
    /// Careen makes the migration itself (`vmWithoutStrategy: Migrate`).
    OwnMigration,
}

/// How a VM is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum ShutDownBy {
    /// Its launcher pod is evicted.
    Eviction,
    /// Its VMI is deleted, with its own grace: KubeVirt would refuse an eviction for ever.
    DeletingTheInstance,
}

/// Whether a VM that was shut down starts again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// Yes.
    Yes,
    /// No, or not surely; the sentence says why.
    No(String),
}

/// What is in a workload's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which kind of obstacle.
    pub reason: BlockReason,
    /// A sentence that names the object in the way, and the way out.
    pub message: String,
}

/// Whether waiting can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum BlockClass {
    /// Only a change can help.
    Stuck,
    /// Time can help.
    Waits,
}

/// The kinds of obstacles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum BlockReason {
    /// Stuck: more than one budget covers the pod; the eviction API does not support that.
    SeveralBudgets,
    /// Stuck: its budget allows no disruption even with every pod healthy.
    BudgetNeverAllows,
    /// Stuck: Kubernetes cannot work its budget out.
    BudgetSyncFailed,
    /// Stuck: strategy LiveMigrate, and KubeVirt says that the VM cannot migrate.
    NotLiveMigratable,
    /// Stuck: the VM would have to be shut down and would not start again by itself.
    WillNotRestart,
    /// Stuck: strategy External, and nobody moves it.
    ExternalStrategy,
    /// Stuck: a strategy that this version does not know.
    UnknownStrategy,
    /// Stuck: somebody took KubeVirt's evacuation mark back after Careen had asked for it.
    EvacuationWithdrawn,
    /// Stuck: a launcher pod whose VMI does not exist.
    OrphanedLauncher,
    /// Stuck: no controller would start the pod again.
    UnmanagedPod,
    /// Stuck: the pod's emptyDir data would be lost.
    EmptyDirData,
    /// Stuck: Careen lacks a right.
    Forbidden,
    /// Stuck: the API server or an admission webhook refuses the eviction, and says why.
    EvictionRefused,
    /// Stuck: its controller starts it on this node again and again, whatever the cordon says.
    ReturnsToNode,
    /// Waits: its budget allows no disruption at the moment.
    BudgetExhausted,
    /// Waits: the status of its budget is not up to date yet.
    BudgetNotObserved,
    /// Waits: another pod of the same budget goes first.
    BudgetShared,
    /// Waits: the VM is still starting.
    VirtualMachineStarting,
    /// Waits: its migration has no place in KubeVirt's queue yet.
    MigrationQueued,
    /// Waits: its last migration failed, and KubeVirt (or Careen) tries again after a while.
    MigrationBackoff,
    /// Waits: the pod is the target of a migration to this node.
    MigrationIncoming,
    /// Waits: a hotplugged disk leaves with its VM.
    HotplugFollowsVirtualMachine,
    /// Waits: other workloads leave first.
    OrderedAfterOthers,
    /// Waits: the node does not answer.
    NodeUnreachable,
    /// Waits: the pod has not ended although its grace is over.
    TerminationOverdue,
    /// Waits: its namespace is being deleted, and the pod with it.
    NamespaceTerminating,
    /// Waits: KubeVirt's eviction webhook does not answer.
    WebhookUnavailable,
    /// Waits: the API server is overloaded, fails or does not answer.
    ApiServerUnavailable,
}

/// Its name, the same everywhere.
impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl BlockReason {
    /// Whether waiting can help.
    #[must_use]
    pub fn class(self) -> BlockClass {
        match self {
            Self::SeveralBudgets
            | Self::BudgetNeverAllows
            | Self::BudgetSyncFailed
            | Self::NotLiveMigratable
            | Self::WillNotRestart
            | Self::ExternalStrategy
            | Self::UnknownStrategy
            | Self::EvacuationWithdrawn
            | Self::OrphanedLauncher
            | Self::UnmanagedPod
            | Self::EmptyDirData
            | Self::Forbidden
            | Self::EvictionRefused
            | Self::ReturnsToNode => BlockClass::Stuck,
            Self::BudgetExhausted
            | Self::BudgetNotObserved
            | Self::BudgetShared
            | Self::VirtualMachineStarting
            | Self::MigrationQueued
            | Self::MigrationBackoff
            | Self::MigrationIncoming
            | Self::HotplugFollowsVirtualMachine
            | Self::OrderedAfterOthers
            | Self::NodeUnreachable
            | Self::TerminationOverdue
            | Self::NamespaceTerminating
            | Self::WebhookUnavailable
            | Self::ApiServerUnavailable => BlockClass::Waits,
        }
    }
}

impl Block {
    /// An obstacle. A message of more than 1,000 characters is cut.
    pub fn new(reason: BlockReason, message: impl Into<String>) -> Self {
        Self { reason, message: bounded(message.into()) }
    }

    /// Whether waiting can help.
    #[must_use]
    pub fn class(&self) -> BlockClass {
        self.reason.class()
    }
}

impl From<Block> for Verdict {
    fn from(block: Block) -> Self {
        Self::Blocked(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_the_same_name_in_sentences_and_in_json() {
        for reason in [BlockReason::SeveralBudgets, BlockReason::NodeUnreachable, BlockReason::MigrationIncoming] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.to_string());
        }
    }
}
