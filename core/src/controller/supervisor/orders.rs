//! Which drain orders are carried out, refused or forgotten.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{Done, Member, Settled, Supervisor, recorded_by};
use crate::{
    cluster::Snapshot,
    controller::{
        order::{OrderWorker, forget},
        refusal::{self, RefusalError},
    },
    model::{DrainOptions, DrainOrder, Trouble, Uid},
    order::{Duty, duty},
};

/// What is done about an order that nobody carries out.
enum Settlement {
    /// It is refused, by what is known.
    Refuse(Box<Snapshot>),
    /// It is forgotten.
    Forget,
}

impl Supervisor {
    /// What was begun here but is not in the cache yet counts for the others.
    pub(super) fn count_orders_in_hand(&self, snapshot: &mut Snapshot) {
        let in_hand = snapshot.drain_orders().filter(|order| self.orders.contains_key(order.id()));
        for order in in_hand.cloned().collect::<Vec<_>>() {
            snapshot.put(as_begun(&order, self.context.clock.now()));
        }
    }

    /// Does its duty about every drain order, oldest first; `snapshot` holds what was decided about maintenances just
    /// now.
    pub(super) fn assign_orders(&mut self, mut snapshot: Snapshot, stopping: &watch::Receiver<bool>) {
        let now = self.context.clock.now();
        let mut orders: Vec<_> = snapshot.drain_orders().cloned().collect();
        orders.sort_by_key(|order| (order.request.created_at, order.id().clone()));
        self.settled_orders.retain(|(id, _)| orders.iter().any(|order| order.id() == id));
        // The caches of orders and of nodes are not of one moment.
        let is_recorded = |id: &Uid| snapshot.nodes().any(|node| recorded_by(node).as_ref() == Some(id));
        self.ended_orders.retain(|id| orders.iter().any(|order| order.id() == id) || is_recorded(id));
        for order in orders {
            if self.orders.contains_key(order.id()) {
                continue;
            }
            match duty(&order, &snapshot, now) {
                Duty::CarryOut(_) if self.ended_orders.contains(order.id()) => {}
                Duty::CarryOut(options) => {
                    self.carry_out(&order, options, stopping);
                    // The next ones are decided on with it: together they may cost the control plane its quorum.
                    snapshot.put(as_begun(&order, now));
                }
                Duty::Keep(at) => self.look_again_at(at),
                Duty::Refuse(refused) => {
                    let (reason, message) = (refused.reason, &refused.message);
                    tracing::info!(drain = %order.id(), node = %order.node(), reason, message, "not to be carried out");
                    self.settle_order(order, Settlement::Refuse(Box::new(snapshot.clone())));
                }
                Duty::Forget => self.settle_order(order, Settlement::Forget),
            }
        }
    }

    fn carry_out(
        &mut self,
        order: &DrainOrder,
        options: Result<DrainOptions, Trouble>,
        stopping: &watch::Receiver<bool>,
    ) {
        tracing::info!(drain = %order.id(), node = %order.node(), "carries a drain order out");
        let wake = Arc::new(Notify::new());
        let worker = OrderWorker::new(self.context.clone(), order, options);
        let (woken, stopping, id) = (wake.clone(), stopping.clone(), order.id().clone());
        let task = self.tasks.spawn(async move {
            let ended = worker.run(woken, stopping).await;
            tracing::debug!(drain = %id, ?ended, "a worker has ended");
            Done::Order(id, ended)
        });
        let member = Member { node: Some(order.node().clone()), name: String::new(), wake, task: task.id() };
        self.orders.insert(order.id().clone(), member);
    }

    /// Refuses an order, or forgets it.
    fn settle_order(&mut self, order: Arc<DrainOrder>, settlement: Settlement) {
        let settled = match &settlement {
            Settlement::Refuse(_) => Settled::Refused,
            Settlement::Forget => Settled::Forgotten,
        };
        let what = (order.id().clone(), settled);
        if !self.settled_orders.insert(what.clone()) {
            return;
        }
        let context = self.context.clone();
        self.tasks.spawn(async move {
            let outcome = match settlement {
                Settlement::Refuse(known) => refusal::refuse_order(&context, &order, *known).await,
                Settlement::Forget => forget(&context, &order).await.map_err(RefusalError::from),
            };
            Done::SettledOrder(what, outcome)
        });
    }
}

fn as_begun(order: &DrainOrder, now: Timestamp) -> DrainOrder {
    let mut begun = order.clone();
    begun.status.started_at.get_or_insert(now);
    begun
}
