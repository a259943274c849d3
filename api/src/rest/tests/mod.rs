//! The service as a client sees it, without a socket.

mod app;
mod auth;
mod breaking;
mod contract;
mod frame;
mod kubernetes;
mod maintenance;
mod nodes;
mod operations;
mod simulated;

use app::TestApp;
