//! What plays scheduler, kubelet, workload controllers and KubeVirt. Each actor is an ordinary client of the API: it sees
//! the cluster by watches, decides without I/O, and writes; so it runs on the API server in memory and on a real one.
//!
//! | module | holds |
//! |---|---|
//! | [`view`] | what an actor sees: the watched objects |
//! | [`actor`] | what an actor decides: writes, and when to look again |

pub mod actor;
pub mod view;
