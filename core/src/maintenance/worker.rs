//! Carries one accepted maintenance out: the steps by which a node goes out of service and stays there.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    NodeMaintenance,
    accept::{Accepted, OptionsOrigin, actor, managed_by_another, understand},
    context::Context,
    overlay::Overlay,
    requests::has_finalizer,
    status::{Trouble, condition},
    steps::Progressed,
};
use crate::{
    cluster::Snapshot,
    drain::{Drain, DrainPhase, Machine, Progress},
    lease::{NodeLease, NodeLeaseState},
    model::{Node, Uid},
    node::{self, Actor, Record, RecordReading},
};

/// Waits after something went wrong: from one second, doubling, to 30 seconds.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Two looks that nothing but time has caused are at least so far apart.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// A node Lease in other hands is looked at this often: nobody tells when it is let go.
const LEASE_RETRY: Duration = Duration::from_secs(10);

/// One accepted maintenance.
pub(super) struct Worker {
    pub(super) context: Context,
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) accepted: Accepted,
    pub(super) lease: Option<HeldNode>,
    pub(super) drain: Option<Drain>,
    pub(super) trouble: Option<Trouble>,
    pub(super) lease_errors: i32,
    /// Where the drain was at the last look.
    pub(super) last: Option<(DrainPhase, Progress)>,
    /// Since when it has been drained, as this worker saw it.
    pub(super) drained_at: Option<Timestamp>,
    pub(super) retry: Retry,
    pub(super) status_due: Option<Timestamp>,
    /// Status writes that failed in a row.
    pub(super) status_failures: u32,
    /// Since when there is progress that the status does not show yet.
    pub(super) unshown_since: Option<Timestamp>,
    own_object: Overlay<NodeMaintenance>,
    own_node: Overlay<Node>,
}

/// The node Lease, while we have it.
pub(super) struct HeldNode {
    pub(super) node_uid: Uid,
    pub(super) lease: NodeLease,
    pub(super) state: watch::Receiver<NodeLeaseState>,
}

/// When something that went wrong is tried again.
#[derive(Default)]
pub(super) struct Retry {
    failures: u32,
    pub(super) at: Option<Timestamp>,
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
        let actor = actor(object);
        Self {
            context,
            name: actor.name,
            uid: actor.uid,
            accepted,
            lease: None,
            drain: None,
            trouble: None,
            lease_errors: object.status.as_ref().and_then(|status| status.error_on_lease_count).unwrap_or(0),
            last: None,
            drained_at: None,
            retry: Retry::default(),
            status_due: None,
            status_failures: 0,
            unshown_since: None,
            own_object: Overlay::default(),
            own_node: Overlay::default(),
        }
    }

    /// Works until the maintenance is gone or this replica stops. `wake` tells of changes.
    pub(super) async fn run(mut self, wake: Arc<Notify>, mut stopping: watch::Receiver<bool>) -> Ended {
        loop {
            if *stopping.borrow() {
                self.settle().await;
                return Ended::Stopped;
            }
            let (snapshot, object) = self.look();
            let Some(object) = object else {
                // Removed by force: the record on the node says what is to be undone, and the leader finds it there.
                self.settle().await;
                self.show_blocked(None);
                return Ended::Gone;
            };
            if object.metadata.deletion_timestamp.is_some() {
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
            let now = self.now();
            let until = [wake_at, status_at, self.retry.at.filter(|at| *at > now)].into_iter().flatten().min();
            // Never twice at the same moment, whatever a step asks for.
            let until = until.map(|until| until.max(now + SHORTEST_WAIT));
            let clock = self.context.clock;
            tokio::select! {
                () = wake.notified() => {}
                outcome = next_outcome(&mut self.drain) => {
                    let (snapshot, _) = self.look();
                    let now = self.now();
                    if let Some(drain) = &mut self.drain {
                        drain.handle(outcome, &snapshot, now);
                    }
                }
                () = lease_changed(self.lease.as_mut()) => {}
                () = clock.sleep_until(until.unwrap_or(Timestamp::MAX)), if until.is_some() => {}
                _ = stopping.changed() => {}
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// The cluster as it is best known, our own last writes included, and the maintenance in it.
    pub(super) fn look(&mut self) -> (Snapshot, Option<Arc<NodeMaintenance>>) {
        let mut snapshot = self.context.cluster.snapshot();
        let node = snapshot.node(&self.accepted.node).map(|node| node.resource_version.clone());
        if let Some(node) = node.and_then(|version| self.own_node.over(&version).cloned()) {
            snapshot.put(Node::clone(&node));
        }
        let cached = snapshot.maintenance(&self.name).cloned();
        let object = cached.map(|cached| {
            let version = cached.metadata.resource_version.clone().unwrap_or_default();
            self.own_object.over(&version).cloned().unwrap_or(cached)
        });
        let object = object.filter(|object| object.metadata.uid.as_deref() == Some(self.uid.as_str()));
        (snapshot, object)
    }

    /// The actor in whose name this worker writes.
    pub(super) fn actor(&self) -> Actor {
        Actor { kind: node::ActorKind::Maintenance, name: self.name.clone(), uid: self.uid.clone() }
    }

    /// A changed spec: its drain options count from now on.
    fn take_up_spec(&mut self, object: &NodeMaintenance) {
        match understand(object) {
            Ok(accepted) => {
                self.accepted.origin = accepted.origin;
                if self.accepted.options != accepted.options {
                    self.accepted.options = accepted.options.clone();
                    self.retry = Retry::default();
                    if let Some(drain) = &mut self.drain {
                        drain.machine().set_options(accepted.options);
                    }
                }
                self.trouble.take_if(|trouble| trouble.reason == "InvalidSpec");
            }
            Err(refused) => self.trouble = Some(Trouble::new(refused.reason, refused.message)),
        }
    }

    /// Takes the steps in their order, up to the first that has to wait; returns when to look again at the latest.
    async fn proceed(&mut self, object: &NodeMaintenance, snapshot: &Snapshot) -> Option<Timestamp> {
        if self.retry.at.is_some_and(|at| at > self.now()) {
            return self.retry.at;
        }
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else {
            self.last = Some((DrainPhase::NodeGone, Progress::default()));
            self.drain = None;
            self.lease = None;
            self.show_blocked(None);
            let message = format!(
                "node {} is not in the cluster: it is taken out of service when it comes back",
                self.accepted.node
            );
            self.trouble = Some(Trouble::new("NodeGone", message));
            return None;
        };
        for step in [Step::HoldObject, Step::HoldNode, Step::TakeOut, Step::SayInProgress] {
            let outcome = match step {
                Step::HoldObject => self.hold_object(object).await,
                Step::HoldNode => self.hold_node(&node).await.map(|()| Progressed::Done),
                Step::TakeOut => self.take_out(object, &node, snapshot).await,
                Step::SayInProgress => self.say().await,
            };
            match outcome {
                Ok(Progressed::Done) => {}
                Ok(Progressed::Waits) => return self.retry.at,
                Err(trouble) => return Some(self.failed(trouble)),
            }
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.reason != "InvalidSpec") {
            self.trouble = None;
        }
        // Options that nobody wrote drain nothing; the condition Degraded says why.
        if self.accepted.origin == OptionsOrigin::Unknown {
            return None;
        }
        // A kind that came late (KubeVirt) and is not listed yet would look as if there were no VMs.
        if let Some((kind, state)) = self.context.cluster.not_ready().into_iter().next() {
            let message = format!("nothing is asked to leave before every {kind} is known: {state}");
            return Some(self.failed(Trouble::new("CachesNotFilled", message)));
        }
        self.retry = Retry::default();
        self.drain_on(object)
    }

    /// Drains, and goes on watching when that is done.
    fn drain_on(&mut self, object: &NodeMaintenance) -> Option<Timestamp> {
        let now = self.now();
        let (snapshot, _) = self.look();
        let node = snapshot.node(&self.accepted.node)?;
        let record = match Record::read(node) {
            RecordReading::Present(record) => record,
            RecordReading::Absent | RecordReading::Unreadable(_) => return None,
        };
        if self.drain.is_none() {
            let started = drain_began(object, &record, now);
            let machine = Machine::new(
                self.accepted.node.clone(),
                self.accepted.options.clone(),
                self.context.settings.own_pod.clone(),
                started,
                record.evacuations,
            );
            let (cluster, hand_over) = (self.context.cluster.clone(), self.context.hand_over.clone());
            self.drain = Some(Drain::new(machine, cluster, self.accepted.node.clone(), self.actor(), hand_over));
        }
        let step = self.drain.as_mut()?.step(&snapshot, now);
        self.show_blocked(Some(&step.progress));
        let finished = step.phase == DrainPhase::Drained && !matches!(self.last, Some((DrainPhase::Drained, _)));
        if finished {
            self.drained_at = Some(now);
        }
        self.last = Some((step.phase, step.progress));
        // What has just become true is said on the node as well.
        if finished { Some(now) } else { step.wake_at }
    }

    /// Notes what went wrong; returns when it is tried again.
    pub(super) fn failed(&mut self, trouble: Trouble) -> Timestamp {
        let wait = if trouble.reason == "NodeLeaseHeld" {
            LEASE_RETRY
        } else {
            Duration::from_secs(1).saturating_mul(1 << self.retry.failures.min(5)).min(LONGEST_RETRY)
        };
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(maintenance = self.name, node = %self.accepted.node, reason = trouble.reason, message = trouble.message, "waits");
        }
        self.retry.failures = self.retry.failures.saturating_add(1);
        self.trouble = Some(trouble);
        let at = self.now() + wait;
        self.retry.at = Some(at);
        at
    }

    /// What failed before says nothing about what comes now.
    pub(super) fn begin_anew(&mut self) {
        self.retry = Retry::default();
    }

    pub(super) fn cached_object_version(&self) -> String {
        let cached = self.context.cluster.snapshot().maintenance(&self.name).cloned();
        cached.and_then(|cached| cached.metadata.resource_version.clone()).unwrap_or_default()
    }

    /// Takes up the answer to a write; if the watch has moved on meanwhile, what it shows counts.
    pub(super) fn wrote_object(&mut self, from: &str, written: NodeMaintenance) {
        if self.cached_object_version() == from {
            let version = written.metadata.resource_version.clone().unwrap_or_default();
            self.own_object.wrote(from, &version, written);
        }
    }

    pub(super) fn cached_node_version(&self) -> String {
        let cached = self.context.cluster.snapshot().node(&self.accepted.node).cloned();
        cached.map(|cached| cached.resource_version.clone()).unwrap_or_default()
    }

    /// As [`Self::wrote_object`], for the node.
    pub(super) fn wrote_node(&mut self, from: &str, written: Node) {
        if self.cached_node_version() == from {
            let version = written.resource_version.clone();
            self.own_node.wrote(from, &version, written);
        }
    }

    /// Starts nothing more, and waits for the requests that are on their way.
    pub(super) async fn settle(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.settle().await;
        }
    }
}

/// When the drain began, for what its options count from then: not before the node was taken out of service, and on a
/// node that had been drained when something arrived.
fn drain_began(object: &NodeMaintenance, record: &Record, now: Timestamp) -> Timestamp {
    let status = object.status.as_ref();
    let began = if status.is_none_or(|status| status.drained_at.is_none()) {
        status.and_then(|status| status.started_at).unwrap_or(record.since)
    } else {
        let drained = object.condition(condition::DRAINED).filter(|condition| condition.status == "False");
        drained.map_or(now, |condition| condition.last_transition_time.0)
    };
    began.max(record.since)
}

#[derive(Clone, Copy)]
enum Step {
    HoldObject,
    HoldNode,
    TakeOut,
    SayInProgress,
}

async fn next_outcome(drain: &mut Option<Drain>) -> crate::drain::Outcome {
    match drain {
        Some(drain) => drain.next().await,
        None => std::future::pending().await,
    }
}

async fn lease_changed(held: Option<&mut HeldNode>) {
    let changed = match held {
        Some(held) => held.state.changed().await,
        None => std::future::pending().await,
    };
    if changed.is_err() {
        // Its task has ended, and said before what became of the Lease.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::{WorkloadProgress, WorkloadState},
        maintenance::{NodeMaintenanceStatus, status},
        model::{
            ObjectKey,
            testing::{at, maintenance, node},
        },
        plan::{Workload, WorkloadKind},
    };

    #[test]
    fn options_count_their_time_from_when_there_was_something_to_drain() {
        let mut object = maintenance("m", "node02");
        let record = Record { since: at(5), ..Record::begin(&actor(&object), &node("node02"), None, at(5)) };
        assert_eq!(drain_began(&object, &record, at(100)), at(5), "nothing is said yet");
        object.status = Some(NodeMaintenanceStatus { started_at: Some(at(0)), ..Default::default() });
        assert_eq!(drain_began(&object, &record, at(100)), at(5), "the node Lease was held by another at first");

        let known = status::Known {
            drain: Some((&DrainPhase::Drained, &Progress::default())),
            drained_at: Some(at(30)),
            ..Default::default()
        };
        object.status = Some(status::of_accepted(&object, &known, at(30)));
        assert_eq!(
            drain_began(&object, &record, at(100)),
            at(100),
            "it was drained, and nothing has arrived that is known of"
        );
        let workload = Workload { kind: WorkloadKind::Pod, pod: ObjectKey::new("shop", "late"), uid: "late".into() };
        let arrived = WorkloadProgress { workload, state: WorkloadState::Next };
        let progress = Progress { workloads: vec![arrived], had_to_leave: 1 };
        let known = status::Known { drain: Some((&DrainPhase::Draining, &progress)), ..Default::default() };
        object.status = Some(status::of_accepted(&object, &known, at(70)));
        assert_eq!(drain_began(&object, &record, at(100)), at(70), "something arrived then");
    }
}
