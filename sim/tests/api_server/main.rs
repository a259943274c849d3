//! The API server in memory, as its clients see it: `kube` in process, on a paused clock.

mod eviction;
mod fixtures;
mod reading;
mod writing;
