//! The REST service, `/api/v1`.
//!
//! | file | holds |
//! |---|---|
//! | `resources` | the paths: routes, parameters and bodies |
//! | `api` | what handlers work with: the operations, what is known of the cluster, who may |
//! | `frame` | what every request goes through |
//! | `openapi`, `schema`, `examples`, `docs` | the contract, made from the code |
//! | `problem`, `reason`, `failure` | every answer that is no success |
//! | `events` | streams of what happens |
//! | `wait` | answers that are held until there is something to say |
//! | `extract`, `strict`, `reply`, `page` | what handlers take and give |
//! | `kept` | what is answered the same each time |
//!
//! A handler is thin: the frame has checked who calls and whether they may (`auth::operations`); it calls `core` and
//! shapes the answer.

mod api;
mod docs;
mod events;
mod examples;
mod extract;
mod failure;
mod frame;
mod kept;
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

pub(crate) use api::Api;
pub(crate) use extract::{Body, MAX_BODY, Query};
pub use frame::HttpMetrics;
pub(crate) use frame::{Account, Frame, Limits, Note, Touched};
pub(crate) use kept::Kept;
pub(crate) use page::{Limit, Page, cursor};
pub(crate) use problem::{GRAPHQL_RESPONSE_JSON, Problem};
pub(crate) use reason::Reason;
pub(crate) use reply::Json;
pub(crate) use strict::Strict;

/// What the service answers to, without the frame around it.
pub(crate) fn router(api: Api, frame: &Frame) -> Router {
    let (operations, openapi) = resources::resources().split_for_parts();
    let contract = openapi::contract_of(openapi);
    let operations = frame.before_operations(operations.with_state(api), &contract);
    operations.merge(docs::routes(&contract))
}
