//! A Node, trimmed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self, Taint};
use schemars::JsonSchema;
use serde::Serialize;

use super::{InvalidNodeName, NodeName, Resources, Uid};
use crate::names::RECORD_ANNOTATION;

/// What the engine knows of a Node.
#[derive(Clone, Debug)]
pub struct Node {
    /// `metadata.name`.
    pub name: NodeName,
    /// `metadata.uid`: a node re-created under the same name has another.
    pub uid: Uid,
    /// `metadata.resourceVersion`: the precondition of every write.
    pub resource_version: String,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The text of the annotation [`RECORD_ANNOTATION`], as found.
    pub record: Option<String>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `spec.taints`, in their order.
    pub taints: Vec<Taint>,
    /// The condition `Ready`.
    pub readiness: Readiness,
    /// `status.conditions`.
    pub conditions: Vec<NodeCondition>,
    /// `status.nodeInfo.kubeletVersion`.
    pub kubelet_version: Option<String>,
    /// `status.allocatable`.
    pub allocatable: Resources,
}

/// The Node condition `Ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// `True`.
    Ready,
    /// `False` or `Unknown`, or no such condition yet: the kubelet does not answer for its pods.
    NotReady {
        /// What Kubernetes says about it.
        message: String,
        /// When it changed, if told.
        since: Option<Timestamp>,
    },
}

/// One entry of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCondition {
    /// The condition's type.
    pub type_: String,
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// When its status last changed, if told.
    pub since: Option<Timestamp>,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows.
    Unknown,
}

impl From<&str> for ConditionStatus {
    fn from(status: &str) -> Self {
        match status {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

impl Node {
    /// Whether the kubelet says that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// Whether the condition of that type is `True`.
    #[must_use]
    pub fn has_condition(&self, type_: &str) -> bool {
        self.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == ConditionStatus::True)
    }

    /// Whether the Node has a taint with that key and effect.
    #[must_use]
    pub fn has_taint(&self, key: &str, effect: &str) -> bool {
        self.taints.iter().any(|taint| taint.key == key && taint.effect == effect)
    }
}

impl TryFrom<v1::Node> for Node {
    type Error = InvalidNodeName;

    fn try_from(node: v1::Node) -> Result<Self, Self::Error> {
        let metadata = node.metadata;
        let spec = node.spec.unwrap_or_default();
        let status = node.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        Ok(Self {
            name: metadata.name.unwrap_or_default().parse()?,
            uid: Uid(metadata.uid.unwrap_or_default()),
            resource_version: metadata.resource_version.unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0),
            labels: metadata.labels.unwrap_or_default(),
            record: metadata.annotations.and_then(|mut annotations| annotations.remove(RECORD_ANNOTATION)),
            unschedulable: spec.unschedulable.unwrap_or(false),
            taints: spec.taints.unwrap_or_default(),
            readiness: readiness(&conditions),
            conditions: conditions
                .into_iter()
                .map(|condition| NodeCondition {
                    status: ConditionStatus::from(condition.status.as_str()),
                    since: condition.last_transition_time.map(|time| time.0),
                    type_: condition.type_,
                    reason: condition.reason.unwrap_or_default(),
                    message: condition.message.unwrap_or_default(),
                })
                .collect(),
            kubelet_version: status.node_info.map(|info| info.kubelet_version),
            allocatable: status.allocatable.as_ref().map(Resources::from_quantities).unwrap_or_default(),
        })
    }
}

fn readiness(conditions: &[v1::NodeCondition]) -> Readiness {
    match conditions.iter().find(|condition| condition.type_ == "Ready") {
        Some(condition) if condition.status == "True" => Readiness::Ready,
        Some(condition) => Readiness::NotReady {
            message: condition.message.clone().unwrap_or_default(),
            since: condition.last_transition_time.as_ref().map(|time| time.0),
        },
        None => Readiness::NotReady { message: "the kubelet has not reported yet".to_owned(), since: None },
    }
}
