//! Carries one accepted maintenance out: the steps by which a node goes out of service and stays there.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{
    acting::Acting, context::Context, overlay::Overlay, pace::Pace, requests::has_finalizer, steps::Progressed,
};
use crate::{
    cluster::Snapshot,
    drain::{DrainPhase, Progress},
    maintenance::{
        accept::{Accepted, OptionsOrigin, managed_by_another, understand},
        began::drain_began,
        departures::Departures,
        intent::to_restore,
    },
    model::{Node, NodeMaintenance, Trouble, TroubleReason},
};

/// One accepted maintenance.
pub(super) struct Worker {
    pub(super) acting: Acting,
    pub(super) accepted: Accepted,
    /// Since when it has been drained, as this worker saw it.
    pub(super) drained_at: Option<Timestamp>,
    pub(super) pace: Pace,
    /// What has become of the VMs that had to leave.
    pub(super) departures: Departures,
    has_recalled: bool,
    /// What is wrong with the spec: it goes on as it was before, so that is said only where nothing else is wrong.
    spec_trouble: Option<Trouble>,
    own_object: Overlay<NodeMaintenance>,
    /// What the API server has not kept of the last status that was written.
    pub(super) not_kept: Option<Value>,
}

/// Why a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The maintenance has gone, and the node is as it was.
    Gone,
    /// This replica stops; the next leader goes on.
    Stopped,
}

impl Worker {
    pub(super) fn new(context: Context, object: &NodeMaintenance, accepted: Accepted) -> Self {
        let mut acting = Acting::new(context, accepted.node.clone(), object.actor());
        acting.lease_errors = object.status.as_ref().and_then(|status| status.error_on_lease_count).unwrap_or(0);
        let departures = Departures::continue_from(object.status.as_ref().and_then(|status| status.report.as_ref()));
        Self {
            acting,
            accepted,
            drained_at: None,
            pace: Pace::default(),
            departures,
            has_recalled: false,
            spec_trouble: None,
            own_object: Overlay::default(),
            not_kept: None,
        }
    }

    /// Works until the maintenance is gone or this replica stops. `wake` tells of changes.
    pub(super) async fn run(mut self, wake: Arc<Notify>, mut stopping: watch::Receiver<bool>) -> Ended {
        loop {
            if *stopping.borrow() {
                self.acting.settle().await;
                return Ended::Stopped;
            }
            let (snapshot, object) = self.look();
            let Some(object) = object else {
                // Removed by force: the record on the node says what is to be undone, and the leader finds it there.
                self.acting.settle().await;
                self.acting.show_blocked(None);
                return Ended::Gone;
            };
            if object.is_stopping() {
                return self.stop(&wake, &mut stopping).await;
            }
            if !has_finalizer(&object)
                && let Some(refused) = managed_by_another(&object)
            {
                // Another controller was faster.
                if self.refuse(&object, &refused).await {
                    return Ended::Gone;
                }
            }
            self.take_up_spec(&object);
            let wake_at = self.proceed(&object, &snapshot).await;
            let status_at = self.write_status().await;
            self.acting.wait([wake_at, status_at], &wake, &mut stopping).await;
        }
    }

    /// The cluster as it is best known, our own last writes included, and the maintenance in it.
    pub(super) fn look(&mut self) -> (Snapshot, Option<Arc<NodeMaintenance>>) {
        let snapshot = self.acting.snapshot();
        let cached = snapshot.maintenance(&self.acting.actor.name).cloned();
        let object = cached.map(|cached| {
            let version = cached.metadata.resource_version.clone().unwrap_or_default();
            self.own_object.over(&version).cloned().unwrap_or(cached)
        });
        let object = object.filter(|object| object.uid() == self.acting.actor.uid);
        (snapshot, object)
    }

    /// A changed spec: its drain options count from now on.
    fn take_up_spec(&mut self, object: &NodeMaintenance) {
        match understand(object) {
            Ok(accepted) => {
                self.accepted.origin = accepted.origin;
                if self.accepted.options != accepted.options {
                    self.accepted.options = accepted.options.clone();
                    self.acting.begin_anew();
                    let now = self.acting.now();
                    if let Some(drain) = &mut self.acting.drain {
                        drain.machine().set_options(accepted.options, now);
                    }
                }
                self.spec_trouble = None;
            }
            Err(refused) => self.spec_trouble = Some(Trouble::new(TroubleReason::InvalidSpec, refused.message)),
        }
    }

    /// Takes the node out of service and drains it, as far as that goes now; returns when to look again at the latest.
    async fn proceed(&mut self, object: &NodeMaintenance, snapshot: &Snapshot) -> Option<Timestamp> {
        if self.acting.retry.at.is_some_and(|at| at > self.acting.now()) {
            return self.acting.retry.at;
        }
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else {
            self.acting.last = Some((DrainPhase::NodeGone, Progress::default()));
            self.acting.drain = None;
            self.acting.lease = None;
            self.acting.show_blocked(None);
            let message = format!(
                "node {} is not in the cluster: it is taken out of service when it comes back",
                self.accepted.node
            );
            self.acting.trouble = Some(Trouble::new(TroubleReason::NodeGone, message));
            return None;
        };
        match self.take_steps(object, &node, snapshot).await {
            Ok(Progressed::Done) => {}
            Ok(Progressed::Waits) => return self.acting.retry.at,
            Err(trouble) => return Some(self.acting.failed(trouble)),
        }
        self.acting.trouble = self.acting.caches_are_old();
        // Options that nobody wrote drain nothing; the condition Degraded says why.
        if self.accepted.origin == OptionsOrigin::Unknown {
            return None;
        }
        if let Err(trouble) = self.acting.caches_are_filled() {
            return Some(self.acting.failed(trouble));
        }
        self.acting.begin_anew();
        self.drain_on(object)
    }

    /// Takes the steps in their order, up to the first that has to wait.
    async fn take_steps(
        &mut self,
        object: &NodeMaintenance,
        node: &Node,
        snapshot: &Snapshot,
    ) -> Result<Progressed, Trouble> {
        if self.hold_object(object).await? == Progressed::Waits {
            return Ok(Progressed::Waits);
        }
        self.acting.hold_node(node).await?;
        if self.take_out(object, node, snapshot).await? == Progressed::Waits {
            return Ok(Progressed::Waits);
        }
        self.say_in_progress().await
    }

    /// What another leader has asked to leave is followed by this one too.
    pub(super) fn recall(&mut self, object: &NodeMaintenance, snapshot: &Snapshot) {
        if std::mem::replace(&mut self.has_recalled, true) {
            return;
        }
        let record = snapshot.node(&self.accepted.node).and_then(|node| to_restore(object, node));
        if let Some(record) = record {
            self.departures.recall(&record.evacuations, snapshot);
        }
    }

    /// Drains, and goes on watching when that is done.
    fn drain_on(&mut self, object: &NodeMaintenance) -> Option<Timestamp> {
        let snapshot = self.acting.snapshot();
        self.recall(object, &snapshot);
        let options = &self.accepted.options;
        let blocking = object.status.as_ref().map_or(&[][..], |status| &status.blocking);
        let step =
            self.acting.drain_step(options, blocking, |record, now| drain_began(object, options, record, now))?;
        let (now, snapshot) = (self.acting.now(), self.acting.snapshot());
        self.departures.see(&step.progress, &self.accepted.node, &snapshot);
        self.departures.resolve(&self.accepted.node, &snapshot);
        let finished = step.phase == DrainPhase::Drained && !matches!(self.acting.last, Some((DrainPhase::Drained, _)));
        if finished {
            self.drained_at = Some(now);
        }
        self.acting.last = Some((step.phase, step.progress));
        // What has just become true is said on the node as well.
        if finished { Some(now) } else { step.wake_at }
    }

    /// What is wrong with it.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.acting.trouble.as_ref().or(self.spec_trouble.as_ref())
    }

    pub(super) fn cached_object_version(&self) -> String {
        let cached = self.acting.context.cluster.snapshot().maintenance(&self.acting.actor.name).cloned();
        cached.and_then(|cached| cached.metadata.resource_version.clone()).unwrap_or_default()
    }

    /// Takes up the answer to a write; if the watch has moved on meanwhile, what it shows counts.
    pub(super) fn wrote_object(&mut self, from: &str, written: NodeMaintenance) {
        if self.cached_object_version() == from {
            let version = written.metadata.resource_version.clone().unwrap_or_default();
            self.own_object.wrote(from, &version, written);
        }
    }
}
