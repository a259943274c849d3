//! Where a maintenance stands when the leader looks at it: pure.

use super::requests::has_finalizer;
use crate::{
    cluster::Snapshot,
    maintenance::accept::{Accepted, OptionsOrigin, understand},
    model::{NodeMaintenance, Record},
    plan::{MaintenanceDecision as Decision, Refused, maintenance_decision},
};

/// Where a maintenance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was accepted, and holds its node until it is gone.
    Accepted,
    /// It was refused, and its spec has not changed since.
    Refused,
    /// It goes without ever having been accepted.
    Going,
    /// It is to be decided.
    Open,
}

/// Careen's finalizer alone proves nothing: it comes back with an object that is restored from a copy.
pub(super) fn standing(object: &NodeMaintenance, snapshot: &Snapshot) -> Standing {
    let decision = maintenance_decision(object);
    if has_finalizer(object)
        && (object.is_stopping() || decision == Decision::Accepted || is_recorded(object, snapshot))
    {
        return Standing::Accepted;
    }
    match decision {
        _ if object.is_stopping() => Standing::Going,
        Decision::Accepted => Standing::Accepted,
        Decision::Refused => Standing::Refused,
        Decision::Open => Standing::Open,
    }
}

/// Whether its node says that it was taken out of service for it.
fn is_recorded(object: &NodeMaintenance, snapshot: &Snapshot) -> bool {
    let node = object.node().ok().and_then(|name| snapshot.node(&name).cloned());
    node.is_some_and(|node| Record::of_actor(&node, &object.actor()).is_some())
}

/// An accepted one whose spec was spoilt afterwards is still understood as far as its node goes: it must be restored.
pub(super) fn accepted_before(object: &NodeMaintenance) -> Result<Accepted, Refused> {
    understand(object).or_else(|refused| {
        let mut plain = object.clone();
        plain.spec.drain = None;
        let accepted = understand(&plain).map_err(|_| refused)?;
        Ok(Accepted { origin: OptionsOrigin::Unknown, ..accepted })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::testing::{self, at, maintenance},
        names::FINALIZER,
    };

    fn fresh() -> NodeMaintenance {
        maintenance("m", "node02")
    }

    fn held(mut object: NodeMaintenance) -> NodeMaintenance {
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        object
    }

    fn changed(mut object: NodeMaintenance) -> NodeMaintenance {
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        object
    }

    #[test]
    fn a_maintenance_stands_where_its_finalizer_and_its_condition_say() {
        let cases = [
            ("new", fresh(), Standing::Open),
            ("restored from a copy, finalizer and all", held(fresh()), Standing::Open),
            ("refused, and restored from a copy", held(fresh().decided(false)), Standing::Refused),
            ("deleted with a finalizer that came from a copy", held(fresh()).stopping(at(1)), Standing::Accepted),
            ("held", held(fresh().decided(true)), Standing::Accepted),
            ("accepted", fresh().decided(true), Standing::Accepted),
            ("accepted, its spec was changed", changed(fresh().decided(true)), Standing::Accepted),
            ("refused", fresh().decided(false), Standing::Refused),
            ("refused, its spec was changed", changed(fresh().decided(false)), Standing::Open),
            ("being restored", held(fresh().decided(true)).stopping(at(1)), Standing::Accepted),
            ("deleted before it was decided on", fresh().stopping(at(1)), Standing::Going),
            ("refused and deleted", fresh().decided(false).stopping(at(1)), Standing::Going),
            ("its finalizer was removed by force", fresh().decided(true).stopping(at(1)), Standing::Going),
        ];
        for (what, object, expected) in cases {
            assert_eq!(standing(&object, &Snapshot::default()), expected, "{what}");
        }
    }

    #[test]
    fn a_maintenance_whose_status_was_wiped_is_known_by_the_record_on_its_node() {
        let object = held(fresh());
        let record = Record::begin(&object.actor(), &testing::node("node02"), None, at(0));
        let snapshot = Snapshot::default().with(testing::node("node02").with_record(&record));
        assert_eq!(standing(&object, &snapshot), Standing::Accepted);
    }

    #[test]
    fn a_spec_that_was_spoilt_afterwards_is_understood_as_far_as_its_node_goes() {
        let mut object = fresh();
        object.spec.drain = Some(crate::drain::DrainSpec { timeout: Some("soon".to_owned()), ..Default::default() });
        assert_eq!(accepted_before(&object).unwrap().node.as_str(), "node02");
        object.spec.node_name = "NO NODE".to_owned();
        assert_eq!(accepted_before(&object).unwrap_err().reason, "InvalidSpec");
    }
}
