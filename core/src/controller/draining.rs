//! The steps of a drain that is no maintenance: an order's and a process's are the same. It cordons, and adds no taint.

use jiff::Timestamp;

use super::acting::{Acting, trouble_with_node};
use crate::{
    clock::later,
    drain::{Drain, DrainPhase, Machine, Step},
    migration::take_back,
    model::{Blocking, DrainEnd, DrainOptions, Node, Record, RecordReading, Trouble, TroubleReason},
    node::{self, DrainStage, NodeError},
};

/// How a drain has ended, and a sentence about it.
pub(super) type Over = (DrainEnd, &'static str);

const TIMED_OUT: Over = (DrainEnd::TimedOut, "its time is over: the node stays cordoned");

impl Acting {
    /// What becomes of a drain whose steps fail before its workloads are looked at: its time passes all the same.
    /// `Err` says when to try again. While another holds the node nothing is final.
    pub(super) fn over_or_again(&mut self, trouble: Trouble, options: &DrainOptions) -> Result<Over, Timestamp> {
        let is_of_lease = [TroubleReason::NodeLeaseHeld, TroubleReason::NodeLeaseUnconfirmed].contains(&trouble.reason);
        let again = self.failed(trouble);
        let began = self.record.as_ref().filter(|_| !is_of_lease).map(|record| record.since);
        let deadline = began.zip(options.timeout).map(|(began, timeout)| later(began, timeout.get()));
        match deadline {
            Some(deadline) if deadline <= self.now() => Ok(TIMED_OUT),
            Some(deadline) => Err(again.min(deadline)),
            None => Err(again),
        }
    }

    /// Takes the node for a drain: nothing new is scheduled there, and everybody sees who drains it.
    pub(super) async fn begin_drain(&mut self, node: &Node) -> Result<(), Trouble> {
        // Before the node Lease is taken: whoever undoes what another has left behind needs it.
        self.intended_record(node)?;
        self.hold_node(node).await?;
        self.cordon_and_record(node).await
    }

    /// Drains on; `Some`: it is over. `blocking` is what was said before to be in the way, `began` says when it began.
    pub(super) async fn drain_on(
        &mut self,
        options: &DrainOptions,
        blocking: &[Blocking],
        began: impl FnOnce(&Record, Timestamp) -> Timestamp,
    ) -> Result<Option<Over>, Trouble> {
        self.say(DrainStage::InProgress).await?;
        self.caches_are_filled()?;
        self.begin_anew();
        self.trouble = self.caches_are_old();
        self.wake_at = None;
        let Some(step) = self.drain_step(options, blocking, began) else { return Ok(None) };
        let over = match &step.phase {
            DrainPhase::Drained => Some((DrainEnd::Drained, "nothing is left on the node that had to leave")),
            DrainPhase::TimedOut => Some(TIMED_OUT),
            DrainPhase::NodeGone => Some((DrainEnd::NodeGone, "the node has left the cluster")),
            DrainPhase::Draining | DrainPhase::Waiting(_) | DrainPhase::Stopped => None,
        };
        self.wake_at = step.wake_at;
        self.last = Some((step.phase, step.progress));
        Ok(over)
    }

    /// How many workloads are left of a drain that ended so.
    pub(super) fn left_at(&self, end: DrainEnd) -> usize {
        match (end, &self.last) {
            (DrainEnd::Drained | DrainEnd::NodeGone, _) | (_, None) => 0,
            (_, Some((_, progress))) => progress.left().count(),
        }
    }

    /// The record that the node should carry for a drain.
    pub(super) fn intended_record(&self, node: &Node) -> Result<Record, Trouble> {
        let kept = self.record.clone().filter(|record| record.node_uid == node.uid);
        let or_new = || Record::begin(&self.actor, node, None, self.now());
        match Record::read(node) {
            RecordReading::Present(found) if found.actor == self.actor && found.node_uid == node.uid => Ok(found),
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

    /// Record and cordon of a drain, in one write; again whenever somebody undoes them.
    pub(super) async fn cordon_and_record(&mut self, node: &Node) -> Result<(), Trouble> {
        let wanted = self.intended_record(node)?;
        let drain_taint_key = &self.context.settings.drain_taint_key;
        let patch = |node: &Node| match self.intended_record(node) {
            // A drain adds no taint.
            Ok(record) => node::take_out(node, &record, drain_taint_key, ""),
            Err(_) => Ok(None),
        };
        let from = self.cached_node_version();
        let written = node::change(self.context.cluster.client(), node, patch).await;
        let Some(written) = written.map_err(|error| trouble_with_node(&error))? else {
            self.record = Some(wanted);
            return Ok(());
        };
        tracing::info!(node = %written.name, drain = self.actor.name, "cordoned and recorded");
        if let RecordReading::Present(record) = Record::read(&written) {
            self.record = Some(record);
        }
        self.wrote_node(&from, written);
        Ok(())
    }

    /// One step of the drain, which is begun if it has not been; `None` while the node does not carry our record.
    /// `blocking` is what was said before to be in the way, `began` says when it began.
    pub(super) fn drain_step(
        &mut self,
        options: &DrainOptions,
        blocking: &[Blocking],
        began: impl FnOnce(&Record, Timestamp) -> Timestamp,
    ) -> Option<Step> {
        let now = self.now();
        let snapshot = self.snapshot();
        let record = match Record::read(snapshot.node(&self.node)?) {
            RecordReading::Present(record) => record,
            RecordReading::Absent | RecordReading::Unreadable(_) => return None,
        };
        if self.drain.is_none() {
            let started = began(&record, now);
            let own_pod = self.context.settings.own_pod.clone();
            let mut machine = Machine::new(self.node.clone(), options.clone(), own_pod, started, record.evacuations);
            machine.resume(blocking);
            let (cluster, hand_over) = (self.context.cluster.clone(), self.context.hand_over.clone());
            self.drain = Some(Drain::new(machine, cluster, self.node.clone(), self.actor.clone(), hand_over));
        }
        let step = self.drain.as_mut()?.step(&snapshot, now);
        self.show_blocked(Some(&step.progress));
        Some(step)
    }

    /// Ends a drain: what was asked is taken back unless it is done, the conditions say so, the record goes. The node
    /// stays cordoned. `left_behind` is what could not be taken back, once that was tried.
    pub(super) async fn let_go(
        &mut self,
        node: &Node,
        is_done: bool,
        options: &DrainOptions,
        left_behind: &mut Option<Vec<String>>,
    ) -> Result<(), Trouble> {
        if !self.is_ours(node) {
            return Ok(());
        }
        self.hold_node(node).await?;
        let client = self.context.cluster.client().clone();
        // The VMIs that were asked to leave a moment ago are on the node; its watch may be behind.
        let node = match node::read(&client, node).await {
            Ok(node) => node,
            Err(NodeError::Gone { .. } | NodeError::Replaced { .. }) => return Ok(()),
            Err(error) => return Err(trouble_with_node(&error)),
        };
        if let RecordReading::Present(record) = Record::read(&node)
            && left_behind.is_none()
            && !is_done
        {
            *left_behind = Some(take_back(&self.context.cluster, &self.node, &record, options).await);
        }
        let said = self.say_of(&node, if is_done { DrainStage::Completed } else { DrainStage::Ended }).await;
        let said = match said {
            // Who may not write conditions has written none: that keeps no record on the node.
            Err(trouble) if trouble.reason == TroubleReason::Forbidden && !node::has_conditions(&node) => None,
            said => said?,
        };
        let node = said.unwrap_or(node);
        // The record goes last: what is not done before it goes would never be done.
        let from = self.cached_node_version();
        let forgotten =
            node::change(&client, &node, |node| Ok(if self.is_ours(node) { node::forget_record(node) } else { None }));
        if let Some(written) = forgotten.await.map_err(|error| trouble_with_node(&error))? {
            self.wrote_node(&from, written);
        }
        Ok(())
    }

    fn is_ours(&self, node: &Node) -> bool {
        Record::of_actor(node, &self.actor).is_some()
    }
}
