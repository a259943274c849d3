//! The last look: the API server is asked once, before `Drained` is said.
//!
//! The watch caches of nodes and pods are not consistent with each other: a pod that was bound just before the cordon
//! may not be in them yet.

use std::time::Duration;

use jiff::Timestamp;

use super::Action;
use crate::{
    clock::{Backoff, later},
    model::{NodeName, Pod},
    plan::{Block, BlockReason},
};

/// Waits after a look that showed something left or failed: from one second, doubling, to 30 seconds.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// Where the last look is.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLook {
    state: State,
    /// Looks in a row that showed something.
    misses: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    NotTaken,
    /// The API server is asked; `outdated` if something came up meanwhile that its answer need not show.
    Looking {
        outdated: bool,
    },
    /// Something was left; the caches will show it, or it is looked at again then.
    NotClean {
        retry_at: Timestamp,
        block: Block,
    },
    Clean,
}

impl LastLook {
    /// Whether the API server has confirmed that nothing is left.
    pub(super) fn is_clean(&self) -> bool {
        self.state == State::Clean
    }

    /// Something is left on the node: what was seen before counts no more.
    pub(super) fn begin_again(&mut self) {
        let state = match self.state {
            State::Looking { .. } => State::Looking { outdated: true },
            _ => State::NotTaken,
        };
        *self = Self { state, misses: 0 };
    }

    /// The look, if it is time for one.
    pub(super) fn ask(&mut self, now: Timestamp) -> Option<Action> {
        let due = match &self.state {
            State::NotTaken => true,
            State::NotClean { retry_at, .. } => *retry_at <= now,
            State::Looking { .. } | State::Clean => false,
        };
        due.then(|| {
            self.state = State::Looking { outdated: false };
            Action::ListPods
        })
    }

    /// What the last look showed instead of an empty node, and when it is taken again.
    pub(super) fn miss(&self) -> Option<(Timestamp, Block)> {
        match &self.state {
            State::NotClean { retry_at, block } => Some((*retry_at, block.clone())),
            _ => None,
        }
    }

    /// Takes up what the API server showed.
    pub(super) fn listed(
        &mut self,
        pods: Result<Vec<Pod>, String>,
        node: &NodeName,
        now: Timestamp,
        is_work_left: impl Fn(&Pod) -> bool,
    ) {
        if self.state != (State::Looking { outdated: false }) {
            self.state = State::NotTaken;
            return;
        }
        let miss = match pods {
            Ok(pods) => {
                let left = pods.iter().find(|pod| pod.node.as_ref() == Some(node) && is_work_left(pod));
                left.map(|pod| format!("pod {} has arrived on node {node}, and is only now seen", pod.key))
            }
            Err(message) => Some(format!("the API server does not say which pods are on node {node}: {message}")),
        };
        *self = match miss {
            None => Self { state: State::Clean, misses: 0 },
            Some(message) => {
                let wait = BACKOFF.after(self.misses);
                let block = Block::new(BlockReason::ApiServerUnavailable, message);
                Self { state: State::NotClean { retry_at: later(now, wait), block }, misses: self.misses + 1 }
            }
        };
    }
}
