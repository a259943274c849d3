//! What every part of the controller needs.

use std::{sync::Arc, time::Duration};

use super::{
    call_back::Delivery,
    gauges::{self, BlockedGauges},
    news::Publisher,
};
use crate::{
    clock::Clock,
    cluster::{Cluster, Snapshot},
    drain::HandOver,
    maintenance::transition,
    model::{NodeMaintenanceStatus, ObjectKey, Pod},
};

/// What a leader could not write is tried again after this time.
pub(super) const RETRY: Duration = Duration::from_secs(15);

/// How a controller works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this replica is; different for each replica and each start of it.
    pub identity: String,
    /// Careen's own namespace: of the leader Lease, the drain orders and the receipts.
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
        gauges::count_maintenances(metrics, &Snapshot::default());
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
