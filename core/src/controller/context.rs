//! What every part of the controller needs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{call_back::Delivery, news::Publisher};
use crate::{
    clock::Clock,
    cluster::{Cluster, Snapshot},
    drain::{HandOver, Progress},
    maintenance::transition,
    metrics::{Metrics, ReasonLabels},
    model::{NodeMaintenanceStatus, ObjectKey, Pod},
    plan::BlockReason,
};

/// What a leader could not write is tried again after this time.
pub(super) const RETRY: Duration = Duration::from_secs(15);

/// How a controller works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this replica is; different for each replica and each start of it.
    pub identity: String,
    /// Careen's own namespace: of the leader Lease.
    pub namespace: String,
    /// Key of the taint that a maintenance adds.
    pub drain_taint_key: String,
    /// The pod that this program runs in, if it runs in one.
    pub own_pod: Option<ObjectKey>,
}

/// What every part of the controller needs. Cloning shares it.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) cluster: Cluster,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) publisher: Publisher,
    pub(super) blocked: Arc<BlockedGauges>,
    pub(super) hand_over: HandOver,
    /// Who delivers what others are to be told, if anybody is.
    pub(super) delivery: Option<Delivery>,
}

impl Context {
    /// Notes in a new status what its change is news of, if somebody is to be told.
    pub(super) fn note(&self, old: Option<&NodeMaintenanceStatus>, new: &mut NodeMaintenanceStatus) {
        if self.delivery.is_some() {
            transition::note(old, new, self.clock.now());
        }
    }

    /// What the leader counts, the next one counts.
    pub(super) fn leads_no_longer(&self) {
        let metrics = self.cluster.metrics();
        self.blocked.clear(metrics);
        super::census::count(metrics, &Snapshot::default());
    }
}

/// Whether another replica of this program is ready on another node, so that leadership can be handed to it.
pub(super) fn has_ready_replica(cluster: &Cluster, own_pod: &ObjectKey) -> bool {
    let snapshot = cluster.snapshot();
    let Some(own) = snapshot.pod(own_pod) else { return false };
    let Some(controller) = own.controller() else { return false };
    let is_replica = |pod: &Pod| {
        pod.uid != own.uid
            && pod.node != own.node
            && pod.ready
            && pod.deletion.is_none()
            && pod.controller().is_some_and(|owner| owner.uid == controller.uid)
    };
    snapshot.pods().any(|pod| is_replica(pod))
}

/// The gauge of blocked workloads, kept over all maintenances.
#[derive(Debug, Default)]
pub(super) struct BlockedGauges {
    by_maintenance: Mutex<BTreeMap<String, BTreeMap<BlockReason, i64>>>,
}

impl BlockedGauges {
    /// Takes up what blocks one maintenance now; `None`: it has ended.
    pub(super) fn set(&self, metrics: &Metrics, maintenance: &str, progress: Option<&Progress>) {
        let mut now: BTreeMap<BlockReason, i64> = BTreeMap::new();
        for (_, block, _) in progress.map(Progress::blocked).into_iter().flatten() {
            *now.entry(block.reason).or_default() += 1;
        }
        let mut all = self.by_maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match progress {
            Some(_) => all.insert(maintenance.to_owned(), now.clone()),
            None => all.remove(maintenance),
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
        let all = std::mem::take(&mut *self.by_maintenance.lock().unwrap_or_else(PoisonError::into_inner));
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
        model::testing::at,
        plan::{Block, Workload, WorkloadKind},
    };

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
    fn the_gauge_of_blocked_workloads_is_the_sum_over_all_maintenances() {
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
