//! The `NodeMaintenance` resource, and its CustomResourceDefinition.

#![expect(clippy::duplicated_attributes, reason = "the columns of `kubectl get` are attributes that look alike")]

use jiff::Timestamp;
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Actor, ActorKind, BlockClass, BlockReason, DrainSpec, InvalidNodeName, NodeName, Notices, Record, Report, Uid,
};
use crate::schema::without_description;

/// What is wanted: a node out of service, for as long as this object exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "nodemaintenance.kubevirt.io",
    version = "v1beta1",
    kind = "NodeMaintenance",
    plural = "nodemaintenances",
    singular = "nodemaintenance",
    shortname = "nm",
    status = "NodeMaintenanceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A node that is out of service for as long as this object exists: cordoned, tainted and drained. Deleting it puts the node back as it was.",
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "integer", json_path = ".status.drainProgress"),
    printcolumn(name = "Blocked", type_ = "integer", json_path = ".status.blocked"),
    printcolumn(name = "Ticket", type_ = "string", json_path = ".spec.ticket.id"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeMaintenanceSpec {
    /// The node to take out of service. It cannot be changed.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    #[x_kube(validation = ("self == oldSelf", "nodeName cannot be changed: delete this NodeMaintenance and create one for the other node"))]
    pub node_name: String,
    /// Why, in words for other people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 4096))]
    pub reason: Option<String>,
    /// The ticket that this maintenance belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// How the node is drained. May be changed while the maintenance lives; a change tries again what had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainSpec>,
}

/// A ticket in somebody's ticketing system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// Its id there.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub id: String,
    /// Where a person can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2048))]
    pub url: Option<String>,
}

/// What has become of it. The first eight fields are those that node-maintenance-operator has always shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeMaintenanceStatus {
    /// Running while the node is being drained, Succeeded once it is, Failed if it was not accepted or ran out of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// How many of a hundred workloads have left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_progress: Option<i32>,
    /// When this status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_update: Option<Timestamp>,
    /// What is wrong at present; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Names of the pods that have still to leave (the first hundred).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_pods: Vec<String>,
    /// How many pods were on the node when the drain began.
    #[serde(default, rename = "totalpods", skip_serializing_if = "Option::is_none")]
    pub total_pods: Option<i32>,
    /// How many pods had or have to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction_pods: Option<i32>,
    /// How often the node Lease was found in other hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_on_lease_count: Option<i32>,
    /// The generation of the spec that was last decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Draining, Drained, Stuck, Degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When the maintenance was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
    /// When the node was first drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub drained_at: Option<Timestamp>,
    /// How many workloads are blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<i32>,
    /// What blocks them: the first twenty, those first that only a change can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocking: Vec<Blocking>,
    /// What was done to the node: a copy of the record that is kept on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// What has become of the VMs that had to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// What somebody is told about it, and how far that was delivered; absent where nobody wants to hear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notices: Option<Notices>,
}

/// The well-known phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum Phase {
    /// The node is being drained.
    Running,
    /// The node is drained.
    Succeeded,
    /// Not accepted (the node is untouched), or out of time (the node stays cordoned).
    Failed,
}

/// One workload that is blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocking {
    /// `Pod` or `VirtualMachineInstance`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether time can help (`Waits`) or only a change (`Stuck`).
    pub class: BlockClass,
    /// Which kind of obstacle.
    pub reason: BlockReason,
    /// A sentence that names the object in the way.
    pub message: String,
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// The condition types of a `NodeMaintenance`.
pub mod condition {
    /// Whether the node may go out of service.
    pub const ACCEPTED: &str = "Accepted";
    /// Whether workloads have still to leave.
    pub const DRAINING: &str = "Draining";
    /// Whether the node is empty.
    pub const DRAINED: &str = "Drained";
    /// Whether at least one workload waits for a change that only somebody can make.
    pub const STUCK: &str = "Stuck";
    /// Whether something is wrong with the maintenance itself.
    pub const DEGRADED: &str = "Degraded";
}

impl NodeMaintenance {
    /// The node that it is about.
    pub fn node(&self) -> Result<NodeName, InvalidNodeName> {
        self.spec.node_name.parse()
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// `metadata.uid`; empty for one that the API server has not stamped.
    #[must_use]
    pub fn uid(&self) -> Uid {
        Uid(self.metadata.uid.clone().unwrap_or_default())
    }

    /// Who acts on the node for it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { kind: ActorKind::Maintenance, name: self.name().to_owned(), uid: self.uid() }
    }

    /// Whether it is being stopped: it was deleted, and goes when its node is restored.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The condition of that type, if it has been set.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.status.as_ref().and_then(|status| status.conditions.iter().find(|condition| condition.type_ == type_))
    }

    /// Whether the condition of that type is `True`.
    #[must_use]
    pub fn says(&self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == "True")
    }
}

/// The CustomResourceDefinition, as `careen crd` prints it.
#[must_use]
pub fn custom_resource_definition() -> CustomResourceDefinition {
    NodeMaintenance::crd()
}
