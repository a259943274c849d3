//! GraphQL, `/graphql`: the same engine, types and permissions as the REST service, for people and dashboards that want
//! to ask once for exactly what they show.
//!
//! | file | holds |
//! |---|---|
//! | `resources` | the fields, a file for each resource |
//! | `shape` | GraphQL types from the JSON schemas of core's views: written once, descriptions and all |
//! | `shown` | an object of an answer: a view, its moment, and how it leads to others |
//! | `scene` | one moment of the cluster, who looks at it, and what they may see |
//! | `arguments`, `connection` | the arguments of fields; pages of lists |
//! | `stream` | what is followed |
//! | `document`, `text`, `cost`, `roots`, `limits` | a request is checked before anything of it runs |
//! | `schema` | the schema, put together |
//! | `refusal` | problems as GraphQL tells them |
//! | `http`, `media`, `socket`, `page` | requests and their answers, WebSockets, and a page to ask by hand |
//!
//! The schema is built at run time (`async_graphql::dynamic`), because its types follow from core's: derived ones would
//! be written by hand a second time.

mod arguments;
mod connection;
mod cost;
mod document;
mod http;
mod limits;
mod media;
mod page;
mod refusal;
mod resources;
mod roots;
mod scene;
pub(crate) mod schema;
mod shape;
mod shown;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use async_graphql::dynamic::SchemaError;
use axum::Router;

use crate::{
    per_caller::PerCaller,
    rest::{Api, Frame},
    shutdown::Shutdown,
};

pub(crate) use limits::Limits;

/// What answers GraphQL. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct GraphQl(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api,
    frame: Frame,
    built: schema::Built,
    limits: Limits,
    shutdown: Shutdown,
    places: socket::Places,
    /// What the subscriptions of each caller cost, on all their sockets.
    followed: PerCaller,
}

impl GraphQl {
    /// On the same cluster as REST, in the same frame.
    pub(crate) fn new(api: Api, frame: Frame, limits: Limits, shutdown: Shutdown) -> Result<Self, SchemaError> {
        let built = schema::build(&limits)?;
        let places = socket::Places::default();
        let followed = PerCaller::new(limits.followed);
        Ok(Self(Arc::new(Inner { api, frame, built, limits, shutdown, places, followed })))
    }

    /// What it answers to, without the frame around it.
    pub(crate) fn router(self) -> Router {
        http::routes(self).merge(page::routes())
    }
}
