//! The engine of Careen: takes nodes of a Kubernetes / KubeVirt cluster out of service and puts them back, without
//! losing a virtual machine. It knows Kubernetes; it knows no HTTP server, no GraphQL and no Python.
//!
//! | module | holds |
//! |---|---|
//! | [`names`] | the names that other tools rely on |
//! | [`clock`], [`duration`], [`selector`] | what their names say |
//! | `schema` | adjustments of generated schemas |
//! | [`model`] | what is kept of each Kubernetes object, and the vocabulary that all modules share |
//! | [`metrics`] | what is counted |
//! | `answer`, `config_map` | what came of one request, and its time-out; guarded writes of `ConfigMap`s |
//! | [`cluster`] | one connection, one set of watch caches, snapshots for pure code |
//! | [`plan`] | what would happen: verdicts, pure |
//! | [`node`] | cordon, taint, and the record of what was done |
//! | [`migration`] | KubeVirt's migrations and evacuation marks |
//! | [`drain`] | the drain: a machine without I/O, and its driver |
//! | [`lease`] | who acts: the leader Lease and the node Leases |
//! | [`maintenance`] | what is decided about a `NodeMaintenance`, and what its status says |
//! | [`order`] | a drain that is ordered over the network |
//! | `receipt` | what a request that is sent once only (`Idempotency-Key`) has led to |
//! | [`operation`] | what people ask for, as every face offers it |
//! | [`view`] | what people see: plain structs, pure |
//! | [`controller`] | carries maintenances and orders out, on the leader; and drains in somebody's own process |
//!
//! Modules depend on those above them and not on those below, but for two: [`cluster`] asks [`plan`] what a
//! control-plane node is, and [`selector`] asks [`model`] what a node's name may be, for a label's prefix is alike.

mod answer;
pub mod clock;
pub mod cluster;
mod config_map;
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
mod receipt;
mod schema;
pub mod selector;
pub mod view;

#[cfg(test)]
mod testing;
