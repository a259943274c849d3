//! Whether a maintenance is accepted: decided once for each generation of its spec.

use crate::{
    cluster::Snapshot,
    drain::DrainOptions,
    model::NodeName,
    names::FINALIZER,
    node::{Actor, ActorKind},
    plan::may_go,
};

use super::NodeMaintenance;

/// What is decided about a maintenance.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Its node goes out of service.
    Accepted(Accepted),
    /// It does not; the node is not touched.
    Refused(Refused),
}

/// An accepted maintenance: its spec, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The node.
    pub node: NodeName,
    /// How it is drained.
    pub options: DrainOptions,
}

/// Why a maintenance is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A reason of the vocabulary.
    pub reason: &'static str,
    /// A sentence that names the object in the way, and the way out.
    pub message: String,
}

/// Finalizers that Kubernetes itself sets for the way of deletion.
const KUBERNETES_FINALIZERS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Understands the spec; says which field is wrong where one is.
pub fn understand(maintenance: &NodeMaintenance) -> Result<Accepted, Refused> {
    let invalid = |message: String| Refused { reason: "InvalidSpec", message };
    let node = maintenance.node().map_err(|error| invalid(format!("spec.{error}")))?;
    let spec = maintenance.spec.drain.clone().unwrap_or_default();
    let options = spec.for_maintenance().map_err(|error| invalid(error.to_string()))?;
    Ok(Accepted { node, options })
}

/// Decides.
#[must_use]
pub fn decide(maintenance: &NodeMaintenance, snapshot: &Snapshot) -> Decision {
    let accepted = match understand(maintenance) {
        Ok(accepted) => accepted,
        Err(refused) => return Decision::Refused(refused),
    };
    let finalizers = maintenance.metadata.finalizers.iter().flatten();
    let foreign = finalizers
        .into_iter()
        .find(|finalizer| *finalizer != FINALIZER && !KUBERNETES_FINALIZERS.contains(&finalizer.as_str()));
    if let Some(foreign) = foreign {
        let message = format!(
            "another controller acts on this object (finalizer {foreign}): stop that controller, or create another NodeMaintenance"
        );
        return Decision::Refused(Refused { reason: "ManagedByAnother", message });
    }
    match may_go(&accepted.node, Some(&actor(maintenance).uid), snapshot, &accepted.options) {
        Ok(()) => Decision::Accepted(accepted),
        Err(refusal) => Decision::Refused(Refused { reason: refusal.reason(), message: refusal.to_string() }),
    }
}

/// Who acts on the node for that maintenance.
#[must_use]
pub fn actor(maintenance: &NodeMaintenance) -> Actor {
    Actor {
        kind: ActorKind::Maintenance,
        name: maintenance.metadata.name.clone().unwrap_or_default(),
        uid: maintenance.metadata.uid.clone().unwrap_or_default().as_str().into(),
    }
}
