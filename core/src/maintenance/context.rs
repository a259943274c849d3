//! What every part of the controller needs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::news::Publisher;
use crate::{
    clock::Clock,
    cluster::Cluster,
    drain::{HandOver, Progress},
    metrics::{Metrics, ReasonLabels},
    model::{ObjectKey, Pod},
    plan::BlockReason,
};

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
    /// This replica leads no longer: what blocks is for the next leader to say.
    pub(super) fn clear(&self, metrics: &Metrics) {
        self.by_maintenance.lock().unwrap_or_else(PoisonError::into_inner).clear();
        metrics.blocked_workloads.clear();
        metrics.maintenances.clear();
    }

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
                let labels = ReasonLabels { reason: format!("{reason:?}") };
                metrics.blocked_workloads.get_or_create(&labels).set(total);
            }
        }
    }
}
