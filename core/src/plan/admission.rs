//! Whether a node may go at all.

use jiff::Timestamp;

use super::{
    precedence::{Decision, decision, seniority},
    quorum::{Quorum, quorum},
};
use crate::{
    cluster::{Snapshot, View},
    model::{ActorKind, DrainOptions, DrainOrder, Node, NodeMaintenance, NodeName, Record, Uid},
};

/// Why a node may not go. Its reasons are those of the condition `Accepted` and of refused requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such node.
    #[error("node {node} does not exist: check the name")]
    NodeNotFound {
        /// The node.
        node: NodeName,
    },
    /// Another maintenance has it.
    #[error("node {node} belongs to NodeMaintenance {by}: delete that one first")]
    AlreadyUnderMaintenance {
        /// The node.
        node: NodeName,
        /// The name of the other `NodeMaintenance`.
        by: String,
    },
    /// Another drain acts on it.
    #[error("node {node} is being drained by {by}: {}", way_out(*.kind))]
    DrainInProgress {
        /// The node.
        node: NodeName,
        /// The id of that drain.
        by: String,
        /// Who carries it out.
        kind: ActorKind,
    },
    /// The control plane would lose its quorum.
    #[error("{message}")]
    QuorumLost {
        /// A sentence that counts the members.
        message: String,
    },
    /// It cannot be known whether the control plane keeps its quorum.
    #[error("{message}")]
    QuorumUnknown {
        /// A sentence that says what is missing.
        message: String,
    },
}

/// What to do about a drain that is in the way. Of one that is carried out by a process nobody but that process knows
/// whether it goes on.
pub(crate) fn way_out(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::Process => {
            "wait for its end; if its process has ended, uncordon the node (its Lease lapses within 90 s)"
        }
        ActorKind::Maintenance | ActorKind::Order => "wait for its end, or cancel it",
    }
}

/// Why a maintenance is not accepted, or an order not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A reason of the vocabulary.
    pub reason: &'static str,
    /// A sentence that names the object in the way, and the way out.
    pub message: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason(), message: refusal.to_string() }
    }
}

impl Refusal {
    /// Its name in conditions, JSON, logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NodeNotFound { .. } => "NodeNotFound",
            Self::AlreadyUnderMaintenance { .. } => "AlreadyUnderMaintenance",
            Self::DrainInProgress { .. } => "DrainInProgress",
            Self::QuorumLost { .. } => "QuorumLost",
            Self::QuorumUnknown { .. } => "QuorumUnknown",
        }
    }
}

/// Whether that node may go now. `actor` is who wants it: the UID of a `NodeMaintenance` or the id of a drain; `None`
/// for somebody who only asks. The node Lease is asked for separately, when it is taken.
pub fn may_go(
    node: &NodeName,
    actor: Option<&Uid>,
    snapshot: &Snapshot,
    options: &DrainOptions,
) -> Result<(), Refusal> {
    let Some(found) = snapshot.node(node) else { return Err(Refusal::NodeNotFound { node: node.clone() }) };
    if let Some(by) = rival_order(node, actor, snapshot) {
        return Err(Refusal::DrainInProgress { node: node.clone(), by, kind: ActorKind::Order });
    }
    if let Some(by) = rival_maintenance(node, actor, snapshot) {
        return Err(Refusal::AlreadyUnderMaintenance { node: node.clone(), by });
    }
    if let Some(refusal) = rival_record(found, actor, snapshot) {
        return Err(refusal);
    }
    match quorum(node, snapshot) {
        Quorum::NotConcerned | Quorum::Kept => Ok(()),
        Quorum::Unknown { .. } if options.override_quorum => Ok(()),
        Quorum::Lost { message } => Err(Refusal::QuorumLost { message }),
        Quorum::Unknown { message } => Err(Refusal::QuorumUnknown { message }),
    }
}

/// The name of another maintenance that comes before this actor.
///
/// An accepted one stays the holder until its object is gone. Among those not yet decided, and drain orders, the oldest
/// wins, then the lowest UID; whoever is neither comes after them.
fn rival_maintenance(node: &NodeName, actor: Option<&Uid>, snapshot: &Snapshot) -> Option<String> {
    let own = snapshot.maintenances_of(node).find(|maintenance| actor == Some(&maintenance.uid()));
    let others = || snapshot.maintenances_of(node).filter(|maintenance| actor != Some(&maintenance.uid()));
    let name = |maintenance: &NodeMaintenance| maintenance.metadata.name.clone().unwrap_or_default();
    if own.is_some_and(|own| decision(own) == Decision::Accepted) {
        return None;
    }
    if let Some(holder) = others().find(|other| decision(other) == Decision::Accepted) {
        return Some(name(holder));
    }
    let own_seniority = match own {
        Some(own) => Some(seniority(own)),
        None => own_order(node, actor, snapshot).map(seniority_of_order),
    };
    others()
        .filter(|other| decision(other) == Decision::Open && !other.is_stopping())
        .filter(|other| own_seniority.as_ref().is_none_or(|own| seniority(other) < *own))
        .min_by_key(|other| seniority(other))
        .map(|other| name(other))
}

/// The order in whose name is asked.
fn own_order<'a>(node: &NodeName, actor: Option<&Uid>, snapshot: &'a Snapshot) -> Option<&'a DrainOrder> {
    snapshot.drain_order(node).map(AsRef::as_ref).filter(|order| Some(order.id()) == actor)
}

/// The id of a drain order that comes before this actor: one that has begun, until it is over; one that has not, if it
/// is older than an undecided maintenance. An accepted maintenance comes before every order that has not begun.
fn rival_order(node: &NodeName, actor: Option<&Uid>, snapshot: &Snapshot) -> Option<String> {
    let order = snapshot.drain_order(node).filter(|order| !order.is_finished() && Some(order.id()) != actor)?;
    let own = snapshot.maintenances_of(node).find(|maintenance| actor == Some(&maintenance.uid()));
    let comes_first = order.has_begun()
        || own.is_none_or(|own| decision(own) == Decision::Open && seniority_of_order(order) < seniority(own));
    comes_first.then(|| order.id().0.clone())
}

fn seniority_of_order(order: &DrainOrder) -> (Timestamp, Uid) {
    (order.request.created_at, order.id().clone())
}

/// Another actor, by the node's record. A record of a maintenance that no longer exists keeps nobody out: the node is
/// restored from it first. One that does not parse, or is of an older node of the name, is no claim.
fn rival_record(node: &Node, actor: Option<&Uid>, snapshot: &Snapshot) -> Option<Refusal> {
    let record = Record::of(node).filter(|record| actor != Some(&record.actor.uid))?;
    let by = record.actor.name;
    match record.actor.kind {
        kind @ (ActorKind::Order | ActorKind::Process) => {
            Some(Refusal::DrainInProgress { node: node.name.clone(), by, kind })
        }
        ActorKind::Maintenance => {
            let lives = snapshot.maintenance(&by).is_some_and(|found| found.uid() == record.actor.uid);
            let may_live = snapshot.view() == View::Nodes && snapshot.maintenance(&by).is_none();
            (lives || may_live).then(|| Refusal::AlreadyUnderMaintenance { node: node.name.clone(), by })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::DrainSpec,
        model::testing::{at, maintenance, node, node_name, uid},
        node::Actor,
    };

    fn refused(actor: Option<&str>, snapshot: &Snapshot) -> Option<Refusal> {
        let actor = actor.map(|name| uid("maintenance", name));
        may_go(&node_name("node02"), actor.as_ref(), snapshot, &DrainSpec::default().for_maintenance().unwrap()).err()
    }

    fn rival(actor: Option<&str>, snapshot: &Snapshot) -> Option<String> {
        match refused(actor, snapshot) {
            Some(Refusal::AlreadyUnderMaintenance { by, .. }) => Some(by),
            None => None,
            Some(other) => panic!("{other:?}"),
        }
    }

    fn cluster() -> Snapshot {
        Snapshot::default().with(node("node02"))
    }

    fn recorded_by(kind: ActorKind, name: &str) -> Node {
        let node = node("node02").cordoned();
        let record = Record {
            actor: Actor { kind, name: name.into(), uid: uid("maintenance", name) },
            node_uid: node.uid.clone(),
            was_unschedulable: false,
            added_taint: None,
            evacuations: vec![],
            since: at(0),
        };
        node.with_record(&record)
    }

    #[test]
    fn a_free_node_may_go_and_an_unknown_one_may_not() {
        assert_eq!(refused(None, &cluster()), None);
        let refusal = refused(None, &Snapshot::default()).unwrap();
        assert_eq!(
            (refusal.reason(), refusal.to_string().as_str()),
            ("NodeNotFound", "node node02 does not exist: check the name")
        );
    }

    #[test]
    fn the_oldest_undecided_maintenance_wins_then_the_lowest_uid() {
        let two = |first: i64, second: i64| {
            cluster()
                .with(maintenance("a", "node02").created_at(at(first)))
                .with(maintenance("b", "node02").created_at(at(second)))
        };
        for (first, second, winner) in [(1, 2, "a"), (2, 1, "b"), (1, 1, "a")] {
            let loser = if winner == "a" { "b" } else { "a" };
            assert_eq!(rival(Some(winner), &two(first, second)), None);
            assert_eq!(rival(Some(loser), &two(first, second)), Some(winner.to_owned()));
            assert_eq!(rival(None, &two(first, second)), Some(winner.to_owned()));
        }
    }

    #[test]
    fn an_accepted_maintenance_holds_the_node_until_it_is_gone() {
        let stopping = maintenance("new", "node02").created_at(at(9)).decided(true).stopping(at(10));
        let snapshot = cluster().with(maintenance("old", "node02")).with(stopping);
        assert_eq!(rival(Some("old"), &snapshot), Some("new".into()));
        assert_eq!(rival(Some("new"), &snapshot), None);
    }

    #[test]
    fn who_was_refused_or_leaves_or_is_about_another_node_is_no_rival() {
        let harmless = cluster()
            .with(maintenance("refused", "node02").decided(false))
            .with(maintenance("leaving", "node02").stopping(at(1)))
            .with(maintenance("elsewhere", "node03").decided(true))
            .with(maintenance("mine", "node02").created_at(at(5)));
        assert_eq!(rival(Some("mine"), &harmless), None);
        let mut changed = maintenance("refused", "node02").decided(false);
        changed.metadata.generation = Some(2);
        assert_eq!(rival(Some("mine"), &harmless.with(changed)), Some("refused".into()));
    }

    #[test]
    fn a_record_of_another_actor_holds_the_node() {
        let drained = Snapshot::default().with(recorded_by(ActorKind::Process, "drain-7"));
        let refusal = refused(Some("mine"), &drained).unwrap();
        assert_eq!(refusal.reason(), "DrainInProgress");
        assert!(refusal.to_string().contains("if its process has ended, uncordon the node"), "{refusal}");
        assert_eq!(refused(Some("drain-7"), &drained), None);
        let ordered = Snapshot::default().with(recorded_by(ActorKind::Order, "drain-8"));
        let refusal = refused(Some("mine"), &ordered).unwrap();
        assert!(refusal.to_string().ends_with("wait for its end, or cancel it"), "{refusal}");
        let held = Snapshot::default().with(recorded_by(ActorKind::Maintenance, "m"));
        assert_eq!(refused(Some("mine"), &held), None, "its maintenance is gone");
        assert_eq!(rival(Some("mine"), &held.with(maintenance("m", "node02"))), Some("m".into()));
        let unseen = Snapshot::of(View::Nodes).with(recorded_by(ActorKind::Maintenance, "m"));
        assert_eq!(rival(Some("mine"), &unseen), Some("m".into()));
    }

    #[test]
    fn a_record_that_is_no_record_of_this_node_holds_nobody_off() {
        let rebuilt = Node { uid: "a new one".into(), ..recorded_by(ActorKind::Process, "drain-7") };
        for node in [rebuilt, node("node02").with_record_text("{}"), node("node02").with_record_text("rubbish")] {
            assert_eq!(refused(Some("mine"), &Snapshot::default().with(node)), None);
        }
    }

    #[test]
    fn quorum_that_cannot_be_known_may_be_overridden_and_lost_quorum_not() {
        let overriding = DrainSpec { override_quorum: Some(true), ..DrainSpec::default() }.for_maintenance().unwrap();
        let alone = |view| Snapshot::of(view).with(node("node02").control_plane());
        let go = |snapshot: &Snapshot| may_go(&node_name("node02"), None, snapshot, &overriding);
        assert_eq!(refused(None, &alone(View::Nodes)).unwrap().reason(), "QuorumUnknown");
        assert_eq!(go(&alone(View::Nodes)), Ok(()));
        assert_eq!(go(&alone(View::Whole)).unwrap_err().reason(), "QuorumLost");
    }
}
