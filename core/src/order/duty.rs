//! What the leader has to do about a drain order: pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    clock::later,
    cluster::Snapshot,
    model::{ActorKind, DrainOptions, DrainOrder, Record, Trouble, TroubleReason},
    plan::{Refused, may_go},
};

/// The outcome of a drain that left nothing to be uncordoned is kept for so long.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// A node that was cordoned may look schedulable for a moment: watches of different kinds are not of the same instant.
const SHOWS_WITHIN: Duration = Duration::from_secs(30);

/// What the leader has to do about an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// To carry it out. Options that cannot be understood (somebody edited the order) drain nothing.
    CarryOut(Result<DrainOptions, Trouble>),
    /// To say that it is refused; the node is not touched.
    Refuse(Refused),
    /// To keep its outcome; then, if that is known, to look again.
    Keep(Option<Timestamp>),
    /// To forget it: its outcome says nothing about the node any more.
    Forget,
}

/// What the leader has to do about that order.
#[must_use]
pub fn duty(order: &DrainOrder, snapshot: &Snapshot, now: Timestamp) -> Duty {
    if order.is_finished() {
        return match obsolete_at(order, snapshot) {
            Some(at) if at <= now => Duty::Forget,
            at => Duty::Keep(at),
        };
    }
    let options = order.request.options.for_drain();
    if order.has_begun() || is_recorded(order, snapshot) {
        return Duty::CarryOut(options.map_err(|error| Trouble::new(TroubleReason::InvalidSpec, error.to_string())));
    }
    let options = match options {
        Ok(options) => options,
        Err(error) => return Duty::Refuse(Refused { reason: "InvalidSpec", message: error.to_string() }),
    };
    match may_go(order.node(), Some(order.id()), snapshot, &options) {
        // To be cancelled before it has begun: the worker says so.
        _ if order.request.cancel.is_some() => Duty::CarryOut(Ok(options)),
        Ok(()) => Duty::CarryOut(Ok(options)),
        Err(refusal) => Duty::Refuse(refusal.into()),
    }
}

/// Whether the node says that it was taken out of service for that order.
fn is_recorded(order: &DrainOrder, snapshot: &Snapshot) -> bool {
    let node = snapshot.node(order.node()).filter(|node| node.uid == order.request.node_uid);
    node.is_some_and(|node| Record::of_actor(node, &order.actor()).is_some())
}

/// From when on the outcome of an order says nothing about its node any more; `None` while it does: until the node is
/// uncordoned, by whoever, or a maintenance takes it.
#[must_use]
pub fn obsolete_at(order: &DrainOrder, snapshot: &Snapshot) -> Option<Timestamp> {
    let outcome = order.status.outcome.as_ref()?;
    let node = snapshot.node(order.node()).filter(|node| node.uid == order.request.node_uid);
    let Some(node) = node.filter(|_| order.has_begun()) else { return Some(later(outcome.at, KEPT_FOR)) };
    let under_maintenance = Record::of(node).is_some_and(|record| record.actor.kind == ActorKind::Maintenance);
    (under_maintenance || !node.unschedulable).then(|| later(outcome.at, SHOWS_WITHIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            CancelRequest, DrainEnd, DrainOutcome, DrainSpec, Node,
            testing::{at, drain_order, maintenance, node},
        },
        node::Actor,
    };

    fn of(order: &DrainOrder, snapshot: &Snapshot) -> Duty {
        duty(order, &snapshot.clone().with(order.clone()), at(100))
    }

    fn refused(order: &DrainOrder, snapshot: &Snapshot) -> Option<&'static str> {
        match of(order, snapshot) {
            Duty::Refuse(refused) => Some(refused.reason),
            _ => None,
        }
    }

    fn cluster(node: Node) -> Snapshot {
        Snapshot::default().with(node)
    }

    fn ended(end: DrainEnd) -> DrainOrder {
        let mut order = drain_order("d1", "node02").begun(at(1));
        order.status.outcome =
            Some(DrainOutcome { end, reason: None, message: String::new(), at: at(10), left: 0, left_behind: vec![] });
        order
    }

    #[test]
    fn what_may_go_is_carried_out_and_the_rest_is_told_why_not() {
        let order = drain_order("d1", "node02");
        assert!(matches!(of(&order, &cluster(node("node02"))), Duty::CarryOut(Ok(_))));
        assert_eq!(refused(&order, &Snapshot::default()), Some("NodeNotFound"));
        let taken = cluster(node("node02")).with(maintenance("m", "node02").decided(true));
        assert_eq!(refused(&order, &taken), Some("AlreadyUnderMaintenance"));
        let mut spoilt = order.clone();
        spoilt.request.options = DrainSpec { timeout: Some("soon".into()), ..DrainSpec::default() };
        assert_eq!(refused(&spoilt, &cluster(node("node02"))), Some("InvalidSpec"));
    }

    #[test]
    fn of_an_order_and_a_maintenance_that_nobody_has_decided_on_exactly_one_goes() {
        for (ordered, created) in [(1, 2), (2, 1), (1, 1)] {
            let mut order = drain_order("d1", "node02");
            order.request.created_at = at(ordered);
            let object = maintenance("m", "node02").created_at(at(created));
            let snapshot = cluster(node("node02")).with(object.clone()).with(order.clone());
            let order_goes = matches!(duty(&order, &snapshot, at(9)), Duty::CarryOut(_));
            let maintenance_goes =
                matches!(crate::maintenance::decide(&object, &snapshot), crate::maintenance::Decision::Accepted(_));
            assert!(order_goes != maintenance_goes, "{ordered} {created}");
            assert!(ordered == created || order_goes == (ordered < created));
            // One that has begun goes on, whoever is older.
            let begun = order.begun(at(3));
            let snapshot = snapshot.with(begun.clone());
            assert!(matches!(duty(&begun, &snapshot, at(9)), Duty::CarryOut(_)));
            assert!(matches!(crate::maintenance::decide(&object, &snapshot), crate::maintenance::Decision::Refused(_)));
        }
    }

    #[test]
    fn what_has_begun_goes_on_by_the_record_alone() {
        let order = drain_order("d1", "node02");
        let record = Record::begin(&order.actor(), &node("node02"), None, at(1));
        let taken = cluster(node("node02").cordoned().with_record(&record)).with(maintenance("m", "node02"));
        assert!(matches!(of(&order, &taken), Duty::CarryOut(Ok(_))));
        let other = Record { actor: Actor { name: "d0".into(), uid: "d0".into(), ..order.actor() }, ..record };
        assert_eq!(refused(&order, &cluster(node("node02").cordoned().with_record(&other))), Some("DrainInProgress"));
    }

    #[test]
    fn one_that_is_cancelled_before_it_began_is_never_refused() {
        let mut order = drain_order("d1", "node02");
        order.request.cancel = Some(CancelRequest { requested_by: None, at: at(2) });
        let taken = cluster(node("node02")).with(maintenance("m", "node02").decided(true));
        assert!(matches!(of(&order, &taken), Duty::CarryOut(_)));
    }

    #[test]
    fn an_outcome_is_kept_until_the_node_is_uncordoned_or_under_maintenance() {
        let order = ended(DrainEnd::Drained);
        let object = maintenance("m", "node02");
        let record = Record::begin(&object.actor(), &node("node02"), None, at(1));
        for (node, expected) in [
            (node("node02").cordoned(), Duty::Keep(None)),
            (node("node02"), Duty::Forget),
            (node("node02").cordoned().with_record(&record), Duty::Forget),
            (Node { uid: "came back".into(), ..node("node02").cordoned() }, Duty::Keep(Some(at(3610)))),
        ] {
            assert_eq!(of(&order, &cluster(node.clone())), expected, "{node:?}");
        }
        assert_eq!(duty(&order, &cluster(node("node02")), at(20)), Duty::Keep(Some(at(40))), "the cache may be behind");
        let mut refused = ended(DrainEnd::Refused);
        refused.status.started_at = None;
        assert_eq!(of(&refused, &cluster(node("node02"))), Duty::Keep(Some(at(3610))));
    }
}
