//! Who acts: the leader Lease ([`LeaderElection`]: which replica carries orders out) and the node Leases
//! ([`NodeLease`]: who acts on a node).
//!
//! Both keep a margin of 15 s between the moment when their holder stops and the moment when somebody else may begin.
//! A request of ours that is on its way at that moment times out within 12 s.

mod contender;
mod decision;
mod fields;
mod leader;
mod leadership;
mod node_lease;
mod request;

pub use decision::{Decision, Observation, decide, decide_by_wall_clock};
pub use leader::{ElectionSettings, Handover, LeaderElection};
pub use leadership::Leadership;
pub use node_lease::{NodeLease, NodeLeaseError, NodeLeaseState, ensure_namespace};
pub use request::LeaseError;
