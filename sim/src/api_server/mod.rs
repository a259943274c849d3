//! The Kubernetes API on a store in memory.
//!
//! A request's way: [`connection`] (who asks, faults, audit) → `route` (what for; may they) → `list`, `watch`, `write`, …
//! on the `store`, under one lock → `reply`, written down when the lock is free.
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | the server, its options, and what tests do past the API |
//! | [`connection`] | the tower service: one client's way to the server |
//! | [`http`] | the same over HTTP on loopback |
//! | [`user`], [`authentication`], [`authorization`], `review` | who asks, what they may, and how others ask that |
//! | [`fault`] | requests that go wrong because a test wants it |
//! | [`audit`] | one Event for each request, as `kube-apiserver` writes them |
//! | [`request`], [`query`], `content` | what is asked for, and in which form |
//! | `route` | which part answers |
//! | `discovery` | which kinds there are |
//! | `list`, `watch`, `watchers`, [`history`] | reading, and what happened |
//! | `write` | create, update, patch, delete |
//! | `eviction`, `binding`, `scale`, `service_account_token` | paths below objects |
//! | `namespaces`, `definitions`, `event` | kinds with rules of their own |
//! | [`webhook`], [`plugin`], [`aggregation`] | who else is asked |
//! | `store`, `kinds`, [`builtin`], [`resource_type`] | the objects and their kinds |
//! | `protobuf` | bodies that are no JSON |
//! | `reply`, [`response`], [`refusal`] | answers |
//! | [`field_selector`] | `?fieldSelector=` |
//! | [`patch`] | JSON, merge and strategic merge patches |
//! | [`schema`] | decoding, unknown fields, defaults and validation of objects |
//! | [`custom`] | kinds that a CustomResourceDefinition brings |
//! | [`table`] | what `kubectl get` prints |
//! | [`openapi`] | `/openapi/v2` and `/openapi/v3` |

pub mod aggregation;
pub mod audit;
pub mod authentication;
pub mod authorization;
mod binding;
pub mod builtin;
pub mod connection;
mod content;
pub mod custom;
mod definitions;
mod discovery;
mod event;
mod eviction;
pub mod fault;
pub mod field_selector;
pub mod history;
pub mod http;
mod kinds;
mod list;
mod namespaces;
pub mod openapi;
pub mod patch;
pub mod plugin;
mod protobuf;
pub mod query;
pub mod refusal;
mod reply;
pub mod request;
pub mod resource_type;
pub mod response;
mod review;
mod route;
mod scale;
pub mod schema;
pub mod server;
mod service_account_token;
mod store;
pub mod table;
pub mod user;
mod watch;
mod watchers;
pub mod webhook;
mod write;

pub use connection::{Connection, ConnectionLost};
pub use server::{ApiServer, Options};
pub use user::User;
