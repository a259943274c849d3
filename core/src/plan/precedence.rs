//! Of several maintenances of a node, which is the node's.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    cluster::Snapshot,
    model::{NodeMaintenance, NodeName, Uid, condition},
    names::usual_maintenance,
};

/// What was decided about a maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    Accepted,
    /// Nothing yet, for this generation of its spec.
    Open,
    Refused,
}

/// A refusal holds for the generation of the spec that was refused.
pub(crate) fn decision(maintenance: &NodeMaintenance) -> Decision {
    match maintenance.condition(condition::ACCEPTED) {
        Some(accepted) if accepted.status == "True" => Decision::Accepted,
        Some(accepted) if accepted.observed_generation == maintenance.metadata.generation => Decision::Refused,
        _ => Decision::Open,
    }
}

/// The maintenance that a node has: the accepted one; else the oldest on which nobody has decided, which will win.
pub(crate) fn maintenance_of<'a>(node: &NodeName, snapshot: &'a Snapshot) -> Option<&'a Arc<NodeMaintenance>> {
    first(snapshot.maintenances_of(node))
}

/// The maintenance that each node has, for whoever asks for many.
pub(crate) fn maintenances_by_node(snapshot: &Snapshot) -> BTreeMap<String, Arc<NodeMaintenance>> {
    let mut named: BTreeMap<&str, Vec<&Arc<NodeMaintenance>>> = BTreeMap::new();
    for object in snapshot.maintenances() {
        named.entry(&object.spec.node_name).or_default().push(object);
    }
    let found = named.into_iter().filter_map(|(node, objects)| Some((node.to_owned(), first(objects)?.clone())));
    found.collect()
}

/// What a stop of a node acts on where it has no maintenance: the one of the usual name, which was refused.
pub(crate) fn usual_maintenance_of<'a>(node: &NodeName, snapshot: &'a Snapshot) -> Option<&'a Arc<NodeMaintenance>> {
    let usual = snapshot.maintenance(&usual_maintenance(node.as_str()));
    usual.filter(|object| object.spec.node_name == node.as_str())
}

fn first<'a>(of_node: impl IntoIterator<Item = &'a Arc<NodeMaintenance>>) -> Option<&'a Arc<NodeMaintenance>> {
    let ranked = of_node.into_iter().filter_map(|object| precedence(object).map(|rank| (rank, object)));
    ranked.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, object)| object)
}

/// Of several maintenances of a node the one with the least is the node's. `None`: it will never be.
fn precedence(maintenance: &NodeMaintenance) -> Option<(Decision, Timestamp, Uid)> {
    let decision = decision(maintenance);
    if decision == Decision::Refused || (decision == Decision::Open && maintenance.is_stopping()) {
        return None;
    }
    let (created, uid) = seniority(maintenance);
    Some((decision, created, uid))
}

/// The older one wins.
pub(super) fn seniority(maintenance: &NodeMaintenance) -> (Timestamp, Uid) {
    // One that the API server has not stamped cannot be older than one that it has.
    let created = maintenance.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    (created, maintenance.uid())
}
