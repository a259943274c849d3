//! What is done to a Node: cordon, taint, the record.

mod record;

pub use record::{Actor, ActorKind, Record};
