//! What is done to a Node: cordon, taint, conditions, and the record of it.
//!
//! Decided by pure functions of a [`crate::model::Node`] ([`take_out`], [`restore`], …), which give a merge patch or
//! nothing; carried out by [`change`].

mod conditions;
mod patch;
mod write;

pub use crate::model::{Actor, ActorKind, Record, RecordFault, RecordReading, TaintEffect, UnreadableRecord};
pub(crate) use conditions::has_conditions;
pub use conditions::{DRAIN_IN_PROGRESS, DRAINED, DrainStage, Lifecycle, MAINTENANCE_IN_PROGRESS, conditions_patch};
pub use patch::{
    Refused, add_taint, cordon, forget_record, remove_taint, restore, take_out, uncordon, uncordon_left_behind,
    write_record,
};
pub use write::{NodeError, change, read, set_conditions};
