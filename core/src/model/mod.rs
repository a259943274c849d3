//! What the engine keeps of each Kubernetes object: small, immutable, made once when the object is seen.
//!
//! Decisions are made on these types only, so a test needs no cluster, and a cache of 30,000 pods stays small.

mod budget;
mod identity;
mod node;
mod pod;
mod scheduling;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod virtual_machine;

pub use budget::{Budget, UnhealthyPodEvictionPolicy};
pub use identity::{InvalidNodeName, NodeName, ObjectKey, Uid};
pub use node::{Node, NodeCondition, Readiness};
pub use pod::{Deletion, Owner, Pod, PodPhase};
pub use scheduling::{Resources, Scheduling};
