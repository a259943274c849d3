//! The API server in memory, as its clients see it: `kube` in process, on a paused clock.

#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, reason = "a test may fail")]

mod access;
mod eviction;
mod faults;
mod fixtures;
mod kinds;
mod over_http;
mod reading;
mod writing;
