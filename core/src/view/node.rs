//! A node, as people see it: without its workloads, which not everybody may see.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::Serialize;

use super::{DrainPhaseView, MaintenancePhaseView, Views};
use crate::{
    model::{ActorKind, ConditionStatus, Node, NodeName, Readiness, Record, RecordReading, Ticket, Uid},
    operation::Holder,
};

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Node")]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Its UID.
    pub uid: Uid,
    /// Its resourceVersion.
    pub resource_version: String,
    /// When it joined.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created_at: Option<Timestamp>,
    /// Whether its kubelet says that it is ready.
    pub ready: bool,
    /// Since when it is, or is not.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub ready_since: Option<Timestamp>,
    /// Why it is not.
    pub not_ready_message: Option<String>,
    /// Whether new pods may come.
    pub schedulable: bool,
    /// Its roles, by its labels.
    pub roles: Vec<String>,
    /// The version of its kubelet.
    pub kubelet_version: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints, in their order.
    pub taints: Vec<TaintView>,
    /// Its conditions.
    pub conditions: Vec<ConditionView>,
    /// How many pods are bound to it.
    pub pods: usize,
    /// How many VMs run on it.
    pub virtual_machine_instances: usize,
    /// Who of Careen acts on it.
    pub acting: Option<ActingView>,
    /// The maintenance that it has.
    pub maintenance: Option<MaintenanceReference>,
    /// The drain that runs, or the last one.
    pub drain: Option<DrainReference>,
    /// What was done to it.
    pub record: Option<Record>,
    /// What is wrong with its record.
    pub record_problem: Option<String>,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NodeTaint")]
pub struct TaintView {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Option<String>,
    /// Its effect.
    pub effect: String,
    /// When it was added, where Kubernetes keeps that.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub time_added: Option<Timestamp>,
}

/// A condition of a node or a maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Condition")]
pub struct ConditionView {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// Since when its status is so.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
}

/// Who of Careen acts on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Acting")]
pub struct ActingView {
    /// What kind of operation.
    pub kind: ActorKind,
    /// Name of the `NodeMaintenance`; for a drain its id.
    pub name: String,
    /// The holder of the node Lease, as it follows from the record on the node; absent before the node was changed.
    pub lease_holder: Option<String>,
    /// Whether no controller is known to carry it out: a drain in somebody's process, or what one has left behind.
    pub may_be_left_behind: bool,
}

/// The maintenance of a node, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceReference {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub phase: MaintenancePhaseView,
    /// Why.
    pub reason: Option<String>,
    /// The ticket that it belongs to.
    pub ticket: Option<Ticket>,
    /// When it was accepted.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
    /// How many of a hundred workloads have left.
    pub drain_progress: Option<i32>,
    /// How many workloads are blocked.
    pub blocked: Option<i32>,
}

/// The drain of a node, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainReference {
    /// Its id.
    pub id: Uid,
    /// Who carries it out.
    pub kind: ActorKind,
    /// Where it stands.
    pub phase: DrainPhaseView,
    /// Who ordered it.
    pub requested_by: Option<String>,
    /// When it began.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        Self {
            type_: condition.type_.clone(),
            status: condition.status.as_str().into(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            since: Some(condition.last_transition_time.0),
        }
    }
}

impl Views {
    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<NodeView> {
        self.snapshot.node(name).map(|node| self.node_view(node))
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView> {
        self.snapshot.nodes().map(|node| self.node_view(node))
    }

    fn node_view(&self, node: &Node) -> NodeView {
        let ready = node.conditions.iter().find(|condition| condition.type_ == "Ready");
        let (record, record_problem) = match Record::read(node) {
            RecordReading::Absent => (None, None),
            RecordReading::Present(record) if record.node_uid == node.uid => (Some(record), None),
            RecordReading::Present(record) => {
                (None, Some(format!("the record is about a Node with UID {}, not this one", record.node_uid)))
            }
            RecordReading::Unreadable(error) => (None, Some(error.to_string())),
        };
        NodeView {
            name: node.name.clone(),
            uid: node.uid.clone(),
            resource_version: node.resource_version.clone(),
            created_at: node.created,
            ready: node.is_ready(),
            ready_since: ready.and_then(|condition| condition.since),
            not_ready_message: match &node.readiness {
                Readiness::Ready => None,
                Readiness::NotReady { message, .. } => Some(message.clone()),
            },
            schedulable: !node.unschedulable,
            roles: roles(&node.labels),
            kubelet_version: node.kubelet_version.clone(),
            labels: node.labels.clone(),
            taints: taints(node),
            conditions: conditions(node),
            pods: self.snapshot.count_pods_on(&node.name),
            virtual_machine_instances: self.snapshot.count_virtual_machine_instances_on(&node.name),
            acting: self.acting_view(node, record.as_ref()),
            maintenance: self.maintenance_reference(&node.name),
            drain: self.drain_reference(&node.name),
            record,
            record_problem,
        }
    }

    fn acting_view(&self, node: &Node, record: Option<&Record>) -> Option<ActingView> {
        let (kind, name, may_be_left_behind) = match self.holder_of(node) {
            Holder::Nobody => return None,
            Holder::Maintenance(name) => (ActorKind::Maintenance, name, false),
            Holder::Drain(id) => (ActorKind::Order, id, false),
            Holder::LeftBehind(record) => (record.actor.kind, record.actor.name, true),
        };
        let lease_holder = record.map(|record| record.actor.lease_holder());
        Some(ActingView { kind, name, lease_holder, may_be_left_behind })
    }

    fn maintenance_reference(&self, node: &NodeName) -> Option<MaintenanceReference> {
        let object = self.maintenance_of(node)?;
        let status = object.status.as_ref();
        Some(MaintenanceReference {
            name: object.name().to_owned(),
            phase: MaintenancePhaseView::of(object),
            reason: object.spec.reason.clone(),
            ticket: object.spec.ticket.clone(),
            started_at: status.and_then(|status| status.started_at),
            drain_progress: status.and_then(|status| status.drain_progress),
            blocked: status.and_then(|status| status.blocked),
        })
    }

    fn drain_reference(&self, node: &NodeName) -> Option<DrainReference> {
        let drain = self.drain(node)?;
        Some(DrainReference {
            id: drain.id,
            kind: drain.kind,
            phase: drain.phase,
            requested_by: drain.requested_by,
            started_at: drain.started_at,
        })
    }
}

fn roles(labels: &BTreeMap<String, String>) -> Vec<String> {
    let by_name = labels.keys().filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"));
    let by_value = labels.get("kubernetes.io/role").map(String::as_str);
    let roles = by_name.chain(by_value).filter(|role| !role.is_empty());
    roles.collect::<std::collections::BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

fn taints(node: &Node) -> Vec<TaintView> {
    let taints = node.taints.iter().map(|taint| TaintView {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect.clone(),
        time_added: taint.time_added.as_ref().map(|time| time.0),
    });
    taints.collect()
}

fn conditions(node: &Node) -> Vec<ConditionView> {
    let conditions = node.conditions.iter().map(|condition| ConditionView {
        type_: condition.type_.clone(),
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: condition.since,
    });
    conditions.collect()
}
