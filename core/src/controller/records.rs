//! The records on nodes: which were looked after, and what is to be done about the others.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    context::{Context, RETRY},
    news::News,
    orphans::{self, Finding},
};
use crate::{
    cluster::{Concerned, Snapshot},
    model::{Node, NodeName, Record},
};

/// The records that were looked after, by node.
#[derive(Default)]
pub(super) struct Records {
    known: BTreeMap<NodeName, Known>,
}

struct Known {
    /// The record, as it is written.
    text: String,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Reported,
    BeingRestored,
    /// To be looked at again then.
    Failed(Timestamp),
}

impl Records {
    /// Looks at the records on those nodes. Gives the nodes that are to be restored if the API server confirms that their
    /// maintenance is gone. `acts`: whether somebody here acts on that node.
    pub(super) fn look(
        &mut self,
        concerned: &Concerned,
        snapshot: &Snapshot,
        context: &Context,
        acts: impl Fn(&NodeName) -> bool,
    ) -> Vec<(Arc<Node>, Record)> {
        let now = context.clock.now();
        let mut to_restore = Vec::new();
        for node in snapshot.nodes().filter(|node| concerned.concerns(&node.name)) {
            let Some(text) = &node.record else {
                self.known.remove(&node.name);
                continue;
            };
            let is_known = self
                .known
                .get(&node.name)
                .is_some_and(|known| known.text == *text && !matches!(known.state, State::Failed(at) if at <= now));
            // A record that is obeyed stands in for a maintenance that this replica has a worker for no longer.
            if is_known || acts(&node.name) {
                continue;
            }
            let state = match orphans::find(node, snapshot, &context.settings.drain_taint_key) {
                Finding::Fine => {
                    self.known.remove(&node.name);
                    continue;
                }
                Finding::Report(why) => {
                    context.cluster.metrics().rejected_records.inc();
                    context.publisher.of_node(node, News::RecordRejected(why));
                    State::Reported
                }
                Finding::Restore(record) => {
                    to_restore.push((node.clone(), record));
                    State::BeingRestored
                }
            };
            self.known.insert(node.name.clone(), Known { text: text.clone(), state });
        }
        to_restore
    }

    /// Takes up what became of restoring a node.
    pub(super) fn take_up(&mut self, node: &NodeName, restored: Result<(), String>, now: Timestamp) {
        let Err(error) = restored else { return };
        tracing::warn!(%node, error, "a node whose maintenance is gone could not be restored yet");
        if let Some(known) = self.known.get_mut(node) {
            known.state = State::Failed(now + RETRY);
        }
    }

    /// When to look again, if nothing changes before.
    pub(super) fn look_again_at(&self, now: Timestamp) -> Option<Timestamp> {
        let failed = self.known.values().filter_map(|known| match known.state {
            State::Failed(at) if at > now => Some(at),
            _ => None,
        });
        failed.min()
    }
}
