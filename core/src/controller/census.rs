//! How many maintenances there are, by phase.

use crate::{
    cluster::Snapshot,
    metrics::{MaintenancePhase, Metrics, PhaseLabels},
    model::Phase,
};

/// Shows how many maintenances there are, by phase.
pub(super) fn count(metrics: &Metrics, snapshot: &Snapshot) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeMaintenance, NodeMaintenanceStatus, testing::maintenance};

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
        count(&metrics, &snapshot);
        assert_eq!(shown(), [1, 2, 0, 1]);
        count(&metrics, &Snapshot::default());
        assert_eq!(shown(), [0; 4]);
    }
}
