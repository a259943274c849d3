//! The records on nodes: which were looked after, and what is to be done about the others.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    context::{Context, RETRY},
    left_behind::{self, Finding, Question, Reply},
    news::News,
};
use crate::{
    clock::later,
    cluster::{Concerned, Snapshot},
    model::{Node, NodeName},
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
    /// Why it waits, as it was said last.
    said: Option<String>,
}

#[derive(PartialEq, Eq)]
enum State {
    Settled,
    BeingAsked,
    /// To be looked at again then.
    AgainAt(Timestamp),
}

impl Records {
    /// Looks at the records on those nodes; gives what the API server is to be asked about some of them. `is_in_hand`:
    /// whether the record on that node is that of somebody who acts here, or did a moment ago.
    pub(super) fn look(
        &mut self,
        concerned: &Concerned,
        snapshot: &Snapshot,
        context: &Context,
        is_in_hand: impl Fn(&Node) -> bool,
    ) -> Vec<(Arc<Node>, Question)> {
        let now = context.clock.now();
        let mut to_ask = Vec::new();
        for node in snapshot.nodes().filter(|node| concerned.concerns(&node.name)) {
            let Some(text) = &node.record else {
                self.known.remove(&node.name);
                continue;
            };
            let is_known = self
                .known
                .get(&node.name)
                .is_some_and(|known| known.text == *text && !matches!(known.state, State::AgainAt(at) if at <= now));
            if is_known || is_in_hand(node) {
                continue;
            }
            let state = match left_behind::find(node, snapshot, &context.settings.drain_taint_key) {
                Finding::Fine => {
                    self.known.remove(&node.name);
                    continue;
                }
                Finding::Report(why) => {
                    report(context, node, why);
                    State::Settled
                }
                Finding::Ask(question) => {
                    to_ask.push((node.clone(), question));
                    State::BeingAsked
                }
            };
            let said = self.known.remove(&node.name).filter(|known| known.text == *text).and_then(|known| known.said);
            self.known.insert(node.name.clone(), Known { text: text.clone(), state, said });
        }
        to_ask
    }

    /// Takes up what has come of a question.
    pub(super) fn take_up(&mut self, context: &Context, node: &Node, reply: Result<Reply, String>) {
        let Some(known) = self.known.get_mut(&node.name).filter(|known| known.state == State::BeingAsked) else {
            return;
        };
        let now = context.clock.now();
        known.state = match reply {
            Ok(Reply::Settled) => State::Settled,
            Ok(Reply::Report(why)) => {
                report(context, node, why);
                State::Settled
            }
            Ok(Reply::AskAgainAfter(wait)) => State::AgainAt(later(now, wait.max(RETRY))),
            Err(why) => {
                if known.said.as_ref() != Some(&why) {
                    // Its maintenance has no status any more that could say it.
                    tracing::warn!(node = %node.name, why, "a record cannot be looked after yet");
                    context.publisher.of_node(node, News::NotRestoredYet(why.clone()));
                }
                known.said = Some(why);
                State::AgainAt(later(now, RETRY))
            }
        };
    }

    /// When to look again, if nothing changes before.
    pub(super) fn look_again_at(&self, now: Timestamp) -> Option<Timestamp> {
        let failed = self.known.values().filter_map(|known| match known.state {
            State::AgainAt(at) if at > now => Some(at),
            _ => None,
        });
        failed.min()
    }
}

fn report(context: &Context, node: &Node, why: String) {
    context.cluster.metrics().rejected_records.inc();
    context.publisher.of_node(node, News::RecordRejected(why));
}
