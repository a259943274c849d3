//! The REST service, `/api/v1`.
//!
//! | file | holds |
//! |---|---|
//! | `nodes` | a resource: its routes, parameters and bodies |
//! | `frame` | what every request goes through |
//! | `openapi`, `schema`, `docs` | the contract, made from the code |
//! | `problem`, `reason` | every answer that is no success |
//! | `events` | streams of what happens |
//! | `extract`, `reply`, `page` | what handlers take and give |
//!
//! A handler is thin: the frame has checked who calls and whether they may (`auth::operations`); it calls `core` and
//! shapes the answer.

#![allow(dead_code, reason = "operations that change something come next")]

mod docs;
mod events;
mod extract;
mod frame;
mod nodes;
pub(crate) mod openapi;
mod page;
mod problem;
mod reason;
mod reply;
mod schema;
#[cfg(test)]
mod tests;

use axum::Router;
use careen_core::cluster::{Cluster, Snapshot};
use utoipa_axum::router::OpenApiRouter;

pub use frame::HttpMetrics;
pub(crate) use frame::{Frame, Limits};
pub(crate) use problem::Problem;
pub(crate) use reason::Reason;

/// What handlers work with. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    cluster: Cluster,
}

impl Api {
    /// On that cluster.
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// What is known of the cluster. Until the caches are filled, what they lack would be taken for what is not there.
    fn snapshot(&self) -> Result<Snapshot, Problem> {
        match self.cluster.not_ready().into_iter().next() {
            Some((kind, state)) => Err(Problem::unavailable(format!("{kind} objects are not known yet: {state}"))),
            None => Ok(self.cluster.snapshot()),
        }
    }
}

/// The routes of the contract, from `/api/v1`.
fn resources() -> OpenApiRouter<Api> {
    let v1 = OpenApiRouter::new().merge(nodes::routes());
    OpenApiRouter::new().nest("/api/v1", v1)
}

/// What the service answers to, without the frame around it.
pub(crate) fn router(api: Api, frame: &Frame) -> Router {
    let (operations, openapi) = resources().split_for_parts();
    let operations = frame.before_operations(operations.with_state(api));
    operations.merge(docs::routes(openapi::contract_of(openapi)))
}
