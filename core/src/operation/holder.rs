//! Who acts on a node, as the caches show it: pure.

use crate::{
    cluster::Snapshot,
    model::{ActorKind, Node, NodeMaintenance, NodeName, Record},
    plan::{MaintenanceDecision, maintenance_decision},
};

use super::OperationError;

/// Who acts on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody that is known of.
    Nobody,
    /// The maintenance of that name.
    Maintenance(String),
    /// The drain with that id.
    Drain(String),
    /// Perhaps nobody: the node carries the record of an operation that the caches do not show. Whoever must be sure
    /// asks the API server.
    LeftBehind(Record),
}

impl Holder {
    /// Refuses what must not be done while somebody acts.
    pub fn refuse(&self, node: &NodeName) -> Result<(), OperationError> {
        match self {
            Self::Maintenance(by) => Err(OperationError::UnderMaintenance { node: node.clone(), by: by.clone() }),
            // That of a process is known by its record only.
            Self::Drain(by) => {
                let (node, by) = (node.clone(), by.clone());
                Err(OperationError::DrainInProgress { node, by, kind: ActorKind::Order })
            }
            Self::Nobody | Self::LeftBehind(_) => Ok(()),
        }
    }
}

/// Whether that maintenance was accepted.
pub(crate) fn is_accepted(object: &NodeMaintenance) -> bool {
    maintenance_decision(object) == MaintenanceDecision::Accepted
}

/// Who acts on that node.
///
/// A maintenance acts from its acceptance until its object is gone, a drain from its order until its outcome. A
/// maintenance on which nobody has decided does not act yet.
#[must_use]
pub fn holder(node: &Node, snapshot: &Snapshot) -> Holder {
    let accepted = snapshot.maintenances_of(&node.name).find(|object| is_accepted(object));
    holder_with(node, accepted.map(AsRef::as_ref), snapshot)
}

/// As [`holder`], for whoever knows the accepted maintenance of the node, if there is one.
pub(crate) fn holder_with(node: &Node, accepted: Option<&NodeMaintenance>, snapshot: &Snapshot) -> Holder {
    if let Some(object) = accepted {
        return Holder::Maintenance(object.name().to_owned());
    }
    if let Some(order) = snapshot.drain_order(&node.name).filter(|order| !order.is_finished()) {
        return Holder::Drain(order.id().0.clone());
    }
    let Some(record) = Record::of(node) else { return Holder::Nobody };
    let lives = record.actor.kind == ActorKind::Maintenance
        && snapshot.maintenance(&record.actor.name).is_some_and(|object| object.uid() == record.actor.uid);
    if lives { Holder::Maintenance(record.actor.name) } else { Holder::LeftBehind(record) }
}
