//! What plays scheduler, kubelet, workload controllers and KubeVirt. Each actor is an ordinary client of the API: it sees
//! the cluster by watches, decides without I/O, and writes; so it runs on the API server in memory and on a real one.
//!
//! | module | holds |
//! |---|---|
//! | [`view`], `mirror` | what an actor sees: the watched objects, and how they are kept up to date |
//! | [`actor`] | what an actor decides: writes, and when to look again |
//! | [`driver`] | runs actors on an API server |
//! | [`rules`] | how long things take, and what goes wrong: the table of settings |
//! | [`scheduler`] | a node for each pod |
//! | [`kubelet`] | nodes and the pods on them |
//! | [`node_lifecycle`] | taints and evictions as nodes' conditions say |
//! | [`workloads`] | `ReplicaSet`s, Deployments, `DaemonSet`s, `StatefulSet`s, Jobs |
//! | [`disruption`] | what `PodDisruptionBudget`s allow |
//! | [`garbage`] | what goes with its owner |
//! | [`kubevirt`] | virtual machines: virt-controller, virt-handler, virt-api |
//! | [`scheduling`] | which pods a node takes |
//! | [`kinds`], [`object`], [`quantity`] | kinds of Kubernetes; reading and writing objects as JSON; `500m`, `16Gi` |

pub mod actor;
pub mod disruption;
pub mod driver;
pub mod garbage;
pub mod kinds;
pub mod kubelet;
pub mod kubevirt;
mod mirror;
pub mod node_lifecycle;
pub mod object;
pub mod quantity;
pub mod rules;
pub mod scheduler;
pub mod scheduling;
pub mod view;
pub mod workloads;

#[cfg(test)]
mod world;
