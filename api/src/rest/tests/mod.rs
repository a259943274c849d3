//! The service as a client sees it, without a socket.

mod app;
mod audit;
mod auth;
mod breaking;
mod contract;
mod events;
mod frame;
mod kubernetes;
mod maintenance;
mod nodes;
mod once;
mod operations;
mod simulated;

use app::TestApp;
