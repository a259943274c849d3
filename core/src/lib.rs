//! The engine of Careen: takes nodes of a Kubernetes / KubeVirt cluster out of service and puts them back, without
//! losing a virtual machine. It knows Kubernetes; it knows no HTTP server, no GraphQL and no Python.
//!
//! | module | holds |
//! |---|---|
//! | [`cluster`] | one connection, one set of watch caches, snapshots for pure code |
//! | [`model`] | what is kept of each Kubernetes object |
//! | [`plan`] | what would happen: verdicts, pure |
//! | [`node`] | cordon, taint, and the record of what was done |
//! | [`migration`] | KubeVirt's migrations and evacuation marks |
//! | [`drain`] | the drain: a machine without I/O, and its driver |
//! | [`lease`] | who acts: the leader Lease and the node Leases |
//! | [`maintenance`] | the `NodeMaintenance` resource and its controller |

mod answer;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod drain;
pub mod duration;
pub mod lease;
pub mod maintenance;
pub mod metrics;
pub mod migration;
pub mod model;
pub mod names;
pub mod node;
pub mod operation;
pub mod order;
pub mod plan;
mod schema;
pub mod selector;
pub mod view;

#[cfg(test)]
mod testing;
