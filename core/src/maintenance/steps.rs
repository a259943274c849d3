//! The steps by which a node goes out of service: each is done, waits, or says what is wrong.

use super::{
    NodeMaintenance,
    intent::{drain_taint_key, intent},
    news::News,
    orphans,
    requests::{self, WriteError, has_finalizer},
    status::{self, Trouble},
    worker::{HeldNode, Worker},
};
use crate::{
    cluster::Snapshot,
    drain::DrainPhase,
    lease::{NodeLease, NodeLeaseError, NodeLeaseState},
    model::Node,
    node::{self, DrainStage, Lifecycle, Record, RecordReading},
};

/// How a step went.
pub(super) enum Progressed {
    /// It is done; the next may begin.
    Done,
    /// It has to be waited for.
    Waits,
}

impl Worker {
    /// The finalizer makes sure that the node is restored before the object goes.
    pub(super) async fn hold_object(&mut self, object: &NodeMaintenance) -> Result<Progressed, Trouble> {
        if has_finalizer(object) {
            return Ok(Progressed::Done);
        }
        let from = self.cached_object_version();
        match requests::add_finalizer(self.context.cluster.client(), object).await {
            Ok(written) => {
                if let Some(written) = written {
                    self.wrote_object(&from, written);
                }
                self.context.publisher.of_maintenance(object, News::BeginMaintenance);
                Ok(Progressed::Done)
            }
            Err(WriteError::Changed(_)) => Ok(Progressed::Waits),
            Err(error) => Err(error.into()),
        }
    }

    /// The node Lease: nobody else acts on the node while we do.
    pub(super) async fn hold_node(&mut self, node: &Node) -> Result<(), Trouble> {
        if self.lease.take_if(|held| held.node_uid != node.uid).is_some() {
            // The node has left and come back: its Lease went with it, and what was asked of its pods means nothing.
            self.drain = None;
        }
        let state = self.lease.as_mut().map(|held| held.state.borrow_and_update().clone());
        match state {
            Some(NodeLeaseState::Held { until }) if tokio::time::Instant::now() < until => return Ok(()),
            Some(NodeLeaseState::Unconfirmed { error }) => {
                return Err(Trouble::new("NodeLeaseUnconfirmed", error.to_string()));
            }
            Some(NodeLeaseState::Lost { .. } | NodeLeaseState::Held { .. }) => {
                self.lease = None;
                self.drain = None;
            }
            None => {}
        }
        let client = self.context.cluster.client().clone();
        let holder = self.actor().lease_holder();
        match NodeLease::acquire(client, self.context.clock, &node.name, &node.uid, holder).await {
            Ok(lease) => {
                self.lease = Some(HeldNode { node_uid: node.uid.clone(), state: lease.state(), lease });
                Ok(())
            }
            Err(error) => {
                let reason = match &error {
                    NodeLeaseError::HeldBy { node, holder, .. } => {
                        // It is looked at again and again; that is found once.
                        if self.trouble.as_ref().is_none_or(|trouble| trouble.reason != "NodeLeaseHeld") {
                            self.lease_errors = self.lease_errors.saturating_add(1);
                        }
                        // Not until when: that changes with each renewal, and the status with it.
                        let message = format!("node {node} is held by {holder}: wait until it is done with the node");
                        return Err(Trouble::new("NodeLeaseHeld", message));
                    }
                    NodeLeaseError::NamespaceMissing { .. } => "NamespaceMissing",
                    NodeLeaseError::Forbidden { .. } => "Forbidden",
                    NodeLeaseError::Request { .. } => "ApiServerUnavailable",
                };
                Err(Trouble::new(reason, error.to_string()))
            }
        }
    }

    /// Record, cordon and taint, in one write; again whenever somebody undoes them.
    pub(super) async fn take_out(
        &mut self,
        object: &NodeMaintenance,
        node: &Node,
        snapshot: &Snapshot,
    ) -> Result<Progressed, Trouble> {
        let settings = &self.context.settings;
        let now = self.now();
        let key = drain_taint_key(object, node, &settings.drain_taint_key);
        let kubevirt_key = snapshot.kubevirt().node_drain_taint_key.clone();
        if let Some(left_behind) = orphans::left_behind(object, node, snapshot, &key)
            && orphans::is_gone(self.context.cluster.client(), &left_behind).await.unwrap_or(false)
        {
            self.inherit(node, left_behind).await?;
            return Ok(Progressed::Waits);
        }
        let wanted = intent(object, node, &key, now)?;
        let was_out = matches!(Record::read(node), RecordReading::Present(_)) || wanted.mended.is_some();
        let patch = |node: &Node| match intent(object, node, &key, now) {
            Ok(intent) => node::take_out(node, &intent.record, &key, &kubevirt_key),
            Err(_) => Ok(None),
        };
        let from = self.cached_node_version();
        let written = node::change(self.context.cluster.client(), node, patch).await;
        let written = written.map_err(|error| trouble_with_node(&error))?;
        if let Some(written) = written {
            tracing::info!(node = %written.name, maintenance = self.name, "cordoned, tainted and recorded");
            if was_out {
                let undone = format!(
                    "node {} was uncordoned or changed during its maintenance, and is taken out again",
                    written.name
                );
                let news = News::NodeTakenOutAgain(wanted.mended.unwrap_or(undone));
                self.context.publisher.of_maintenance(object, news);
            }
            self.wrote_node(&from, written);
        }
        Ok(Progressed::Done)
    }

    /// The record of a maintenance that was removed by force becomes ours: it says what the node was like before either.
    pub(super) async fn inherit(&mut self, node: &Node, left_behind: Record) -> Result<(), Trouble> {
        tracing::warn!(node = %node.name, from = left_behind.actor.name, to = self.name, "takes the node over");
        let old = left_behind.actor.clone();
        let inherited = Record { actor: self.actor(), ..left_behind };
        let from = self.cached_node_version();
        let written = node::change(self.context.cluster.client(), node, |node| match Record::read(node) {
            RecordReading::Present(found) if found.actor == old => Ok(node::write_record(node, &inherited)),
            _ => Ok(None),
        });
        if let Some(written) = written.await.map_err(|error| trouble_with_node(&error))? {
            self.wrote_node(&from, written);
        }
        self.retry.at = Some(self.now());
        Ok(())
    }

    /// The node conditions.
    pub(super) async fn say(&mut self) -> Result<Progressed, Trouble> {
        let (snapshot, object) = self.look();
        let Some(object) = object else { return Ok(Progressed::Waits) };
        let last = self.last.as_ref().map(|(phase, progress)| (phase, progress));
        let stage = match last {
            last if status::is_drained(&object, last) => DrainStage::Completed,
            Some((DrainPhase::TimedOut, _)) => DrainStage::Ended,
            _ => DrainStage::InProgress,
        };
        let Some(node) = snapshot.node(&self.accepted.node).cloned() else { return Ok(Progressed::Waits) };
        let actor = self.actor();
        let wanted = Lifecycle { actor: &actor, drain: stage };
        let from = self.cached_node_version();
        let client = self.context.cluster.client();
        match node::set_conditions(client, &node, Some(&wanted), self.now()).await {
            Ok(written) => {
                if let Some(written) = written {
                    self.wrote_node(&from, written);
                }
                Ok(Progressed::Done)
            }
            Err(error) => Err(trouble_with_node(&error)),
        }
    }
}

/// What went wrong with a node, as a trouble of its maintenance.
pub(super) fn trouble_with_node(error: &node::NodeError) -> Trouble {
    let reason = match error {
        node::NodeError::Forbidden { .. } => "Forbidden",
        node::NodeError::Refused(_) | node::NodeError::Rejected { .. } => "NodeNotChanged",
        node::NodeError::Gone { .. } | node::NodeError::Replaced { .. } => "NodeGone",
        node::NodeError::Timeout { .. } | node::NodeError::Unreachable { .. } | node::NodeError::Contended { .. } => {
            "ApiServerUnavailable"
        }
    };
    Trouble::new(reason, error.to_string())
}
