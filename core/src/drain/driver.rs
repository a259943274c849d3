//! Drives the machine: carries its actions out in the background, and brings back what became of them.

use jiff::Timestamp;
use tokio::task::JoinSet;

pub use super::requests::HandOver;
use super::{Machine, Outcome, Step, requests::Requests};
use crate::{
    cluster::{Cluster, Snapshot},
    model::NodeName,
    node::Actor,
};

/// A drain that runs. Dropped, it starts nothing more and gives up on the requests that are on their way.
pub struct Drain {
    machine: Machine,
    requests: Requests,
    open: JoinSet<Outcome>,
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Drain {
    /// A drain of `node` in the name of `actor`, whose record the node carries.
    #[must_use]
    pub fn new(machine: Machine, cluster: Cluster, node: NodeName, actor: Actor, hand_over: HandOver) -> Self {
        Self { machine, requests: Requests { cluster, node, actor, hand_over }, open: JoinSet::new() }
    }

    /// The machine.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Looks at the cluster, and sends what has to be sent.
    pub fn step(&mut self, snapshot: &Snapshot, now: Timestamp) -> Step {
        let mut step = self.machine.step(snapshot, now);
        for action in step.actions.drain(..) {
            self.open.spawn(self.requests.clone().perform(action));
        }
        step
    }

    /// The next outcome of a request; waits for ever while none is on its way.
    pub async fn next(&mut self) -> Outcome {
        loop {
            match self.open.join_next().await {
                Some(Ok(outcome)) => return outcome,
                Some(Err(error)) => tracing::error!(%error, "a request of the drain ended without an outcome"),
                None => std::future::pending().await,
            }
        }
    }

    /// Takes up an outcome.
    pub fn handle(&mut self, outcome: Outcome, snapshot: &Snapshot, now: Timestamp) {
        self.machine.handle(outcome, snapshot, now);
    }

    /// Starts nothing more, and waits until the requests that are on their way have been answered.
    pub async fn settle(&mut self) {
        self.machine.stop();
        while let Some(outcome) = self.open.join_next().await {
            if let Err(error) = outcome {
                tracing::error!(%error, "a request of the drain ended without an outcome");
            }
        }
    }
}
