//! Draining a node.

mod options;

pub use options::{
    DrainOptions, DrainSpec, EvictOrBlock, InvalidDrainSpec, LeaveOrAbort, ShutDownOrBlock, ShutDownOrMigrate,
};
