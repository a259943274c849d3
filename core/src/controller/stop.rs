//! Ends a maintenance: cancels what runs, restores the node, lets it go.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    acting::trouble_with_node,
    news::News,
    requests::{self, has_finalizer},
    worker::{Ended, Worker},
};
use crate::{
    clock::later,
    cluster::Snapshot,
    maintenance::{
        intent::{drain_taint_key, to_restore},
        status,
    },
    migration::take_back,
    model::{Node, NodeMaintenance, NoticeEvent, Record, Trouble, condition},
    node,
};

/// Those who are to be told of the end have this time to take it, before the object goes.
const END_TOLD_WITHIN: Duration = Duration::from_secs(30);
/// A watch shows a change within this time.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);

/// How far the end has got. What fails is tried again where it failed; what is done is not done again.
#[derive(Clone, Copy)]
enum Stage {
    /// What runs is cancelled, and the node restored.
    Restoring,
    /// The node Lease is let go.
    Releasing,
    /// Others are told. The object waits for them until then, once it is noted for them.
    Telling { until: Option<Timestamp> },
    /// The object is let go.
    LettingGo,
}

/// What follows from one look.
enum Step {
    Next(Stage),
    WaitsUntil(Timestamp),
    Gone,
}

/// The end of one maintenance.
struct Ending {
    stage: Stage,
    /// Whether it was ever accepted: one that was not came with a finalizer from a copy, and there is nothing to tell.
    was_accepted: bool,
    /// What could not be taken back, once that was tried.
    left_behind: Option<Vec<String>>,
}

impl Worker {
    /// Restores the node and lets the object go.
    pub(super) async fn stop(mut self, wake: &Notify, stopping: &mut watch::Receiver<bool>) -> Ended {
        tracing::info!(maintenance = self.acting.actor.name, node = %self.accepted.node, "the maintenance ends");
        self.acting.settle().await;
        self.acting.drain = None;
        self.acting.show_blocked(None);
        self.acting.begin_anew();
        let was_accepted = self.was_accepted();
        let mut ending = Ending { stage: Stage::Restoring, was_accepted, left_behind: None };
        let mut retry_at: Option<Timestamp> = None;
        loop {
            let (snapshot, object) = self.look();
            let Some(object) = object.filter(|object| has_finalizer(object)) else {
                // Its finalizer was removed by force. A node that is restored already is let go; one that is not is restored
                // by whoever looks after records.
                if matches!(ending.stage, Stage::Releasing) && self.acting.release_node().await.is_err() {
                    tracing::warn!(node = %self.accepted.node, "the node Lease was not released; it lapses by itself");
                }
                return Ended::Gone;
            };
            // What is tried again has its time; news of the cluster is no reason to try it sooner.
            let waits_until = match retry_at.filter(|at| *at > self.acting.now()) {
                Some(at) => at,
                None => match self.advance(&mut ending, &object, &snapshot).await {
                    Ok(Step::Next(stage)) => {
                        ending.stage = stage;
                        retry_at = None;
                        self.acting.begin_anew();
                        self.acting.trouble = None;
                        continue;
                    }
                    Ok(Step::WaitsUntil(at)) => {
                        retry_at = None;
                        at
                    }
                    Ok(Step::Gone) => {
                        self.see_it_go(wake, stopping).await;
                        return Ended::Gone;
                    }
                    Err(trouble) => *retry_at.insert(self.acting.failed(trouble)),
                },
            };
            let status_at = if ending.was_accepted { self.write_status().await } else { None };
            let until = status_at.map_or(waits_until, |at| at.min(waits_until));
            let clock = self.acting.context.clock;
            tokio::select! {
                biased;
                () = clock.sleep_until(until) => {}
                () = wake.notified() => {}
                _ = stopping.changed() => return Ended::Stopped,
            }
        }
    }

    /// As the status says, or what was done to the node: the leader before may not have got to saying it.
    fn was_accepted(&mut self) -> bool {
        let (snapshot, Some(object)) = self.look() else { return false };
        let is_accepted = object.says(condition::ACCEPTED);
        let is_recorded = object.status.as_ref().is_some_and(|status| status.record.is_some());
        let node = snapshot.node(&self.accepted.node);
        is_accepted || is_recorded || node.is_some_and(|node| to_restore(&object, node).is_some())
    }

    /// Waits until the cache shows that the object has gone, so that this replica does not begin to end it a second time.
    async fn see_it_go(&mut self, wake: &Notify, stopping: &mut watch::Receiver<bool>) {
        let gone = async {
            while self.look().1.is_some_and(|object| has_finalizer(&object)) && !*stopping.borrow() {
                tokio::select! {
                    biased;
                    _ = stopping.changed() => {}
                    () = wake.notified() => {}
                }
            }
        };
        if tokio::time::timeout(SHOWS_WITHIN, gone).await.is_err() {
            tracing::warn!(maintenance = self.acting.actor.name, "the watch does not show that it has gone");
        }
    }

    async fn advance(
        &mut self,
        ending: &mut Ending,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
    ) -> Result<Step, Trouble> {
        match ending.stage {
            Stage::Restoring => {
                self.put_back(object, snapshot, &mut ending.left_behind).await?;
                Ok(Step::Next(Stage::Releasing))
            }
            Stage::Releasing => {
                self.acting.release_node().await?;
                let is_told = ending.was_accepted && self.acting.context.delivery.is_some();
                Ok(Step::Next(if is_told { Stage::Telling { until: None } } else { Stage::LettingGo }))
            }
            Stage::Telling { until } => self.tell_the_end(ending, until, object, snapshot).await,
            Stage::LettingGo => {
                requests::remove_finalizer(self.acting.context.cluster.client(), object).await?;
                self.acting.context.publisher.of_maintenance(object, News::RemovedMaintenance);
                Ok(Step::Gone)
            }
        }
    }

    /// Cancels what runs and restores the node, if anything was done to it.
    async fn put_back(
        &mut self,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
        left_behind: &mut Option<Vec<String>>,
    ) -> Result<(), Trouble> {
        // Once the end is noted it is behind us: whatever the node is like by now, others meant it.
        if has_ended(object) {
            return Ok(());
        }
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else { return Ok(()) };
        // The watch of nodes may not show yet what the leader before has done, and said.
        let is_said = object.status.as_ref().and_then(|status| status.record.as_ref());
        if to_restore(object, &node).is_none() && is_said.is_none_or(|record| record.node_uid != node.uid) {
            return Ok(());
        }
        self.recall(object, snapshot);
        // Others may act on the node by now: they would not expect it to change.
        self.acting.hold_node(&node).await?;
        // The VMIs that were asked to leave a moment ago are on the node; its watch may be behind.
        let node = match node::read(self.acting.context.cluster.client(), &node).await {
            Ok(node) => node,
            Err(node::NodeError::Gone { .. } | node::NodeError::Replaced { .. }) => Node::clone(&node),
            Err(error) => return Err(trouble_with_node(&error)),
        };
        let Some(record) = to_restore(object, &node) else { return Ok(()) };
        if left_behind.is_none() {
            *left_behind = Some(self.cancel_evacuations(object, &record).await);
        }
        self.restore(object, &node, &record).await
    }

    /// Waits until others were told of the end, but for a time that counts from when this leader noted it or saw it: no
    /// other leader's clock prolongs it, nor whatever becomes of the status.
    async fn tell_the_end(
        &mut self,
        ending: &mut Ending,
        until: Option<Timestamp>,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
    ) -> Result<Step, Trouble> {
        let now = self.acting.now();
        if until.is_some_and(|until| until <= now) {
            return Ok(Step::Next(Stage::LettingGo));
        }
        let notices = object.status.as_ref().and_then(|status| status.notices.as_ref());
        let ended = notices.and_then(|notices| Some((notices.delivered, notices.ended()?.number)));
        match ended {
            Some((delivered, ended)) if delivered >= ended => return Ok(Step::Next(Stage::LettingGo)),
            Some(_) => {}
            None => {
                let left_behind = ending.left_behind.as_deref().unwrap_or_default();
                if !self.note_the_end(object, snapshot, left_behind).await? {
                    tracing::error!(
                        maintenance = self.acting.actor.name,
                        "its end cannot be told: the API server does not keep status.notices; apply the definition that `careen crd` prints"
                    );
                    return Ok(Step::Next(Stage::LettingGo));
                }
            }
        }
        let until = until.unwrap_or_else(|| later(now, END_TOLD_WITHIN));
        ending.stage = Stage::Telling { until: Some(until) };
        Ok(Step::WaitsUntil(until))
    }

    /// Notes the end for those who are to be told, behind what was not noted yet; whether the API server has kept it.
    async fn note_the_end(
        &mut self,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
        left_behind: &[String],
    ) -> Result<bool, Trouble> {
        let now = self.acting.now();
        self.departures.resolve(&self.accepted.node, snapshot);
        let mut wanted = self.wanted_status(object, snapshot, now);
        let message = match left_behind {
            [] => "the node is restored".to_owned(),
            left => format!("the node is restored; left behind: {}", left.join("; ")),
        };
        wanted.notices.get_or_insert_default().note(NoticeEvent::Ended, "Ended", &message, now);
        let Some(patch) = status::patch(object.status.as_ref(), &wanted, now) else { return Ok(true) };
        let from = self.cached_object_version();
        let written = requests::write_status(self.acting.context.cluster.client(), object, patch).await?;
        self.tell(object, &wanted);
        let is_kept = has_ended(&written);
        self.wrote_object(&from, written);
        Ok(is_kept)
    }

    async fn restore(&mut self, object: &NodeMaintenance, node: &Node, record: &Record) -> Result<(), Trouble> {
        if self.look().0.node(&self.accepted.node).is_none() {
            return Ok(());
        }
        let client = self.acting.context.cluster.client().clone();
        let key = drain_taint_key(object, node, &self.acting.context.settings.drain_taint_key);
        let restored = node::set_conditions(&client, node, None, self.acting.now()).await;
        let node = restored.map_err(|error| trouble_with_node(&error))?.unwrap_or_else(|| node.clone());
        // The record goes last: what is not done before it goes would never be done.
        let restored = node::change(&client, &node, |node| {
            to_restore(object, node).map_or(Ok(None), |record| node::restore(node, &record, &key))
        });
        if let Some(restored) = restored.await.map_err(|error| trouble_with_node(&error))? {
            tracing::info!(node = %restored.name, maintenance = self.acting.actor.name, "restored");
            if !record.was_unschedulable {
                self.acting.context.publisher.of_node(&restored, News::UncordonNode);
            }
        }
        Ok(())
    }

    /// Returns what could not be taken back.
    async fn cancel_evacuations(&self, object: &NodeMaintenance, record: &Record) -> Vec<String> {
        let left = take_back(&self.acting.context.cluster, &self.accepted.node, record, &self.accepted.options).await;
        if !left.is_empty() {
            self.acting.context.publisher.of_maintenance(object, News::LeftBehind(left.join("; ")));
        }
        left
    }
}

/// Whether its end is noted for those who are to be told.
pub(super) fn has_ended(object: &NodeMaintenance) -> bool {
    let notices = object.status.as_ref().and_then(|status| status.notices.as_ref());
    notices.is_some_and(|notices| notices.ended().is_some())
}
