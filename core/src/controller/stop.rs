//! Ends a maintenance: cancels what runs, restores the node, lets it go.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    NodeMaintenance,
    acting::trouble_with_node,
    intent::{drain_taint_key, to_restore},
    news::News,
    requests::{self, has_finalizer},
    worker::{Ended, Worker},
};
use crate::{
    cluster::Snapshot,
    migration::take_back,
    model::{Node, Record, Trouble},
    node,
};

/// A watch shows a change within this time.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);

impl Worker {
    /// Restores the node and lets the object go.
    pub(super) async fn stop(mut self, wake: &Notify, stopping: &mut watch::Receiver<bool>) -> Ended {
        tracing::info!(maintenance = self.acting.actor.name, node = %self.accepted.node, "the maintenance ends");
        self.acting.settle().await;
        self.acting.drain = None;
        self.acting.show_blocked(None);
        self.acting.begin_anew();
        let mut cancelled = false;
        let mut retry_at: Option<Timestamp> = None;
        loop {
            let (snapshot, object) = self.look();
            let Some(object) = object.filter(|object| has_finalizer(object)) else { return Ended::Gone };
            if retry_at.is_none_or(|at| at <= self.acting.now()) {
                match self.stop_once(&object, &snapshot, &mut cancelled).await {
                    Ok(()) => {
                        self.see_it_go(wake).await;
                        return Ended::Gone;
                    }
                    Err(trouble) => retry_at = Some(self.acting.failed(trouble)),
                }
            }
            let status_at = self.write_status().await;
            let until = [retry_at, status_at].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
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
        cancelled: &mut bool,
    ) -> Result<(), Trouble> {
        if let Some(node) = snapshot.node(&self.accepted.node).cloned()
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
            if !*cancelled {
                self.cancel_evacuations(object, &record).await;
                *cancelled = true;
            }
            self.restore(object, &record).await?;
        }
        self.acting.release_node().await?;
        match requests::remove_finalizer(self.acting.context.cluster.client(), object).await {
            Ok(()) => {
                self.acting.context.publisher.of_maintenance(object, News::RemovedMaintenance);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
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

    async fn cancel_evacuations(&self, object: &NodeMaintenance, record: &Record) {
        let left = take_back(&self.acting.context.cluster, &self.accepted.node, record, &self.accepted.options).await;
        if !left.is_empty() {
            self.acting.context.publisher.of_maintenance(object, News::LeftBehind(left.join("; ")));
        }
    }
}
