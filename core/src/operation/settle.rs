//! When an operation has come to where somebody has to look, or to its end: pure; and waiting for it.

use std::sync::Arc;

use super::Operations;
use crate::{
    cluster::Snapshot,
    model::{BlockClass, DrainOrder, NodeMaintenance, Phase, condition},
};

/// Whether a maintenance that was started or changed is done, failed, stuck or being stopped. What was said about an
/// earlier spec does not count, nor that the caches do not show it yet.
#[must_use]
pub fn maintenance_is_settled(started: &NodeMaintenance, snapshot: &Snapshot) -> bool {
    let found = snapshot.maintenance(started.name()).filter(|found| found.metadata.uid == started.metadata.uid);
    let Some(found) = found else { return false };
    let status = found.status.as_ref();
    let is_observed = status.is_some_and(|status| status.observed_generation >= started.metadata.generation);
    let is_over = matches!(status.and_then(|status| status.phase), Some(Phase::Succeeded | Phase::Failed));
    let is_stuck = found.says(condition::STUCK);
    found.is_stopping() || (is_observed && (is_over || is_stuck))
}

/// Whether a maintenance that is being stopped has ended: its node is restored.
#[must_use]
pub fn maintenance_has_ended(stopped: &NodeMaintenance, snapshot: &Snapshot) -> bool {
    snapshot.maintenance(stopped.name()).is_none_or(|found| found.metadata.uid != stopped.metadata.uid)
}

/// Whether a drain that was ordered is over or stuck. That the caches do not show it yet does not count.
#[must_use]
pub fn drain_is_settled(ordered: &DrainOrder, snapshot: &Snapshot) -> bool {
    let found = snapshot.drain_order(ordered.node()).filter(|found| found.id() == ordered.id());
    found.is_some_and(|found| {
        let is_stuck = found.status.blocking.iter().any(|blocking| blocking.class == BlockClass::Stuck);
        found.is_finished() || is_stuck
    })
}

/// Whether a drain that is being cancelled is over.
#[must_use]
pub fn drain_is_over(cancelled: &DrainOrder, snapshot: &Snapshot) -> bool {
    let found = snapshot.drain_order(cancelled.node()).filter(|found| found.id() == cancelled.id());
    found.is_none_or(|found| found.is_finished())
}

/// The maintenance in the caches, unless they show it as it was before it was written.
#[must_use]
pub fn maintenance_shown<'a>(written: &NodeMaintenance, snapshot: &'a Snapshot) -> Option<&'a Arc<NodeMaintenance>> {
    let is_later = |found: &&Arc<NodeMaintenance>| {
        found.metadata.uid == written.metadata.uid && found.metadata.generation >= written.metadata.generation
    };
    snapshot.maintenance(written.name()).filter(is_later)
}

/// Whether the caches show that a maintenance is to go, or have it no more.
#[must_use]
pub fn stop_is_shown(written: &NodeMaintenance, snapshot: &Snapshot) -> bool {
    maintenance_shown(written, snapshot).is_none_or(|found| found.is_stopping())
}

/// Whether the caches show the order as it was written, or later.
#[must_use]
pub fn drain_is_shown(written: &DrainOrder, snapshot: &Snapshot) -> bool {
    let found = snapshot.drain_order(written.node()).filter(|found| found.id() == written.id());
    found.is_some_and(|found| found.request.cancel.is_some() || written.request.cancel.is_none())
}

impl Operations {
    /// Waits until the caches show it.
    pub async fn until(&self, is_so: impl Fn(&Snapshot) -> bool) {
        let mut changes = self.cluster.changes();
        while !is_so(&self.cluster.snapshot()) {
            changes.next().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::model::{
        Blocking, DrainEnd, DrainOutcome, NodeMaintenanceStatus,
        testing::{at, drain_order, maintenance},
    };

    fn in_phase(phase: Phase, generation: i64) -> NodeMaintenance {
        let status = NodeMaintenanceStatus {
            phase: Some(phase),
            observed_generation: Some(generation),
            ..NodeMaintenanceStatus::default()
        };
        NodeMaintenance { status: Some(status), ..maintenance("m", "node02") }
    }

    fn stuck(mut object: NodeMaintenance) -> NodeMaintenance {
        let stuck = Condition {
            type_: condition::STUCK.to_owned(),
            status: "True".to_owned(),
            reason: "BudgetExhausted".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(1)),
        };
        object.status.get_or_insert_default().conditions.push(stuck);
        object
    }

    #[test]
    fn a_maintenance_is_settled_when_it_is_done_failed_stuck_or_being_stopped() {
        let mut started = maintenance("m", "node02");
        started.metadata.generation = Some(2);
        let mut again = in_phase(Phase::Succeeded, 2);
        again.metadata.uid = Some("again".to_owned());
        for (what, found, expected) in [
            ("undecided", maintenance("m", "node02"), false),
            ("drains", in_phase(Phase::Running, 2), false),
            ("drained", in_phase(Phase::Succeeded, 2), true),
            ("drained for an earlier spec", in_phase(Phase::Succeeded, 1), false),
            ("refused", in_phase(Phase::Failed, 2), true),
            ("stuck", stuck(in_phase(Phase::Running, 2)), true),
            ("stuck with an earlier spec", stuck(in_phase(Phase::Running, 1)), false),
            ("being stopped", maintenance("m", "node02").stopping(at(1)), true),
            ("another of that name", again, false),
        ] {
            assert_eq!(maintenance_is_settled(&started, &Snapshot::default().with(found)), expected, "{what}");
        }
        assert!(!maintenance_is_settled(&started, &Snapshot::default()), "the cache is behind");
        let stopping = maintenance("m", "node02").stopping(at(1));
        assert!(!maintenance_has_ended(&stopping, &Snapshot::default().with(stopping.clone())));
        assert!(maintenance_has_ended(&stopping, &Snapshot::default()));
    }

    #[test]
    fn a_drain_is_settled_when_it_is_over_or_stuck() {
        let ordered = drain_order("d1", "node02");
        let with = |order: &DrainOrder| Snapshot::default().with(order.clone());
        assert!(!drain_is_settled(&ordered, &Snapshot::default()), "the cache is behind");
        assert!(!drain_is_settled(&ordered, &with(&ordered.clone().begun(at(1)))));
        let mut blocked = ordered.clone().begun(at(1));
        blocked.status.blocking.push(Blocking {
            kind: "Pod".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            class: BlockClass::Waits,
            reason: crate::model::BlockReason::BudgetExhausted,
            message: String::new(),
            since: at(1),
        });
        assert!(!drain_is_settled(&ordered, &with(&blocked)), "time can help");
        blocked.status.blocking[0].class = BlockClass::Stuck;
        assert!(drain_is_settled(&ordered, &with(&blocked)));
        let mut over = ordered.clone().begun(at(1));
        let end = DrainEnd::Cancelled;
        over.status.outcome =
            Some(DrainOutcome { end, reason: None, message: String::new(), at: at(2), left: 0, left_behind: vec![] });
        assert!(drain_is_settled(&ordered, &with(&over)) && drain_is_over(&ordered, &with(&over)));
        assert!(!drain_is_over(&ordered, &with(&ordered)) && drain_is_over(&ordered, &Snapshot::default()));
        assert!(drain_is_over(&ordered, &with(&drain_order("d2", "node02"))), "another has taken its place");
    }
}
