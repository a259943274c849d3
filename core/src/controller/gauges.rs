//! The gauges: how many maintenances there are, and what blocks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    cluster::Snapshot,
    drain::Progress,
    metrics::{MaintenancePhase, Metrics, PhaseLabels, ReasonLabels},
    model::Phase,
    plan::BlockReason,
};

/// Shows how many maintenances there are, by phase.
pub(super) fn count_maintenances(metrics: &Metrics, snapshot: &Snapshot) {
    let mut counts = ALL_PHASES.map(|phase| (phase, 0_i64));
    for object in snapshot.maintenances() {
        let phase = match object.status.as_ref().and_then(|status| status.phase) {
            None => MaintenancePhase::Undecided,
            Some(Phase::Running) => MaintenancePhase::Running,
            Some(Phase::Succeeded) => MaintenancePhase::Succeeded,
            Some(Phase::Failed) => MaintenancePhase::Failed,
        };
        counts.iter_mut().filter(|(counted, _)| *counted == phase).for_each(|(_, count)| *count += 1);
    }
    for (phase, count) in counts {
        metrics.maintenances.get_or_create(&PhaseLabels { phase }).set(count);
    }
}

const ALL_PHASES: [MaintenancePhase; 4] =
    [MaintenancePhase::Undecided, MaintenancePhase::Running, MaintenancePhase::Succeeded, MaintenancePhase::Failed];

/// The gauge of blocked workloads, kept over all who act on a node: maintenances, drain orders and processes.
#[derive(Debug, Default)]
pub(super) struct BlockedGauges {
    by_actor: Mutex<BTreeMap<String, BTreeMap<BlockReason, i64>>>,
}

impl BlockedGauges {
    /// Takes up what blocks one of them now; `None`: it has ended.
    pub(super) fn set(&self, metrics: &Metrics, actor: &str, progress: Option<&Progress>) {
        let mut now: BTreeMap<BlockReason, i64> = BTreeMap::new();
        for (_, block, _) in progress.map(Progress::blocked).into_iter().flatten() {
            *now.entry(block.reason).or_default() += 1;
        }
        let mut all = self.by_actor.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match progress {
            Some(_) => all.insert(actor.to_owned(), now.clone()),
            None => all.remove(actor),
        };
        let before = before.unwrap_or_default();
        for reason in before.keys().chain(now.keys()) {
            let change = now.get(reason).unwrap_or(&0) - before.get(reason).unwrap_or(&0);
            // A reason in both is seen twice; the second time the gauge is set to the same.
            let total: i64 = all.values().filter_map(|reasons| reasons.get(reason)).sum();
            if change != 0 {
                let labels = ReasonLabels::from(*reason);
                metrics.blocked_workloads.get_or_create(&labels).set(total);
            }
        }
    }

    /// Nothing is known any more: another replica shows what blocks.
    pub(super) fn clear(&self, metrics: &Metrics) {
        let all = std::mem::take(&mut *self.by_actor.lock().unwrap_or_else(PoisonError::into_inner));
        for reason in all.into_values().flat_map(BTreeMap::into_keys) {
            let labels = ReasonLabels::from(reason);
            metrics.blocked_workloads.get_or_create(&labels).set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::{WorkloadProgress, WorkloadState},
        model::{
            NodeMaintenance, NodeMaintenanceStatus, ObjectKey,
            testing::{at, maintenance},
        },
        plan::{Block, Workload, WorkloadKind},
    };

    #[test]
    fn maintenances_are_counted_by_phase() {
        let of = |name: &str, phase| {
            let status = NodeMaintenanceStatus { phase, ..Default::default() };
            NodeMaintenance { status: Some(status), ..maintenance(name, "node02") }
        };
        let snapshot = Snapshot::default()
            .with(of("a", Some(Phase::Running)))
            .with(of("b", Some(Phase::Running)))
            .with(of("c", Some(Phase::Failed)))
            .with(of("d", None));
        let metrics = Metrics::default();
        let shown = || ALL_PHASES.map(|phase| metrics.maintenances.get_or_create(&PhaseLabels { phase }).get());
        count_maintenances(&metrics, &snapshot);
        assert_eq!(shown(), [1, 2, 0, 1]);
        count_maintenances(&metrics, &Snapshot::default());
        assert_eq!(shown(), [0; 4]);
    }

    fn blocked_by(reasons: &[BlockReason]) -> Progress {
        let workloads = reasons.iter().enumerate().map(|(number, reason)| WorkloadProgress {
            workload: Workload {
                kind: WorkloadKind::Pod,
                pod: ObjectKey::new("shop", format!("web-{number}")),
                uid: format!("uid-{number}").as_str().into(),
            },
            state: WorkloadState::Blocked { block: Block::new(*reason, "…"), since: at(0) },
        });
        Progress { workloads: workloads.collect(), had_to_leave: reasons.len() }
    }

    #[test]
    fn the_gauge_of_blocked_workloads_is_the_sum_over_all_who_act() {
        use BlockReason::{BudgetExhausted, UnmanagedPod};
        let (metrics, gauges) = (Metrics::default(), BlockedGauges::default());
        let shown = |reason: BlockReason| {
            let labels = ReasonLabels::from(reason);
            metrics.blocked_workloads.get_or_create(&labels).get()
        };
        gauges.set(&metrics, "a", Some(&blocked_by(&[BudgetExhausted, BudgetExhausted, UnmanagedPod])));
        gauges.set(&metrics, "b", Some(&blocked_by(&[BudgetExhausted])));
        assert_eq!((shown(BudgetExhausted), shown(UnmanagedPod)), (3, 1));
        gauges.set(&metrics, "a", Some(&blocked_by(&[BudgetExhausted])));
        assert_eq!((shown(BudgetExhausted), shown(UnmanagedPod)), (2, 0));
        gauges.set(&metrics, "a", None);
        gauges.set(&metrics, "never seen", None);
        assert_eq!(shown(BudgetExhausted), 1);
        gauges.clear(&metrics);
        assert_eq!(shown(BudgetExhausted), 0);
        gauges.set(&metrics, "b", Some(&blocked_by(&[BudgetExhausted])));
        assert_eq!(shown(BudgetExhausted), 1, "after leading again");
    }
}
