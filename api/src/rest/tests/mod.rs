//! The service as a client sees it, without a socket.

pub(crate) mod app;
mod audit;
mod auth;
mod breaking;
pub(crate) mod contract;
mod events;
mod frame;
mod kubernetes;
mod maintenance;
mod nodes;
mod once;
mod operations;
mod seen;
pub(crate) mod simulated;

use app::TestApp;
