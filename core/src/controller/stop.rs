//! Ends a maintenance: cancels what runs, restores the node, lets it go.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    NodeMaintenance, NodeMaintenanceStatus,
    acting::trouble_with_node,
    intent::{drain_taint_key, to_restore},
    news::News,
    requests::{self, has_finalizer},
    status,
    worker::{Ended, Worker},
};
use crate::{
    clock::later,
    cluster::Snapshot,
    migration::take_back,
    model::{Node, NoticeEvent, Record, Trouble},
    node,
};

/// Those who are to be told of the end have this time to take it, before the object goes.
const END_TOLD_WITHIN: Duration = Duration::from_secs(30);
/// A watch shows a change within this time.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);

/// When the object may go.
enum Gone {
    /// It has been let go.
    Now,
    /// Once others have been told, or then.
    OnceToldOrAt(Timestamp),
}

impl Worker {
    /// Restores the node and lets the object go.
    pub(super) async fn stop(mut self, wake: &Notify, stopping: &mut watch::Receiver<bool>) -> Ended {
        tracing::info!(maintenance = self.acting.actor.name, node = %self.accepted.node, "the maintenance ends");
        self.acting.settle().await;
        self.acting.drain = None;
        self.acting.show_blocked(None);
        self.acting.begin_anew();
        let mut left_behind: Option<Vec<String>> = None;
        let (mut retry_at, mut told_at): (Option<Timestamp>, Option<Timestamp>) = (None, None);
        loop {
            let (snapshot, object) = self.look();
            let Some(object) = object.filter(|object| has_finalizer(object)) else { return Ended::Gone };
            if retry_at.is_none_or(|at| at <= self.acting.now()) {
                match self.stop_once(&object, &snapshot, &mut left_behind).await {
                    Ok(Gone::Now) => {
                        self.see_it_go(wake).await;
                        return Ended::Gone;
                    }
                    Ok(Gone::OnceToldOrAt(at)) => (retry_at, told_at) = (None, Some(at)),
                    Err(trouble) => (retry_at, told_at) = (Some(self.acting.failed(trouble)), None),
                }
            }
            let status_at = self.write_status().await;
            let until = [retry_at, told_at, status_at].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
            let clock = self.acting.context.clock;
            tokio::select! {
                biased;
                () = clock.sleep_until(until) => {}
                // What is tried again has its time; news of the cluster is no reason to try it sooner.
                () = wake.notified() => {}
                _ = stopping.changed() => return Ended::Stopped,
            }
        }
    }

    /// Waits until the cache shows that the object has gone, so that nobody begins to end it a second time.
    async fn see_it_go(&mut self, wake: &Notify) {
        let gone = async {
            while self.look().1.is_some_and(|object| has_finalizer(&object)) {
                wake.notified().await;
            }
        };
        if tokio::time::timeout(SHOWS_WITHIN, gone).await.is_err() {
            tracing::warn!(maintenance = self.acting.actor.name, "the watch does not show that it has gone");
        }
    }

    async fn stop_once(
        &mut self,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
        left_behind: &mut Option<Vec<String>>,
    ) -> Result<Gone, Trouble> {
        // Once the end is noted it is behind us: whatever the node is like by now, others meant it.
        if !has_ended(object)
            && let Some(node) = snapshot.node(&self.accepted.node).cloned()
            && let Some(record) = to_restore(object, &node)
        {
            // Others may act on the node by now: they would not expect it to change.
            self.acting.hold_node(&node).await?;
            // The VMIs that were asked to leave a moment ago are on the node; its watch may be behind.
            let node = match node::read(self.acting.context.cluster.client(), &node).await {
                Ok(node) => node,
                Err(node::NodeError::Gone { .. } | node::NodeError::Replaced { .. }) => Node::clone(&node),
                Err(error) => return Err(trouble_with_node(&error)),
            };
            let record = to_restore(object, &node).unwrap_or(record);
            if left_behind.is_none() {
                *left_behind = Some(self.cancel_evacuations(object, &record).await);
            }
            self.restore(object, &record).await?;
        }
        self.acting.release_node().await?;
        let left_behind = left_behind.as_deref().unwrap_or_default();
        if let Some(at) = self.note_the_end(object, snapshot, left_behind).await? {
            return Ok(Gone::OnceToldOrAt(at));
        }
        match requests::remove_finalizer(self.acting.context.cluster.client(), object).await {
            Ok(()) => {
                self.acting.context.publisher.of_maintenance(object, News::RemovedMaintenance);
                Ok(Gone::Now)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes the end for those who are to be told; returns until when that is waited for, or `None` when it is done with.
    async fn note_the_end(
        &mut self,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
        left_behind: &[String],
    ) -> Result<Option<Timestamp>, Trouble> {
        if self.acting.context.delivery.is_none() {
            return Ok(None);
        }
        let now = self.acting.now();
        let old = object.status.clone().unwrap_or_default();
        let notices = old.notices.clone().unwrap_or_default();
        if let Some(ended) = notices.ended() {
            let until = later(ended.time, END_TOLD_WITHIN);
            return Ok(Some(until).filter(|until| notices.delivered < ended.number && *until > now));
        }
        self.departures.resolve(&self.accepted.node, snapshot);
        let mut new = NodeMaintenanceStatus { report: Some(self.departures.report().clone()), ..old.clone() };
        let message = match left_behind {
            [] => "the node is restored".to_owned(),
            left => format!("the node is restored; left behind: {}", left.join("; ")),
        };
        new.notices.get_or_insert_default().note(NoticeEvent::Ended, "Ended", &message, now);
        let Some(patch) = status::patch(Some(&old), &new, now) else { return Ok(None) };
        let from = self.cached_object_version();
        let written = requests::write_status(self.acting.context.cluster.client(), object, patch).await?;
        self.wrote_object(&from, written);
        Ok(Some(later(now, END_TOLD_WITHIN)))
    }

    async fn restore(&mut self, object: &NodeMaintenance, record: &Record) -> Result<(), Trouble> {
        let (snapshot, _) = self.look();
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else { return Ok(()) };
        let client = self.acting.context.cluster.client().clone();
        let key = drain_taint_key(object, &node, &self.acting.context.settings.drain_taint_key);
        let restored = node::set_conditions(&client, &node, None, self.acting.now()).await;
        let node = restored.map_err(|error| trouble_with_node(&error))?.unwrap_or_else(|| (*node).clone());
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

fn has_ended(object: &NodeMaintenance) -> bool {
    let notices = object.status.as_ref().and_then(|status| status.notices.as_ref());
    notices.is_some_and(|notices| notices.ended().is_some())
}
