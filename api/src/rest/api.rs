//! What handlers work with.

use careen_core::{
    clock::Clock,
    cluster::{Cluster, Snapshot},
    model::{DrainOptions, NodeName, ObjectKey},
    operation::Operations,
    plan,
    view::{PlanView, Views},
};
use jiff::Timestamp;

use super::{Account, HttpMetrics, Problem, events::Events, wait::Waits};
use crate::{
    auth::{Auth, Caller, Freshness, Right},
    shutdown::Shutdown,
};

/// What handlers work with. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(super) operations: Operations,
    pub(super) auth: Auth,
    pub(super) clock: Clock,
    pub(super) own_pod: Option<ObjectKey>,
    pub(super) events: Events,
    pub(super) waits: Waits,
}

impl Api {
    /// On that cluster. `own_pod` leaves its node last.
    pub(crate) fn new(
        operations: Operations,
        auth: Auth,
        clock: Clock,
        own_pod: Option<ObjectKey>,
        metrics: HttpMetrics,
        shutdown: &Shutdown,
    ) -> Self {
        let (events, waits) = (Events::new(metrics, shutdown.clone()), Waits::new(shutdown.clone()));
        Self { operations, auth, clock, own_pod, events, waits }
    }

    /// Tells those who follow what happens, as long as this runs.
    pub(crate) fn tell_what_happens(&self) -> impl Future<Output = ()> + Send + 'static {
        self.events.clone().follow(self.operations.cluster().clone(), self.clock)
    }

    /// What is known of the cluster. Until the caches are filled, what they lack would be taken for what is not there.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Problem> {
        let cluster = self.operations.cluster();
        match cluster.not_ready().into_iter().next() {
            Some((kind, state)) => Err(Problem::unavailable(format!("{kind} objects are not known yet: {state}"))),
            None => Ok(cluster.snapshot()),
        }
    }

    /// The cluster as far as it is known: for whoever tells what has become of a change. It was made, whatever is not
    /// known at this moment.
    pub(crate) fn known(&self) -> Snapshot {
        self.operations.cluster().snapshot()
    }

    /// What is known of the cluster, as people see it; not before the caches are filled.
    pub(crate) fn views(&self) -> Result<Views, Problem> {
        Ok(Views::of(self.snapshot()?, self.now()))
    }

    /// What would happen to that node at a moment.
    pub(crate) fn plan_of(
        &self,
        snapshot: &Snapshot,
        node: &NodeName,
        options: &DrainOptions,
    ) -> Result<PlanView, Problem> {
        let plan = plan::plan(node, self.own_pod.as_ref(), snapshot, options, self.now())
            .map_err(|_| Problem::no_node(node))?;
        Ok(PlanView::from(&plan))
    }

    /// The operations, which decide from the same caches.
    pub(crate) fn operations(&self) -> Result<&Operations, Problem> {
        self.snapshot().map(|_| &self.operations)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Demands what an operation needs besides, because of what is in the request.
    pub(crate) async fn demand(&self, account: &Account, rights: &[Right]) -> Result<(), Problem> {
        match account.caller() {
            _ if rights.is_empty() => Ok(()),
            Some(caller) => self.auth.demand(caller, rights, Freshness::Now).await,
            None => Err(Problem::internal("a handler runs for nobody")),
        }
    }

    /// Demands what a read needs besides; the answer may be seconds old.
    pub(crate) async fn demand_as_read(&self, account: &Account, rights: &[Right]) -> Result<(), Problem> {
        match account.caller() {
            _ if rights.is_empty() => Ok(()),
            Some(caller) => self.demand_to_see(caller, rights).await,
            None => Err(Problem::internal("a handler runs for nobody")),
        }
    }

    /// The cluster, for whoever waits for it to change.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.operations.cluster()
    }

    /// Demands what is needed to see something; the answer may be seconds old.
    pub(crate) async fn demand_to_see(&self, caller: &Caller, rights: &[Right]) -> Result<(), Problem> {
        self.auth.demand(caller, rights, Freshness::MayBeSecondsOld).await
    }
}
