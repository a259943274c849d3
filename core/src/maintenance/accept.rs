//! Whether a maintenance is accepted: decided once for each generation of its spec.

use crate::{
    cluster::Snapshot,
    drain::DrainOptions,
    model::NodeName,
    names::FINALIZER,
    plan::{Refused, may_go},
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
    /// Where the options come from.
    pub origin: OptionsOrigin,
}

/// Where the options of an accepted maintenance come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsOrigin {
    /// From its spec, now or when that could last be understood.
    Spec,
    /// Its spec was spoilt after it had been accepted, and nobody remembers what it said: the node is held, and nothing
    /// is drained by options that nobody wrote.
    Unknown,
}

/// Finalizers that Kubernetes itself sets for the way of deletion.
const KUBERNETES_FINALIZERS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Understands the spec; says which field is wrong where one is.
pub fn understand(maintenance: &NodeMaintenance) -> Result<Accepted, Refused> {
    let invalid = |message: String| Refused { reason: "InvalidSpec", message };
    let node = maintenance.node().map_err(|error| invalid(format!("spec.{error}")))?;
    let spec = maintenance.spec.drain.clone().unwrap_or_default();
    let options = spec.for_maintenance().map_err(|error| invalid(error.to_string()))?;
    Ok(Accepted { node, options, origin: OptionsOrigin::Spec })
}

/// Decides.
#[must_use]
pub fn decide(maintenance: &NodeMaintenance, snapshot: &Snapshot) -> Decision {
    let accepted = match understand(maintenance) {
        Ok(accepted) => accepted,
        Err(refused) => return Decision::Refused(refused),
    };
    if let Some(refused) = managed_by_another(maintenance) {
        return Decision::Refused(refused);
    }
    match may_go(&accepted.node, Some(&maintenance.uid()), snapshot, &accepted.options) {
        Ok(()) => Decision::Accepted(accepted),
        Err(refusal) => Decision::Refused(refusal.into()),
    }
}

/// Another controller's finalizer says that it acts on this object.
#[must_use]
pub fn managed_by_another(maintenance: &NodeMaintenance) -> Option<Refused> {
    let finalizers = maintenance.metadata.finalizers.iter().flatten();
    let is_foreign =
        |finalizer: &&String| *finalizer != FINALIZER && !KUBERNETES_FINALIZERS.contains(&finalizer.as_str());
    let foreign = finalizers.into_iter().find(is_foreign)?;
    let message = format!(
        "another controller acts on this object (finalizer {foreign}): stop that controller, or create another NodeMaintenance"
    );
    Some(Refused { reason: "ManagedByAnother", message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::DrainSpec,
        model::testing::{at, maintenance, node},
    };

    fn decided(object: &NodeMaintenance) -> Decision {
        decide(object, &Snapshot::default().with(node("node02")).with(object.clone()))
    }

    fn refused(decision: Decision) -> (&'static str, String) {
        match decision {
            Decision::Refused(refused) => (refused.reason, refused.message),
            Decision::Accepted(accepted) => panic!("{accepted:?}"),
        }
    }

    fn fresh() -> NodeMaintenance {
        maintenance("m", "node02")
    }

    fn with_finalizers(finalizers: &[&str]) -> NodeMaintenance {
        let mut object = fresh();
        object.metadata.finalizers = Some(finalizers.iter().map(|&finalizer| finalizer.to_owned()).collect());
        object
    }

    #[test]
    fn the_well_known_manifest_is_accepted_with_the_options_that_people_know() {
        let Decision::Accepted(accepted) = decided(&fresh()) else { panic!() };
        assert_eq!(accepted.node.as_str(), "node02");
        assert_eq!(accepted.options, DrainSpec::default().for_maintenance().unwrap());
    }

    #[test]
    fn a_spec_that_cannot_be_understood_is_refused_with_its_field() {
        for name in ["", "Node02", "no de", "-"] {
            let (reason, message) = refused(decided(&maintenance("m", name)));
            assert_eq!(reason, "InvalidSpec");
            assert!(message.starts_with(&format!("spec.nodeName {name:?} is not a node name")), "{message}");
        }
        let spec = |drain: DrainSpec| {
            let mut object = fresh();
            object.spec.drain = Some(drain);
            refused(decided(&object))
        };
        let (reason, message) = spec(DrainSpec { pod_selector: Some("app in".into()), ..DrainSpec::default() });
        assert!(reason == "InvalidSpec" && message.starts_with("spec.drain.podSelector: "), "{message}");
        let (reason, message) = spec(DrainSpec { delete_after: Some("later".into()), ..DrainSpec::default() });
        assert!(reason == "InvalidSpec" && message.starts_with("spec.drain.deleteAfter: "), "{message}");
    }

    #[test]
    fn what_another_controller_holds_is_left_to_it() {
        let (reason, message) = refused(decided(&with_finalizers(&["foregroundDeleteNodeMaintenance"])));
        assert_eq!(reason, "ManagedByAnother");
        assert!(message.contains("foregroundDeleteNodeMaintenance"), "{message}");
        for own in [&[FINALIZER][..], &["foregroundDeletion"], &["orphan", FINALIZER]] {
            assert!(matches!(decided(&with_finalizers(own)), Decision::Accepted(_)), "{own:?}");
        }
    }

    #[test]
    fn a_node_that_is_unknown_or_taken_is_refused() {
        assert_eq!(refused(decided(&maintenance("m", "node99"))).0, "NodeNotFound");
        let snapshot = Snapshot::default().with(node("node02")).with(maintenance("first", "node02").created_at(at(1)));
        let second = maintenance("second", "node02").created_at(at(2));
        let (reason, message) = refused(decide(&second, &snapshot.clone().with(second.clone())));
        assert_eq!(reason, "AlreadyUnderMaintenance");
        assert!(message.contains("NodeMaintenance first"), "{message}");
        let first = snapshot.maintenance("first").unwrap().clone();
        assert!(matches!(decide(&first, &snapshot.with(second)), Decision::Accepted(_)), "the older one wins");
    }
}
