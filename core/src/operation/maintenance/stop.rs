//! Stop a maintenance.

use std::sync::Arc;

use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};

use super::resource::{contended, failure};
use crate::{
    answer::{Answer, REQUEST_TIMEOUT},
    cluster::Snapshot,
    model::{NodeMaintenance, NodeName, Uid},
    operation::{ATTEMPTS, OperationError, Operations},
    plan::{maintenance_of, usual_maintenance_of},
};

/// A maintenance is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopMaintenance {
    /// Which.
    pub target: StopTarget,
    /// Only if it belongs to that ticket.
    pub ticket: Option<String>,
    /// Only if it is still at one of these versions.
    pub resource_version: Option<Vec<String>>,
    /// Whatever ticket it belongs to, and whatever its version.
    pub force: bool,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// Which maintenance is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopTarget {
    /// That of a node, whatever its name.
    OfNode(NodeName),
    /// The one of that name.
    Named(String),
    /// That one, and none that has its name or its node now.
    Exactly {
        /// Its name.
        name: String,
        /// Its UID.
        uid: Uid,
    },
}

/// A maintenance that ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// It, as it was last known.
    pub object: Arc<NodeMaintenance>,
    /// Whether it was being stopped already.
    pub already: bool,
}

impl Operations {
    /// Stops a maintenance: its object is deleted, and goes when the node is restored.
    pub async fn stop_maintenance(&self, request: &StopMaintenance) -> Result<Stopped, OperationError> {
        let mut snapshot = self.cluster.snapshot();
        // Who has a UID has just made it, perhaps: the caches may be behind.
        if let StopTarget::Exactly { name, .. } = &request.target
            && decide_stop(request, &snapshot).is_err()
        {
            self.refresh(&mut snapshot, name).await?;
        }
        for _ in 0..ATTEMPTS {
            let object = decide_stop(request, &snapshot)?;
            let already = object.is_stopping();
            if already || request.dry_run {
                return Ok(Stopped { object, already });
            }
            // What was looked at is what goes: a ticket that is changed in between is looked at again.
            let params = DeleteParams::default().preconditions(Preconditions {
                uid: object.metadata.uid.clone(),
                resource_version: object.metadata.resource_version.clone(),
            });
            let api = Api::<NodeMaintenance>::all(self.cluster.client().clone());
            match Answer::within(REQUEST_TIMEOUT, api.delete(object.name(), &params)).await {
                Answer::Done(_) => return Ok(Stopped { object, already: false }),
                Answer::Refused(status) if status.is_conflict() || status.is_not_found() => {}
                failed => return Err(failure("delete", object.name(), failed)),
            }
            self.refresh(&mut snapshot, object.name()).await?;
        }
        Err(contended("the maintenance"))
    }
}

fn decide_stop(request: &StopMaintenance, snapshot: &Snapshot) -> Result<Arc<NodeMaintenance>, OperationError> {
    let object = match &request.target {
        StopTarget::Named(name) => snapshot.maintenance(name).ok_or_else(|| format!("NodeMaintenance {name}")),
        StopTarget::Exactly { name, uid } => {
            let found = snapshot.maintenance(name).filter(|object| object.uid() == *uid);
            found.ok_or_else(|| format!("NodeMaintenance {name} with UID {uid}"))
        }
        StopTarget::OfNode(node) => {
            let found = maintenance_of(node, snapshot).or_else(|| usual_maintenance_of(node, snapshot));
            found.ok_or_else(|| format!("a maintenance of node {node}"))
        }
    };
    let object = object.map_err(|what| OperationError::MaintenanceNotFound { what })?;
    let ticket = object.spec.ticket.as_ref().map(|ticket| ticket.id.clone());
    if let Some(named) = &request.ticket
        && ticket.as_ref() != Some(named)
        && !request.force
    {
        let name = object.name().to_owned();
        return Err(OperationError::TicketMismatch { name, ticket, named: named.clone() });
    }
    let found = object.metadata.resource_version.clone().unwrap_or_default();
    match &request.resource_version {
        Some(expected) if !expected.contains(&found) && !request.force => {
            let what = format!("NodeMaintenance {}", object.name());
            Err(OperationError::PreconditionFailed { what, expected: expected.join(" or "), found })
        }
        _ => Ok(object.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Ticket,
        testing::{maintenance, node, node_name},
    };

    #[test]
    fn a_stop_names_what_it_means() {
        let mut running = maintenance("m", "node02").decided(true);
        running.spec.ticket = Some(Ticket { id: "CHG1".to_owned(), url: None });
        running.metadata.resource_version = Some("7".to_owned());
        let snapshot = Snapshot::default().with(node("node02")).with(running);
        let stop = || StopMaintenance {
            target: StopTarget::OfNode(node_name("node02")),
            ticket: None,
            resource_version: None,
            force: false,
            dry_run: false,
        };
        let reason = |request: StopMaintenance| {
            decide_stop(&request, &snapshot).map_err(|error| error.reason()).err().unwrap_or("goes")
        };
        assert_eq!(reason(stop()), "goes");
        assert_eq!(reason(StopMaintenance { ticket: Some("CHG1".into()), ..stop() }), "goes");
        assert_eq!(reason(StopMaintenance { ticket: Some("CHG2".into()), ..stop() }), "TicketMismatch");
        assert_eq!(reason(StopMaintenance { ticket: Some("CHG2".into()), force: true, ..stop() }), "goes");
        let old = || StopMaintenance { resource_version: Some(vec!["6".into()]), ..stop() };
        assert_eq!(reason(StopMaintenance { resource_version: Some(vec!["6".into(), "7".into()]), ..stop() }), "goes");
        assert_eq!(reason(old()), "PreconditionFailed");
        assert_eq!(reason(StopMaintenance { force: true, ..old() }), "goes");
        assert_eq!(reason(StopMaintenance { target: StopTarget::Named("x".into()), ..stop() }), "MaintenanceNotFound");
        let elsewhere = StopTarget::OfNode(node_name("node03"));
        assert_eq!(reason(StopMaintenance { target: elsewhere, ..stop() }), "MaintenanceNotFound");
        let exactly = |uid| StopTarget::Exactly { name: "m".into(), uid };
        let its_own = maintenance("m", "node02").uid();
        assert_eq!(reason(StopMaintenance { target: exactly(its_own), ..stop() }), "goes");
        let earlier = exactly(Uid::from("an earlier one"));
        assert_eq!(reason(StopMaintenance { target: earlier, force: true, ..stop() }), "MaintenanceNotFound");
    }
}
