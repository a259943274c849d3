//! The API server in memory, as its clients see it: `kube` in process, on a paused clock.

mod access;
mod eviction;
mod faults;
mod fixtures;
mod kinds;
mod over_http;
mod reading;
mod writing;
