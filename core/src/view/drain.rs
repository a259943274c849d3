//! A drain, as people see it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{BlockView, Views};
use crate::{
    drain::DrainPhase,
    model::{
        ActorKind, Blocking, CancelRequest, DrainEnd, DrainOrder, DrainOutcome, DrainSpec, NodeName, Record, Trouble,
        Uid,
    },
    order::obsolete_at,
};

/// A drain of a node: ordered over the network, or in somebody's process.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Drain")]
pub struct DrainView {
    /// Tells it from others.
    pub id: Uid,
    /// The node.
    pub node: NodeName,
    /// Who carries it out.
    pub kind: ActorKind,
    /// Who ordered it, as far as the service knows.
    pub requested_by: Option<String>,
    /// What it may do; absent where it runs in somebody's process.
    pub options: Option<DrainSpec>,
    /// Where it stands.
    pub phase: DrainPhaseView,
    /// How far it has got.
    pub progress: Option<DrainProgressView>,
    /// What is in the way of the drain as a whole.
    pub waits_for: Option<BlockView>,
    /// What blocks workloads: the first twenty, those first that only a change can help.
    pub blocking: Vec<Blocking>,
    /// What is wrong with the drain itself.
    pub trouble: Option<Trouble>,
    /// When it was ordered.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created_at: Option<Timestamp>,
    /// When the node was cordoned for it.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
    /// Who wants it to end, and since when.
    pub cancel: Option<CancelRequest>,
    /// How it ended.
    pub outcome: Option<DrainOutcome>,
}

/// How far a drain has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DrainProgress")]
pub struct DrainProgressView {
    /// How many workloads had or have to leave.
    pub had_to_leave: usize,
    /// How many have still to leave.
    pub left: usize,
    /// How many of those are blocked.
    pub blocked: usize,
    /// How many of a hundred have left.
    pub percent: u8,
}

/// Where a drain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[schemars(rename = "DrainPhase")]
pub enum DrainPhaseView {
    /// No leader has taken it up yet.
    Ordered,
    /// Workloads have still to leave.
    Draining,
    /// Something about the node itself is in the way.
    Waiting,
    /// It ends before it is done.
    Cancelling,
    /// Nothing is left that had to leave.
    Drained,
    /// It was cancelled.
    Cancelled,
    /// Its time was over.
    TimedOut,
    /// The node left the cluster.
    NodeGone,
    /// It was refused; the node was not touched.
    Refused,
}

impl From<DrainEnd> for DrainPhaseView {
    fn from(end: DrainEnd) -> Self {
        match end {
            DrainEnd::Drained => Self::Drained,
            DrainEnd::Cancelled => Self::Cancelled,
            DrainEnd::TimedOut => Self::TimedOut,
            DrainEnd::NodeGone => Self::NodeGone,
            DrainEnd::Refused => Self::Refused,
        }
    }
}

impl Views {
    /// The drain of a node: one that runs, or the last one as long as its outcome says something about the node.
    #[must_use]
    pub fn drain(&self, node: &NodeName) -> Option<DrainView> {
        let order = self
            .snapshot
            .drain_order(node)
            .filter(|order| obsolete_at(order, &self.snapshot).is_none_or(|at| at > self.now));
        order.map(|order| self.ordered(order)).or_else(|| self.in_a_process(node))
    }

    fn ordered(&self, order: &DrainOrder) -> DrainView {
        let node = self.snapshot.node(order.node()).filter(|_| order.has_begun() && !order.is_finished());
        let acting = node.and_then(|node| self.acting_on(node));
        let status = &order.status;
        let (mut waits_for, mut phase) = (None, DrainPhaseView::Draining);
        match (&status.outcome, acting.as_ref().map(|acting| &acting.phase)) {
            (Some(outcome), _) => phase = outcome.end.into(),
            (None, _) if order.request.cancel.is_some() => phase = DrainPhaseView::Cancelling,
            (None, _) if !order.has_begun() => phase = DrainPhaseView::Ordered,
            (None, Some(DrainPhase::Waiting(block))) => {
                phase = DrainPhaseView::Waiting;
                waits_for = Some(BlockView::of(block, None));
            }
            (None, _) => {}
        }
        let progress = acting.as_ref().map(|acting| {
            let had_to_leave = status.had_to_leave.max(acting.progress.had_to_leave);
            DrainProgressView {
                had_to_leave,
                left: acting.progress.left().count(),
                blocked: acting.progress.blocked().len(),
                percent: acting.progress.percent_of(had_to_leave),
            }
        });
        let ended = status.outcome.as_ref().filter(|outcome| outcome.end != DrainEnd::Refused).map(|outcome| {
            let (had_to_leave, left) = (status.had_to_leave, outcome.left.min(status.had_to_leave));
            let percent = ((had_to_leave - left) * 100).checked_div(had_to_leave).unwrap_or(100);
            DrainProgressView { had_to_leave, left, blocked: 0, percent: u8::try_from(percent).unwrap_or(100) }
        });
        DrainView {
            id: order.id().clone(),
            node: order.node().clone(),
            kind: ActorKind::Order,
            requested_by: order.request.requested_by.clone(),
            options: Some(order.request.options.clone()),
            phase,
            progress: progress.or(ended),
            waits_for,
            blocking: status.blocking.clone(),
            trouble: status.trouble.clone(),
            created_at: Some(order.request.created_at),
            started_at: status.started_at,
            cancel: order.request.cancel.clone(),
            outcome: status.outcome.clone(),
        }
    }

    /// What its record tells: how it is doing only its own process knows.
    fn in_a_process(&self, node: &NodeName) -> Option<DrainView> {
        let node = self.snapshot.node(node)?;
        let record = Record::of(node)?;
        (record.actor.kind != ActorKind::Maintenance).then(|| DrainView {
            id: record.actor.uid.clone(),
            node: node.name.clone(),
            kind: record.actor.kind,
            requested_by: None,
            options: None,
            phase: DrainPhaseView::Draining,
            progress: None,
            waits_for: None,
            blocking: Vec::new(),
            trouble: None,
            created_at: None,
            started_at: Some(record.since),
            cancel: None,
            outcome: None,
        })
    }
}
