//! What the engine keeps of each Kubernetes object, and the vocabulary that all parts of the engine share: small,
//! immutable, made once when the object is seen.
//!
//! Decisions are made on these types only, so a test needs no cluster, and a cache of 30,000 pods stays small.
//!
//! | file | holds |
//! |---|---|
//! | `identity` | names and UIDs |
//! | `node`, `pod`, `budget`, `scheduling`, `virtual_machine` | Kubernetes' and KubeVirt's objects, trimmed |
//! | `maintenance` | the `NodeMaintenance` resource |
//! | `notice` | what somebody is to be told about it, and what became of its node's VMs |
//! | `drain_options` | what a drain may do |
//! | `drain_order` | a drain that was ordered over the network |
//! | `receipt` | what a request that is sent once only has led to |
//! | `sentence` | how long what is said may be |
//! | `node_claim` | who holds a node, as its Lease says |
//! | `record`, `taint` | what was done to a node |
//! | `trouble` | what is wrong with an operation itself |
//! | `verdict` | what would become of a workload, and what is in its way |

mod budget;
mod drain_options;
mod drain_order;
mod identity;
mod maintenance;
mod node;
mod node_claim;
mod notice;
mod pod;
mod receipt;
mod record;
mod scheduling;
mod sentence;
mod taint;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trouble;
mod verdict;
pub mod virtual_machine;

pub use budget::{Budget, UnhealthyPodEvictionPolicy};
pub use drain_options::{
    DrainOptions, DrainSpec, EvictOrBlock, InvalidDrainSpec, LeaveOrAbort, ShutDownOrBlock, ShutDownOrMigrate,
};
pub use drain_order::{
    CancelRequest, DrainEnd, DrainOrder, DrainOutcome, DrainRequest, DrainStatus, InvalidDrainOrder,
};
pub use identity::{InvalidNodeName, NodeName, ObjectKey, Uid};
pub use maintenance::{
    Blocking, NodeMaintenance, NodeMaintenanceSpec, NodeMaintenanceStatus, Phase, Ticket, condition,
    custom_resource_definition,
};
pub use node::{ConditionStatus, Node, NodeCondition, Readiness};
pub use node_claim::NodeClaim;
pub(crate) use node_claim::{CLOCK_SKEW, lease_duration, lease_expires_at, lease_holder};
pub use notice::{Moved, Notice, NoticeEvent, Notices, Report, Stopped};
pub use pod::{Deletion, Owner, Pod, PodPhase};
pub use receipt::{InvalidReceipt, Receipt, ReceiptRequest, ReceiptResult};
pub use record::{Actor, ActorKind, Record, RecordFault, RecordReading, UnreadableRecord};
pub use scheduling::{Resources, Scheduling};
pub use taint::{InvalidTaint, TaintEffect, TaintKey, TaintValue};
pub use trouble::{Trouble, TroubleReason};
pub use verdict::{
    Block, BlockClass, BlockReason, MigrateBy, Restarts, ShutDownBy, SkipReason, Verdict, Workload, WorkloadKind,
};
