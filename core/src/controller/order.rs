//! Carries one drain order out: cordons its node without a taint, drains it, says what became of it. The node stays
//! cordoned.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{acting::Acting, context::Context, news::News, overlay::Overlay, pace::Pace, worker::Ended};
use crate::{
    clock::to_the_second,
    cluster::Snapshot,
    config_map::ConfigMapError,
    maintenance::status::blocking,
    model::{DrainEnd, DrainOptions, DrainOrder, DrainOutcome, DrainStatus, Node, Record, Trouble, TroubleReason, Uid},
    order::Orders,
};

/// One drain order that is being carried out.
pub(super) struct OrderWorker {
    acting: Acting,
    orders: Orders,
    id: Uid,
    node_uid: Uid,
    options: Result<DrainOptions, Trouble>,
    own_order: Overlay<DrainOrder>,
    pace: Pace,
    /// Why it waits, as it was said last where the order cannot say it.
    said: Option<String>,
}

/// What follows from one look.
enum Round {
    /// To wait, until then at the latest.
    Waits(Option<Timestamp>),
    /// It is over.
    Over(DrainEnd, &'static str),
}

/// What became of reading an order before anything is done because of it.
enum FirstLook {
    /// It is known as it is now.
    There,
    /// It was deleted, or another has taken its place.
    Gone,
    /// This replica stops.
    Stopping,
}

/// What is said of an order that somebody deleted: nobody wants its drain any more, and nobody asks what became of it.
const DELETED: &str = "its order was deleted";

impl OrderWorker {
    pub(super) fn new(context: Context, order: &DrainOrder, options: Result<DrainOptions, Trouble>) -> Self {
        Self {
            orders: Orders::new(context.cluster.client(), &context.settings.namespace),
            acting: Acting::new(context, order.node().clone(), order.actor()),
            id: order.id().clone(),
            node_uid: order.request.node_uid.clone(),
            options,
            own_order: Overlay::default(),
            pace: Pace::default(),
            said: None,
        }
    }

    /// Works until the order is over or this replica stops. `wake` tells of changes.
    pub(super) async fn run(mut self, wake: Arc<Notify>, mut stopping: watch::Receiver<bool>) -> Ended {
        match self.first_look(&mut stopping).await {
            FirstLook::There => {}
            FirstLook::Gone => return self.end(DrainEnd::Cancelled, DELETED, &wake, &mut stopping).await,
            FirstLook::Stopping => return Ended::Stopped,
        }
        loop {
            if *stopping.borrow() {
                self.acting.settle().await;
                return Ended::Stopped;
            }
            let Some(order) = self.look().1 else {
                return self.end(DrainEnd::Cancelled, DELETED, &wake, &mut stopping).await;
            };
            if order.is_finished() {
                return Ended::Gone;
            }
            let wake_at = match self.round(&order).await {
                Ok(Round::Waits(at)) => at,
                Ok(Round::Over(end, message)) => return self.end(end, message, &wake, &mut stopping).await,
                Err(trouble) => {
                    match self.options.clone().map(|options| self.acting.over_or_again(trouble, &options)) {
                        Ok(Ok((end, message))) => return self.end(end, message, &wake, &mut stopping).await,
                        Ok(Err(again)) => Some(again),
                        Err(trouble) => Some(self.acting.failed(trouble)),
                    }
                }
            };
            let status_at = self.write_status().await;
            self.acting.wait([wake_at, status_at], &wake, &mut stopping).await;
        }
    }

    /// Asks once for the order as it is now: the leader before this one may have ended it a moment ago.
    async fn first_look(&mut self, stopping: &mut watch::Receiver<bool>) -> FirstLook {
        loop {
            let Some(cached) = self.look().1 else { return FirstLook::Gone };
            let retry_at = match self.orders.get(&cached.name).await {
                Ok(Some(current)) if *current.id() == self.id => {
                    let version = current.resource_version.clone();
                    if version != cached.resource_version {
                        self.own_order.wrote(&cached.resource_version, &version, current);
                    }
                    return FirstLook::There;
                }
                Ok(_) => return FirstLook::Gone,
                Err(error) => {
                    let trouble = trouble_with_order(&error);
                    let why = format!("drain {} has not begun yet: {}", self.id, trouble.message);
                    self.say_on_node(why, News::NotBegunYet);
                    self.acting.failed(trouble)
                }
            };
            let clock = self.acting.context.clock;
            tokio::select! {
                biased;
                _ = stopping.changed() => return FirstLook::Stopping,
                () = clock.sleep_until(retry_at) => {}
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
        self.acting.begin_drain(&node).await?;
        self.say_begun().await?;
        let started = order.status.started_at;
        let began = |record: &Record, _| started.map_or(record.since, |at| at.max(record.since));
        Ok(match self.acting.drain_on(&options, &order.status.blocking, began).await? {
            Some((end, message)) => Round::Over(end, message),
            None => Round::Waits(self.acting.wake_at),
        })
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

    async fn write(&mut self, order: &DrainOrder, status: &DrainStatus) -> Result<(), ConfigMapError> {
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
            Err(ConfigMapError::Changed(_)) => self.pace.again_at(),
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

    /// Ends it: nothing new starts, what was asked is taken back unless it is done, the record goes, the outcome is
    /// kept.
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
                Ok(()) => return Ended::Gone,
                Err(trouble) => {
                    if self.look().1.is_none() {
                        let why = format!(
                            "drain {}, whose order was deleted, has not ended yet: {}",
                            self.id, trouble.message
                        );
                        self.say_on_node(why, News::NotEndedYet);
                    }
                    self.acting.failed(trouble)
                }
            };
            let status_at = self.write_status().await;
            let clock = self.acting.context.clock;
            let until = status_at.map_or(retry_at, |at| at.min(retry_at));
            loop {
                tokio::select! {
                    biased;
                    () = clock.sleep_until(until) => break,
                    // News of the cluster is no reason to try it sooner.
                    () = wake.notified() => {}
                    _ = stopping.changed() => return Ended::Stopped,
                }
            }
        }
    }

    /// Says on the node what the order cannot say, once.
    fn say_on_node(&mut self, why: String, news: fn(String) -> News) {
        if self.said.as_ref() == Some(&why) {
            return;
        }
        if let Some(node) = self.own_node() {
            self.acting.context.publisher.of_node(&node, news(why.clone()));
        }
        self.said = Some(why);
    }

    async fn end_once(
        &mut self,
        end: DrainEnd,
        message: &'static str,
        left_behind: &mut Option<Vec<String>>,
    ) -> Result<(), Trouble> {
        if let Some(node) = self.own_node() {
            let options = self.options.clone().or_else(|_| default_options())?;
            self.acting.let_go(&node, end == DrainEnd::Drained, &options, left_behind).await?;
        }
        self.acting.release_node().await?;
        let Some(order) = self.look().1 else { return Ok(()) };
        self.acting.trouble = None;
        let outcome = DrainOutcome {
            end,
            reason: None,
            message: message.to_owned(),
            at: to_the_second(self.acting.now()),
            left: self.acting.left_at(end),
            left_behind: left_behind.clone().unwrap_or_default(),
        };
        let mut status = DrainStatus { outcome: Some(outcome), ..self.status(&order) };
        status.blocked = 0;
        status.blocking.clear();
        self.write(&order, &status).await.map_err(|error| trouble_with_order(&error))
    }
}

/// Forgets an order whose outcome says nothing any more.
pub(super) async fn forget(context: &Context, order: &DrainOrder) -> Result<(), ConfigMapError> {
    Orders::new(context.cluster.client(), &context.settings.namespace).delete(order).await
}

fn default_options() -> Result<DrainOptions, Trouble> {
    let options = crate::model::DrainSpec::default().for_drain();
    options.map_err(|error| Trouble::new(TroubleReason::InvalidSpec, error.to_string()))
}

fn trouble_with_order(error: &ConfigMapError) -> Trouble {
    let reason = match error {
        ConfigMapError::Changed(_) => TroubleReason::Contended,
        ConfigMapError::Forbidden { .. } => TroubleReason::Forbidden,
        ConfigMapError::Rejected { .. } | ConfigMapError::Unavailable { .. } => TroubleReason::ApiServerUnavailable,
    };
    Trouble::new(reason, error.to_string())
}
