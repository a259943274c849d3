//! Ends a maintenance: cancels what runs, restores the node, lets it go.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{
    NodeMaintenance,
    intent::to_restore,
    news::News,
    requests::{self, WriteError, has_finalizer},
    status::Trouble,
    worker::{Ended, Worker, trouble_with_node},
};
use crate::{
    cluster::Snapshot,
    drain::DrainOptions,
    migration::{self, CancelStep, Outcome, RequestError, next_cancel_steps},
    model::{NodeName, Uid},
    node::{self, Record},
};

/// Taking evacuations back is tried for so long; then the rest is reported, and the node restored all the same.
const CANCEL_FOR: Duration = Duration::from_secs(30);
/// A watch shows a change within this time.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);
/// KubeVirt shows the effect of a cancel in milliseconds.
const CANCEL_PAUSE: Duration = Duration::from_millis(500);

impl Worker {
    /// Restores the node and lets the object go.
    pub(super) async fn stop(mut self, wake: &Notify, stopping: &mut watch::Receiver<bool>) -> Ended {
        tracing::info!(maintenance = self.name, node = %self.accepted.node, "the maintenance ends");
        self.settle().await;
        self.drain = None;
        self.show_blocked(None);
        self.begin_anew();
        let mut cancelled = false;
        let mut retry_at: Option<Timestamp> = None;
        loop {
            let (snapshot, object) = self.look();
            let Some(object) = object.filter(|object| has_finalizer(object)) else { return Ended::Gone };
            if retry_at.is_none_or(|at| at <= self.now()) {
                match self.stop_once(&object, &snapshot, &mut cancelled).await {
                    Ok(()) => {
                        self.see_it_go(wake).await;
                        return Ended::Gone;
                    }
                    Err(trouble) => retry_at = Some(self.failed(trouble)),
                }
            }
            let status_at = self.write_status().await;
            let until = [retry_at, status_at].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
            let clock = self.context.clock;
            tokio::select! {
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
            tracing::warn!(maintenance = self.name, "the watch does not show that it has gone");
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
            self.hold_node(&node).await?;
            if !*cancelled {
                self.cancel_evacuations(object, &record).await;
                *cancelled = true;
            }
            self.restore(object, &record).await?;
        }
        if let Some(held) = self.lease.take()
            && let Err(error) = held.lease.release().await
        {
            tracing::warn!(maintenance = self.name, %error, "the node Lease was not released; it lapses by itself");
        }
        match requests::remove_finalizer(self.context.cluster.client(), object).await {
            Ok(()) => {
                self.context.publisher.of_maintenance(object, News::RemovedMaintenance);
                Ok(())
            }
            Err(WriteError::Changed(message)) => Err(Trouble::new("Contended", message)),
            Err(error) => Err(Trouble::new("ApiServerUnavailable", error.to_string())),
        }
    }

    async fn restore(&mut self, object: &NodeMaintenance, record: &Record) -> Result<(), Trouble> {
        let (snapshot, _) = self.look();
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else { return Ok(()) };
        let client = self.context.cluster.client().clone();
        let key = self.context.settings.drain_taint_key.clone();
        let restored = node::set_conditions(&client, &node, None, self.now()).await;
        let node = restored.map_err(|error| trouble_with_node(&error))?.unwrap_or_else(|| (*node).clone());
        // The record goes last: what is not done before it goes would never be done.
        let restored = node::change(&client, &node, |node| {
            to_restore(object, node).map_or(Ok(None), |record| node::restore(node, &record, &key))
        });
        if let Some(restored) = restored.await.map_err(|error| trouble_with_node(&error))? {
            tracing::info!(node = %restored.name, maintenance = self.name, "restored");
            if !record.was_unschedulable {
                self.context.publisher.of_node(&restored, News::UncordonNode);
            }
        }
        Ok(())
    }

    async fn cancel_evacuations(&self, object: &NodeMaintenance, record: &Record) {
        let cancel = Cancel {
            worker: self,
            node: &self.accepted.node,
            evacuations: &record.evacuations,
            actor: &self.uid,
            options: &self.accepted.options,
        };
        let left = cancel.run().await;
        if !left.is_empty() {
            self.context.publisher.of_maintenance(object, News::LeftBehind(left.join("; ")));
        }
    }
}

/// Takes back what a maintenance has asked of KubeVirt.
struct Cancel<'a> {
    worker: &'a Worker,
    node: &'a NodeName,
    evacuations: &'a [Uid],
    actor: &'a Uid,
    options: &'a DrainOptions,
}

impl Cancel<'_> {
    /// Works until nothing is left to take back, or for half a minute; returns what is left, in sentences.
    async fn run(&self) -> Vec<String> {
        let deadline = self.worker.now() + CANCEL_FOR;
        let mut refused = Vec::new();
        let mut given_up: Vec<CancelStep> = Vec::new();
        loop {
            let snapshot = self.look().await;
            let mut cancellation = next_cancel_steps(self.node, self.evacuations, self.actor, &snapshot, self.options);
            cancellation.next.retain(|step| !given_up.contains(step));
            if cancellation.next.is_empty() {
                let left = cancellation.left.into_iter();
                refused.extend(left.map(|left| {
                    format!("migration {} of VMI {} goes on ({:?})", left.migration, left.vmi, left.reason)
                }));
                return refused;
            }
            for step in cancellation.next {
                match self.perform(&step).await {
                    Ok(_) => {}
                    Err(error) if error.is_worth_repeating() && self.worker.now() < deadline => {
                        tracing::warn!(%error, "cancelling is tried again");
                    }
                    Err(error) => {
                        refused.push(error.to_string());
                        given_up.push(step);
                    }
                }
            }
            if self.worker.now() >= deadline {
                refused.push(format!("KubeVirt did not take everything back within {} s", CANCEL_FOR.as_secs()));
                return refused;
            }
            tokio::time::sleep(CANCEL_PAUSE).await;
        }
    }

    /// The cluster, with the VMIs that we asked to leave as the API server has them now: the mark of an eviction that
    /// was answered just before may not be in the cache yet.
    async fn look(&self) -> Snapshot {
        let cluster = &self.worker.context.cluster;
        let mut snapshot = cluster.snapshot();
        let asked = snapshot.virtual_machine_instances_on(self.node);
        let asked: Vec<_> =
            asked.filter(|vmi| self.evacuations.contains(&vmi.uid)).map(|vmi| vmi.key.clone()).collect();
        for key in asked {
            match migration::get_instance(cluster.client(), &key).await {
                Ok(Some(vmi)) => {
                    snapshot.put(vmi);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(vmi = %key, %error, "the VMI cannot be read; what the cache shows counts"),
            }
        }
        snapshot
    }

    async fn perform(&self, step: &CancelStep) -> Result<Outcome, RequestError> {
        let client = self.worker.context.cluster.client();
        let outcome = match step {
            CancelStep::CancelEvacuation { vmi } => migration::cancel_evacuation(client, vmi, self.node).await,
            CancelStep::DeleteMigration { key, uid } => migration::delete_migration(client, key, uid).await,
        };
        tracing::info!(node = %self.node, ?step, ?outcome, "took back");
        outcome
    }
}
