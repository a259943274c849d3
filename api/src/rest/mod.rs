//! The REST service, `/api/v1`.
//!
//! | file | holds |
//! |---|---|
//! | `resources` | the paths: routes, parameters and bodies |
//! | `frame` | what every request goes through |
//! | `openapi`, `schema`, `examples`, `docs` | the contract, made from the code |
//! | `problem`, `reason`, `failure` | every answer that is no success |
//! | `events` | streams of what happens |
//! | `wait` | answers that are held until there is something to say |
//! | `extract`, `reply`, `page` | what handlers take and give |
//!
//! A handler is thin: the frame has checked who calls and whether they may (`auth::operations`); it calls `core` and
//! shapes the answer.

mod docs;
mod events;
mod examples;
mod extract;
mod failure;
mod frame;
pub(crate) mod openapi;
mod page;
mod problem;
mod reason;
mod reply;
mod resources;
mod schema;
mod strict;
#[cfg(test)]
pub(crate) mod tests;
mod wait;

use axum::Router;
use careen_core::{
    clock::Clock,
    cluster::{Cluster, Snapshot},
    model::ObjectKey,
    operation::Operations,
    view::Views,
};
use jiff::Timestamp;

use crate::{
    auth::{Auth, Caller, Right},
    shutdown::Shutdown,
};

use events::Events;
pub(crate) use extract::{Body, MAX_BODY, Query};
pub use frame::HttpMetrics;
pub(crate) use frame::{Account, Frame, Limits, Note, Touched, is_known};
pub(crate) use page::{Limit, Page, cursor};
pub(crate) use problem::{GRAPHQL_RESPONSE_JSON, Problem};
pub(crate) use reason::Reason;
pub(crate) use reply::Json;
pub(crate) use resources::{cancel_of, drain_is_shown, maintenance_shown};
pub(crate) use strict::Strict;
use wait::Waits;

/// What handlers work with. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    operations: Operations,
    auth: Auth,
    clock: Clock,
    own_pod: Option<ObjectKey>,
    events: Events,
    waits: Waits,
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

    /// The same, as people see it.
    pub(crate) fn views(&self) -> Result<Views, Problem> {
        Ok(Views::of(self.snapshot()?, self.now()))
    }

    /// The operations, which decide from the same caches.
    pub(crate) fn operations(&self) -> Result<&Operations, Problem> {
        self.snapshot().map(|_| &self.operations)
    }

    pub(crate) fn own_pod(&self) -> Option<&ObjectKey> {
        self.own_pod.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Demands what an operation needs besides, because of what is in the request.
    pub(crate) async fn demand(&self, account: &Account, rights: &[Right]) -> Result<(), Problem> {
        match account.caller() {
            _ if rights.is_empty() => Ok(()),
            Some(caller) => self.auth.demand(caller, rights, false).await,
            None => Err(Problem::internal("a handler runs for nobody")),
        }
    }
}

impl Api {
    /// The cluster, for whoever waits for it to change.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.operations.cluster()
    }

    /// Demands what is needed to see something; the answer may be seconds old.
    pub(crate) async fn demand_to_see(&self, caller: &Caller, rights: &[Right]) -> Result<(), Problem> {
        self.auth.demand(caller, rights, true).await
    }
}

/// What the service answers to, without the frame around it.
pub(crate) fn router(api: Api, frame: &Frame) -> Router {
    let (operations, openapi) = resources::resources().split_for_parts();
    let operations = frame.before_operations(operations.with_state(api));
    operations.merge(docs::routes(openapi::contract_of(openapi)))
}
