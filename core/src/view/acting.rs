//! The drain that acts on a node, as it looks from any replica: the same machine that drains is asked what it sees, and
//! what it would do is left undone. Only since when something blocks is taken from what the leader wrote.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use jiff::Timestamp;

use super::Views;
use crate::{
    drain::{DrainPhase, Machine, Progress},
    maintenance::{began::drain_began, understand},
    model::{BlockReason, Blocking, DrainOptions, Node, ObjectKey, Record, RecordReading, Workload},
    operation::{Holder, holder_with, is_accepted},
};

/// What a drain that acts sees.
#[derive(Debug)]
pub(super) struct ActingDrain {
    pub(super) phase: DrainPhase,
    pub(super) progress: Progress,
    pub(super) options: DrainOptions,
    since: BTreeMap<(String, ObjectKey, BlockReason), Timestamp>,
}

impl ActingDrain {
    /// Since when that blocks that workload, if the leader has said so.
    pub(super) fn since(&self, workload: &Workload, reason: BlockReason) -> Option<Timestamp> {
        let (kind, key) = workload.kind_and_key();
        self.since.get(&(kind.to_owned(), key, reason)).copied()
    }
}

impl Views {
    /// Who acts on that node.
    pub(super) fn holder_of(&self, node: &Node) -> Holder {
        let accepted = self.maintenance_of(&node.name).filter(|object| is_accepted(object));
        holder_with(node, accepted.map(AsRef::as_ref), &self.snapshot)
    }

    /// The drain that acts on that node now, by a maintenance or an order. It is worked out once: an answer may ask for
    /// each workload of the node.
    pub(super) fn acting_on(&self, node: &Node) -> Option<Arc<ActingDrain>> {
        // Nobody panics while holding it.
        let kept = || self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().get(&node.name).cloned();
        known.unwrap_or_else(|| {
            let found = self.observed_on(node).map(Arc::new);
            kept().insert(node.name.clone(), found.clone());
            found
        })
    }

    fn observed_on(&self, node: &Node) -> Option<ActingDrain> {
        match self.holder_of(node) {
            Holder::Maintenance(name) => {
                let object = self.snapshot.maintenance(&name).filter(|object| !object.is_stopping())?;
                let status = object.status.clone().unwrap_or_default();
                let options = understand(object).ok()?.options;
                let began = Record::of(node).map(|record| drain_began(object, &options, &record, self.now));
                Some(self.observe(node, options, began, &status.blocking))
            }
            Holder::Drain(_) => {
                let order = self.snapshot.drain_order(&node.name).filter(|order| order.request.cancel.is_none())?;
                let options = order.request.options.for_drain().ok()?;
                Some(self.observe(node, options, order.status.started_at, &order.status.blocking))
            }
            Holder::Nobody | Holder::LeftBehind(_) => None,
        }
    }

    fn observe(
        &self,
        node: &Node,
        options: DrainOptions,
        started: Option<Timestamp>,
        blocking: &[Blocking],
    ) -> ActingDrain {
        let recorded = match Record::read(node) {
            RecordReading::Present(record) => record.evacuations,
            RecordReading::Absent | RecordReading::Unreadable(_) => Vec::new(),
        };
        let mut machine = Machine::new(node.name.clone(), options.clone(), None, started.unwrap_or(self.now), recorded);
        machine.resume(blocking);
        let step = machine.step(&self.snapshot, self.now);
        let since = blocking.iter().map(|blocking| {
            let key = ObjectKey::new(&blocking.namespace, &blocking.name);
            ((blocking.kind.clone(), key, blocking.reason), blocking.since)
        });
        ActingDrain { phase: step.phase, progress: step.progress, options, since: since.collect() }
    }
}
