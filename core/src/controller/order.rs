//! Carries one drain order out: cordons its node without a taint, drains it, says what became of it. The node stays
//! cordoned.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    acting::{Acting, lease_changed, next_outcome, trouble_with_node},
    context::Context,
    overlay::Overlay,
    pace::Pace,
    worker::Ended,
};
use crate::{
    cluster::Snapshot,
    drain::DrainPhase,
    maintenance::status::{blocking, to_the_second},
    migration::take_back,
    model::{
        DrainEnd, DrainOptions, DrainOrder, DrainOutcome, DrainStatus, Node, Record, RecordReading, Trouble,
        TroubleReason, Uid,
    },
    node::{self, DrainStage, NodeError},
    order::{OrderWriteError, Orders, Refused},
};

/// Two looks that nothing but time has caused are at least so far apart.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// One drain order that is being carried out.
pub(super) struct OrderWorker {
    acting: Acting,
    orders: Orders,
    id: Uid,
    node_uid: Uid,
    options: Result<DrainOptions, Trouble>,
    /// The record as it was last seen or written: it is put back when somebody removes it.
    record: Option<Record>,
    own_order: Overlay<DrainOrder>,
    pace: Pace,
}

/// What follows from one look.
enum Round {
    /// To wait, until then at the latest.
    Waits(Option<Timestamp>),
    /// It is over.
    Over(DrainEnd, &'static str),
}

impl OrderWorker {
    pub(super) fn new(context: Context, order: &DrainOrder, options: Result<DrainOptions, Trouble>) -> Self {
        Self {
            orders: Orders::new(context.cluster.client(), &context.settings.namespace),
            acting: Acting::new(context, order.node().clone(), order.actor()),
            id: order.id().clone(),
            node_uid: order.request.node_uid.clone(),
            options,
            record: None,
            own_order: Overlay::default(),
            pace: Pace::default(),
        }
    }

    /// Works until the order is over or this replica stops. `wake` tells of changes.
    pub(super) async fn run(mut self, wake: Arc<Notify>, mut stopping: watch::Receiver<bool>) -> Ended {
        loop {
            if *stopping.borrow() {
                self.acting.settle().await;
                return Ended::Stopped;
            }
            let Some(order) = self.look().1 else {
                // Deleted by force. Nobody wants this drain any more, and nobody asks what became of it.
                return self.end(DrainEnd::Cancelled, "its order was deleted", &wake, &mut stopping).await;
            };
            if order.is_finished() {
                return Ended::Gone;
            }
            let wake_at = match self.round(&order).await {
                Ok(Round::Waits(at)) => at,
                Ok(Round::Over(end, message)) => return self.end(end, message, &wake, &mut stopping).await,
                Err(trouble) => Some(self.acting.failed(trouble)),
            };
            let status_at = self.write_status().await;
            let now = self.acting.now();
            let until = [wake_at, status_at, self.acting.retry.at.filter(|at| *at > now)].into_iter().flatten().min();
            let until = until.map(|until| until.max(now + SHORTEST_WAIT));
            let clock = self.acting.context.clock;
            tokio::select! {
                () = wake.notified() => {}
                outcome = next_outcome(&mut self.acting.drain) => self.acting.take_up(outcome),
                () = lease_changed(self.acting.lease.as_mut()) => {}
                () = clock.sleep_until(until.unwrap_or(Timestamp::MAX)), if until.is_some() => {}
                _ = stopping.changed() => {}
            }
        }
    }

    /// The cluster as it is best known, our own last writes included, and the order in it.
    fn look(&mut self) -> (Snapshot, Option<Arc<DrainOrder>>) {
        let snapshot = self.acting.snapshot();
        let cached = snapshot.drain_order(&self.acting.node).cloned();
        let order = cached.map(|cached| self.own_order.over(&cached.resource_version).cloned().unwrap_or(cached));
        (snapshot, order.filter(|order| *order.id() == self.id))
    }

    /// The node that was meant, as long as it is there.
    fn own_node(&mut self) -> Option<Arc<Node>> {
        let snapshot = self.acting.snapshot();
        snapshot.node(&self.acting.node).filter(|node| node.uid == self.node_uid).cloned()
    }

    /// Takes the steps in their order, up to the first that has to wait.
    async fn round(&mut self, order: &DrainOrder) -> Result<Round, Trouble> {
        let Some(node) = self.own_node() else {
            return Ok(Round::Over(DrainEnd::NodeGone, "the node has left the cluster"));
        };
        if order.request.cancel.is_some() {
            return Ok(Round::Over(DrainEnd::Cancelled, "it was cancelled: the node stays cordoned if it was"));
        }
        if self.acting.retry.at.is_some_and(|at| at > self.acting.now()) {
            return Ok(Round::Waits(self.acting.retry.at));
        }
        let options = self.options.clone()?;
        // Before the node Lease is taken: whoever undoes what another has left behind needs it.
        self.intended_record(&node)?;
        self.acting.hold_node(&node).await?;
        self.take_out(&node).await?;
        self.say_begun().await?;
        self.acting.say(DrainStage::InProgress).await?;
        self.acting.caches_are_filled()?;
        self.acting.begin_anew();
        self.acting.trouble = None;
        let started = order.status.started_at;
        let step =
            self.acting.drain_step(&options, |record, _| started.map_or(record.since, |at| at.max(record.since)));
        let Some(step) = step else { return Ok(Round::Waits(None)) };
        let round = match &step.phase {
            DrainPhase::Drained => Round::Over(DrainEnd::Drained, "nothing is left on the node that had to leave"),
            DrainPhase::TimedOut => Round::Over(DrainEnd::TimedOut, "its time is over: the node stays cordoned"),
            DrainPhase::NodeGone => Round::Over(DrainEnd::NodeGone, "the node has left the cluster"),
            DrainPhase::Draining | DrainPhase::Waiting(_) | DrainPhase::Stopped => Round::Waits(step.wake_at),
        };
        self.acting.last = Some((step.phase, step.progress));
        Ok(round)
    }

    /// The record that the node should carry.
    fn intended_record(&self, node: &Node) -> Result<Record, Trouble> {
        let kept = self.record.clone().filter(|record| record.node_uid == node.uid);
        let or_new = || Record::begin(&self.acting.actor, node, None, self.acting.now());
        match Record::read(node) {
            RecordReading::Present(found) if found.actor == self.acting.actor && found.node_uid == node.uid => {
                Ok(found)
            }
            RecordReading::Present(found) if found.node_uid == node.uid => {
                let message = format!(
                    "node {} carries the record of {:?} {}: wait for its end, or uncordon the node if that has ended",
                    node.name, found.actor.kind, found.actor.name
                );
                Err(Trouble::new(TroubleReason::RecordOfAnother, message))
            }
            RecordReading::Unreadable(error) => {
                kept.ok_or_else(|| Trouble::new(TroubleReason::RecordUnreadable, error.to_string()))
            }
            RecordReading::Absent | RecordReading::Present(_) => Ok(kept.unwrap_or_else(or_new)),
        }
    }

    /// Record and cordon, in one write; again whenever somebody undoes them.
    async fn take_out(&mut self, node: &Node) -> Result<(), Trouble> {
        let wanted = self.intended_record(node)?;
        let settings = &self.acting.context.settings;
        let patch = |node: &Node| match self.intended_record(node) {
            Ok(record) => node::take_out(node, &record, &settings.drain_taint_key, ""),
            Err(_) => Ok(None),
        };
        let from = self.acting.cached_node_version();
        let written = node::change(self.acting.context.cluster.client(), node, patch).await;
        if let Some(written) = written.map_err(|error| trouble_with_node(&error))? {
            tracing::info!(node = %written.name, drain = %self.id, "cordoned and recorded");
            if let RecordReading::Present(record) = Record::read(&written) {
                self.record = Some(record);
            }
            self.acting.wrote_node(&from, written);
        } else {
            self.record = Some(wanted);
        }
        Ok(())
    }

    /// That it has begun is said before anything is asked to leave: from now on it is not decided on again.
    async fn say_begun(&mut self) -> Result<(), Trouble> {
        let Some(order) = self.look().1.filter(|order| !order.has_begun()) else { return Ok(()) };
        let now = to_the_second(self.acting.now());
        let status = DrainStatus { id: self.id.clone(), started_at: Some(now), ..order.status.clone() };
        match self.write(&order, &status).await {
            Ok(()) => Ok(()),
            Err(error) => Err(trouble_with_order(&error)),
        }
    }

    async fn write(&mut self, order: &DrainOrder, status: &DrainStatus) -> Result<(), OrderWriteError> {
        let cached = |this: &Self| {
            let snapshot = this.acting.context.cluster.snapshot();
            snapshot.drain_order(&this.acting.node).map(|order| order.resource_version.clone()).unwrap_or_default()
        };
        let from = cached(self);
        let written = self.orders.write_status(order, status).await?;
        if cached(self) == from {
            let version = written.resource_version.clone();
            self.own_order.wrote(&from, &version, written);
        }
        Ok(())
    }

    /// Writes the status if it says something new and it is time to; returns when it has to be written else.
    async fn write_status(&mut self) -> Option<Timestamp> {
        let now = self.acting.now();
        let order = self.look().1?;
        let wanted = self.status(&order);
        if wanted == order.status {
            self.pace.is_up_to_date();
            return None;
        }
        let mere_progress = wanted.trouble == order.status.trouble;
        if let Some(due) = self.pace.begin(mere_progress, now) {
            return Some(due);
        }
        match self.write(&order, &wanted).await {
            Ok(()) => {
                self.pace.wrote();
                None
            }
            Err(OrderWriteError::Changed(_)) => self.pace.again_at(),
            Err(error) => {
                tracing::warn!(drain = %self.id, %error, "the status of the order could not be written");
                self.pace.failed(now)
            }
        }
    }

    /// What is to be said of it now.
    fn status(&self, order: &DrainOrder) -> DrainStatus {
        let mut status = DrainStatus {
            id: self.id.clone(),
            trouble: self.acting.trouble.clone(),
            outcome: None,
            ..order.status.clone()
        };
        if let Some((_, progress)) = &self.acting.last {
            // Another leader counts only what it has seen itself.
            status.had_to_leave = status.had_to_leave.max(progress.had_to_leave);
            status.blocked = progress.blocked().len();
            status.blocking = blocking(progress);
        }
        status
    }

    /// Ends it: nothing new starts, what was asked is taken back unless it is done, the record goes, the outcome is kept.
    async fn end(
        mut self,
        end: DrainEnd,
        message: &'static str,
        wake: &Notify,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ended {
        tracing::info!(drain = %self.id, node = %self.acting.node, ?end, "the drain ends");
        self.acting.settle().await;
        self.acting.drain = None;
        self.acting.show_blocked(None);
        self.acting.begin_anew();
        let mut left_behind = None;
        loop {
            let retry_at = match self.end_once(end, message, &mut left_behind).await {
                Ok(()) => {
                    self.acting.release_node().await;
                    return Ended::Gone;
                }
                Err(trouble) => self.acting.failed(trouble),
            };
            let status_at = self.write_status().await;
            let clock = self.acting.context.clock;
            let until = status_at.map_or(retry_at, |at| at.min(retry_at));
            loop {
                tokio::select! {
                    () = clock.sleep_until(until) => break,
                    // News of the cluster is no reason to try it sooner.
                    () = wake.notified() => {}
                    _ = stopping.changed() => return Ended::Stopped,
                }
            }
        }
    }

    async fn end_once(
        &mut self,
        end: DrainEnd,
        message: &'static str,
        left_behind: &mut Option<Vec<String>>,
    ) -> Result<(), Trouble> {
        if let Some(node) = self.own_node()
            && self.is_ours(&node)
        {
            self.acting.hold_node(&node).await?;
            let client = self.acting.context.cluster.client().clone();
            // The VMIs that were asked to leave a moment ago are on the node; its watch may be behind.
            let node = match node::read(&client, &node).await {
                Ok(node) => node,
                Err(NodeError::Gone { .. } | NodeError::Replaced { .. }) => Node::clone(&node),
                Err(error) => return Err(trouble_with_node(&error)),
            };
            if let RecordReading::Present(record) = Record::read(&node)
                && left_behind.is_none()
                && end != DrainEnd::Drained
            {
                let options = self.options.clone().or_else(|_| default_options())?;
                *left_behind =
                    Some(take_back(&self.acting.context.cluster, &self.acting.node, &record, &options).await);
            }
            let stage = if end == DrainEnd::Drained { DrainStage::Completed } else { DrainStage::Ended };
            self.acting.say(stage).await?;
            // The record goes last: what is not done before it goes would never be done.
            let forgotten = node::change(&client, &node, |node| {
                Ok(if self.is_ours(node) { node::forget_record(node) } else { None })
            });
            let from = self.acting.cached_node_version();
            if let Some(written) = forgotten.await.map_err(|error| trouble_with_node(&error))? {
                self.acting.wrote_node(&from, written);
            }
        }
        let Some(order) = self.look().1 else { return Ok(()) };
        let left = match (end, &self.acting.last) {
            (DrainEnd::Drained | DrainEnd::NodeGone, _) | (_, None) => 0,
            (_, Some((_, progress))) => progress.left().count(),
        };
        self.acting.trouble = None;
        let outcome = DrainOutcome {
            end,
            reason: None,
            message: message.to_owned(),
            at: to_the_second(self.acting.now()),
            left,
            left_behind: left_behind.clone().unwrap_or_default(),
        };
        let mut status = DrainStatus { outcome: Some(outcome), ..self.status(&order) };
        status.blocked = 0;
        status.blocking.clear();
        self.write(&order, &status).await.map_err(|error| trouble_with_order(&error))
    }

    fn is_ours(&self, node: &Node) -> bool {
        matches!(
            Record::read(node),
            RecordReading::Present(found) if found.actor == self.acting.actor && found.node_uid == node.uid
        )
    }
}

/// Says that an order is not carried out.
pub(super) async fn refuse(context: &Context, order: &DrainOrder, refused: Refused) -> Result<(), OrderWriteError> {
    let outcome = DrainOutcome {
        end: DrainEnd::Refused,
        reason: Some(refused.reason.to_owned()),
        message: refused.message,
        at: to_the_second(context.clock.now()),
        left: 0,
        left_behind: Vec::new(),
    };
    let status = DrainStatus { id: order.id().clone(), outcome: Some(outcome), ..DrainStatus::default() };
    let orders = Orders::new(context.cluster.client(), &context.settings.namespace);
    orders.write_status(order, &status).await.map(drop)
}

/// Forgets an order whose outcome says nothing any more.
pub(super) async fn forget(context: &Context, order: &DrainOrder) -> Result<(), OrderWriteError> {
    Orders::new(context.cluster.client(), &context.settings.namespace).delete(order).await
}

fn default_options() -> Result<DrainOptions, Trouble> {
    let options = crate::model::DrainSpec::default().for_drain();
    options.map_err(|error| Trouble::new(TroubleReason::InvalidSpec, error.to_string()))
}

fn trouble_with_order(error: &OrderWriteError) -> Trouble {
    let reason = match error {
        OrderWriteError::Changed(_) => TroubleReason::Contended,
        OrderWriteError::Forbidden { .. } => TroubleReason::Forbidden,
        OrderWriteError::Rejected { .. } | OrderWriteError::Unavailable { .. } => TroubleReason::ApiServerUnavailable,
    };
    Trouble::new(reason, error.to_string())
}
