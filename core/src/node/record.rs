//! The record: what was done to a node, kept on the node.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Uid;

/// The annotation [`crate::names::RECORD_ANNOTATION`]: who acts on the node, and what there was before. It says what was
/// done; nothing is ever started because of it. It is written in the same write as the cordon and the taint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who acts.
    pub actor: Actor,
    /// UID of the Node that was changed: a node re-created under its name was not.
    pub node_uid: Uid,
    /// Whether somebody else had cordoned the node before; then it stays cordoned afterwards.
    pub was_unschedulable: bool,
    /// Key of the taint (effect NoSchedule) that was added; absent where it was there already or none was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_taint: Option<String>,
    /// UIDs of the VMIs whose evacuation was asked for; written before the eviction is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evacuations: Vec<Uid>,
    /// When the node was changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// Who acts on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// What kind of operation.
    pub kind: ActorKind,
    /// Name of the `NodeMaintenance`; for a drain its id.
    pub name: String,
    /// UID of the `NodeMaintenance`; for a drain its id.
    pub uid: Uid,
}

/// What kind of operation acts on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ActorKind {
    /// A `NodeMaintenance`.
    Maintenance,
    /// A drain that was ordered over the network and is carried out by the leader.
    Order,
    /// A drain in somebody's own process; only reported by others.
    Process,
}

impl Actor {
    /// The holder that this actor writes into the node Lease.
    #[must_use]
    pub fn lease_holder(&self) -> String {
        match self.kind {
            ActorKind::Maintenance => format!("careen/maintenance/{}", self.uid),
            ActorKind::Order | ActorKind::Process => format!("careen/drain/{}", self.uid),
        }
    }
}
