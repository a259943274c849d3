//! A `NodeMaintenance`, as people see it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ConditionView, Views};
use crate::{
    model::{Blocking, DrainSpec, NodeMaintenance, NodeName, Phase, Ticket, Uid},
    names::REQUESTED_BY_ANNOTATION,
    plan::usual_maintenance_of,
};

/// A `NodeMaintenance`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Maintenance")]
pub struct MaintenanceView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
    /// Its resourceVersion: what a precondition names.
    pub resource_version: String,
    /// The node, as it stands there.
    pub node: String,
    /// Why.
    pub reason: Option<String>,
    /// The ticket that it belongs to.
    pub ticket: Option<Ticket>,
    /// How the node is drained, as far as somebody said.
    pub drain: Option<DrainSpec>,
    /// Who asked the service for it; no proof where it was made by other means.
    pub requested_by: Option<String>,
    /// Where it stands.
    pub phase: MaintenancePhaseView,
    /// Whether it was accepted; absent until that is decided.
    pub accepted: Option<bool>,
    /// Its conditions.
    pub conditions: Vec<ConditionView>,
    /// How many of a hundred workloads have left.
    pub drain_progress: Option<i32>,
    /// How many pods were on the node when the drain began.
    pub total_pods: Option<i32>,
    /// How many pods had or have to leave.
    pub eviction_pods: Option<i32>,
    /// How many workloads are blocked.
    pub blocked: Option<i32>,
    /// What blocks them: the first twenty, those first that only a change can help.
    pub blocking: Vec<Blocking>,
    /// What is wrong.
    pub last_error: Option<String>,
    /// When it was made.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created_at: Option<Timestamp>,
    /// When it was accepted.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
    /// When the node was first drained.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub drained_at: Option<Timestamp>,
    /// When its end was asked for.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub stopping_since: Option<Timestamp>,
    /// When its status last changed.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_update: Option<Timestamp>,
}

/// Where a maintenance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[schemars(rename = "MaintenancePhase")]
pub enum MaintenancePhaseView {
    /// Nobody has decided yet: no controller has taken it up.
    Undecided,
    /// The node is being drained.
    Running,
    /// The node is drained.
    Succeeded,
    /// Not accepted, or out of time.
    Failed,
    /// It ends: the node is being restored.
    Stopping,
    /// It has ended: the node is as it was, and the resource is gone.
    Ended,
}

impl MaintenanceView {
    /// One that has ended, as it was last seen.
    #[must_use]
    pub fn ended(object: &NodeMaintenance) -> Self {
        Self { phase: MaintenancePhaseView::Ended, ..Self::from(object) }
    }
}

impl From<&NodeMaintenance> for MaintenanceView {
    fn from(object: &NodeMaintenance) -> Self {
        let metadata = &object.metadata;
        let status = object.status.clone().unwrap_or_default();
        let accepted = object.condition(crate::maintenance::condition::ACCEPTED);
        let annotations = metadata.annotations.as_ref();
        Self {
            name: object.name().to_owned(),
            uid: object.uid(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            node: object.spec.node_name.clone(),
            reason: object.spec.reason.clone(),
            ticket: object.spec.ticket.clone(),
            drain: object.spec.drain.clone(),
            requested_by: annotations.and_then(|found| found.get(REQUESTED_BY_ANNOTATION)).cloned(),
            phase: MaintenancePhaseView::of(object),
            accepted: accepted.map(|condition| condition.status == "True"),
            conditions: status.conditions.iter().map(ConditionView::from).collect(),
            drain_progress: status.drain_progress,
            total_pods: status.total_pods,
            eviction_pods: status.eviction_pods,
            blocked: status.blocked,
            blocking: status.blocking,
            last_error: status.last_error,
            created_at: metadata.creation_timestamp.as_ref().map(|time| time.0),
            started_at: status.started_at,
            drained_at: status.drained_at,
            stopping_since: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            last_update: status.last_update,
        }
    }
}

impl MaintenancePhaseView {
    pub(super) fn of(object: &NodeMaintenance) -> Self {
        if object.is_stopping() {
            return Self::Stopping;
        }
        match object.status.as_ref().and_then(|status| status.phase) {
            None => Self::Undecided,
            Some(Phase::Running) => Self::Running,
            Some(Phase::Succeeded) => Self::Succeeded,
            Some(Phase::Failed) => Self::Failed,
        }
    }
}

impl Views {
    /// The maintenance of that name.
    #[must_use]
    pub fn maintenance(&self, name: &str) -> Option<MaintenanceView> {
        self.snapshot.maintenance(name).map(|object| MaintenanceView::from(&**object))
    }

    /// All maintenances, by name.
    pub fn maintenances(&self) -> impl Iterator<Item = MaintenanceView> {
        self.snapshot.maintenances().map(|object| MaintenanceView::from(&**object))
    }

    /// The maintenance that a node has.
    #[must_use]
    pub fn maintenance_on(&self, node: &NodeName) -> Option<MaintenanceView> {
        self.maintenance_of(node).map(|object| MaintenanceView::from(&**object))
    }

    /// The maintenance that a start or a stop of that node acts on: the one that it has, or else the one of the usual
    /// name, which was refused.
    #[must_use]
    pub fn maintenance_acted_on(&self, node: &NodeName) -> Option<MaintenanceView> {
        let found = self.maintenance_of(node).or_else(|| usual_maintenance_of(node, &self.snapshot));
        found.map(|object| MaintenanceView::from(&**object))
    }
}
