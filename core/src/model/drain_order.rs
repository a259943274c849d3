//! A drain that was ordered over the network: a `ConfigMap` in Careen's own namespace, one for each node.
//!
//! What is wanted and what has become of it are two entries of its data, as spec and status of a resource: the first is
//! written by whoever takes the request, the second by the leader, which carries it out.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Actor, ActorKind, Blocking, DrainSpec, NodeName, Trouble, Uid};
use crate::names::shortened;

/// A drain order.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainOrder {
    /// Name of the `ConfigMap`; follows from the node ([`DrainOrder::name_for`]).
    pub name: String,
    /// `metadata.uid` of the `ConfigMap`, which outlives one order.
    pub uid: Uid,
    /// `metadata.resourceVersion`: the precondition of every write.
    pub resource_version: String,
    /// What is wanted.
    pub request: DrainRequest,
    /// What has become of it.
    pub status: DrainStatus,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainRequest {
    /// Tells this drain from an earlier one of the node.
    pub id: Uid,
    /// The node.
    pub node: NodeName,
    /// UID of the Node when it was ordered: a node that comes back under its name is not drained for it.
    pub node_uid: Uid,
    /// Who ordered it, as far as the service knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub options: DrainSpec,
    /// When it was ordered, to the second.
    pub created_at: Timestamp,
    /// It is to end before it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelRequest>,
}

/// That a drain is to end before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequest {
    /// Who wants it, as far as the service knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// When it was asked for.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

/// What has become of an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// The order that this is about: what was said of an earlier one does not count.
    #[serde(default)]
    pub id: Uid,
    /// When the leader took it up; absent as long as nothing was done to the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How many workloads had or have to leave.
    #[serde(default)]
    pub had_to_leave: usize,
    /// How many workloads are blocked.
    #[serde(default)]
    pub blocked: usize,
    /// What blocks them: the first twenty, those first that only a change can help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocking: Vec<Blocking>,
    /// What is wrong with the drain itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DrainOutcome>,
}

/// How a drain ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainOutcome {
    /// In which way.
    pub end: DrainEnd,
    /// A reason of the vocabulary where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence.
    pub message: String,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// How many workloads were left that had to leave.
    #[serde(default)]
    pub left: usize,
    /// What was asked of KubeVirt and could not be taken back, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<String>,
}

/// The ways in which a drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DrainEnd {
    /// Nothing is left on the node that had to leave.
    Drained,
    /// It was cancelled; the node stays cordoned.
    Cancelled,
    /// Its time was over; the node stays cordoned.
    TimedOut,
    /// The node left the cluster.
    NodeGone,
    /// It was refused; the node was not touched.
    Refused,
}

/// Why a `ConfigMap` is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDrainOrder {
    /// An entry is missing.
    #[error("its data has no entry {0}")]
    Missing(&'static str),
    /// An entry is not what it should be.
    #[error("the entry {entry} of its data cannot be read: {problem}")]
    Unreadable {
        /// The entry.
        entry: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It is about another node than its name says.
    #[error("its name does not belong to node {0}")]
    OtherName(NodeName),
}

impl DrainOrder {
    /// The entry of the data that holds what is wanted.
    pub const REQUEST: &'static str = "request";
    /// The entry of the data that holds what has become of it.
    pub const STATUS: &'static str = "status";

    /// The name of the `ConfigMap` for that node.
    #[must_use]
    pub fn name_for(node: &NodeName) -> String {
        shortened(&format!("drain-{node}"), "")
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Uid {
        &self.request.id
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.request.node
    }

    /// Who acts on the node for it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { kind: ActorKind::Order, name: self.request.id.0.clone(), uid: self.request.id.clone() }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.status.outcome.is_some()
    }

    /// Whether the leader has taken it up.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.status.started_at.is_some()
    }
}

impl TryFrom<ConfigMap> for DrainOrder {
    type Error = InvalidDrainOrder;

    fn try_from(object: ConfigMap) -> Result<Self, InvalidDrainOrder> {
        let data = object.data.unwrap_or_default();
        let request = data.get(Self::REQUEST).ok_or(InvalidDrainOrder::Missing(Self::REQUEST))?;
        let unreadable =
            |entry| move |error: serde_json::Error| InvalidDrainOrder::Unreadable { entry, problem: error.to_string() };
        let request: DrainRequest = serde_json::from_str(request).map_err(unreadable(Self::REQUEST))?;
        let status: Option<DrainStatus> = data
            .get(Self::STATUS)
            .map(|text| serde_json::from_str(text))
            .transpose()
            .map_err(unreadable(Self::STATUS))?;
        let name = object.metadata.name.unwrap_or_default();
        if name != Self::name_for(&request.node) {
            return Err(InvalidDrainOrder::OtherName(request.node));
        }
        Ok(Self {
            name,
            uid: Uid(object.metadata.uid.unwrap_or_default()),
            resource_version: object.metadata.resource_version.unwrap_or_default(),
            status: status.filter(|status| status.id == request.id).unwrap_or_default(),
            request,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(name: &str, request: &str, status: &Value) -> Result<DrainOrder, InvalidDrainOrder> {
        let object = json!({
            "metadata": { "name": name, "uid": "u", "resourceVersion": "7" },
            "data": { "request": request, "status": status.to_string() },
        });
        serde_json::from_value::<ConfigMap>(object).unwrap().try_into()
    }

    #[test]
    fn an_order_is_read_or_told_what_is_wrong_with_it() {
        let request =
            json!({ "id": "d1", "node": "node02", "nodeUid": "n", "createdAt": "2026-01-01T00:00:00Z" }).to_string();
        let order = read("drain-node02", &request, &json!({ "id": "d1", "hadToLeave": 3 })).unwrap();
        assert_eq!((order.id().as_str(), order.status.had_to_leave, order.has_begun()), ("d1", 3, false));
        let of_another = read("drain-node02", &request, &json!({ "id": "d0", "hadToLeave": 3 })).unwrap();
        assert_eq!(of_another.status, DrainStatus::default(), "what was said of an earlier one does not count");
        for (name, request, said) in [
            ("drain-node03", request.as_str(), "node02"),
            ("drain-node02", "{", "request"),
            ("drain-node02", &request.replace("node02", "NODE 02"), "node name"),
        ] {
            let error = read(name, request, &json!({})).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(DrainOrder::try_from(ConfigMap::default()), Err(InvalidDrainOrder::Missing("request")));
    }
}
