//! What changes answer with, in both faces.

use careen_core::{
    model::{Actor, Node},
    operation::{MigrationCancelled, MigrationRequested, NodeChanged},
};
use schemars::JsonSchema;
use serde::Serialize;

/// What became of a node. Each face shows the node with it in its own way.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeChange {
    /// Whether something was (for a dry run: would be) changed.
    changed: bool,
    /// Whose record the node was restored from, if it carried one that was left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_from: Option<Actor>,
    /// What is worth knowing, in sentences.
    warnings: Vec<String>,
}

impl NodeChange {
    /// That, and the node that the API server has answered with.
    pub(crate) fn of(changed: NodeChanged) -> (Self, Node) {
        let NodeChanged { node, changed, restored_from, warnings } = changed;
        (Self { changed, restored_from, warnings }, node)
    }
}

/// A migration that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MigrationRequested")]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestedMigration {
    /// The namespace.
    pub(crate) namespace: String,
    /// The name of the VMI.
    pub(crate) virtual_machine_instance: String,
    /// The name of the migration; there is none for a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) migration: Option<String>,
}

impl From<MigrationRequested> for RequestedMigration {
    fn from(MigrationRequested { instance, migration }: MigrationRequested) -> Self {
        Self {
            namespace: instance.namespace,
            virtual_machine_instance: instance.name,
            migration: migration.map(|key| key.name),
        }
    }
}

/// A migration that is cancelled.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MigrationCancelled")]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelledMigration {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether KubeVirt makes another, because the VM is still to leave its node: a maintenance or a drain asks for
    /// that.
    made_again: bool,
}

impl From<MigrationCancelled> for CancelledMigration {
    fn from(MigrationCancelled { key, already: _, made_again }: MigrationCancelled) -> Self {
        Self { namespace: key.namespace, name: key.name, made_again }
    }
}
