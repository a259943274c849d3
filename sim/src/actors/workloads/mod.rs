//! Plays the controllers of workloads. None of them adopts pods that it did not make.
//!
//! | module | plays the controller of |
//! |---|---|
//! | [`replica_set`] | `ReplicaSet`s |
//! | [`deployment`] | Deployments: rolling updates and re-creation, history, progress |
//! | [`daemon_set`] | `DaemonSet`s |
//! | [`stateful_set`] | `StatefulSet`s |
//! | [`job`] | Jobs |
//! | [`owned`] | what they share: pods of an owner, pods from a template, statuses |

pub mod daemon_set;
pub mod deployment;
pub mod job;
pub mod owned;
pub mod replica_set;
pub mod stateful_set;
