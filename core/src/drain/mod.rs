//! Draining a node.
//!
//! | file | holds |
//! |---|---|
//! | `machine` | the machine: what to do next, pure |
//! | `decide`, `send` | its parts: what one workload needs; whose turn it is |
//! | `ask`, `turns`, `motion`, `returns`, `last_look` | what it knows of one pod, one budget, one VM, one controller, the node |
//! | `obstacles` | what is in the way, in sentences |
//! | `driver`, `requests` | carries the actions out |
//! | `action` | what the machine asks its driver to do, and what it is told |
//! | `answer` | what the API server answered to an eviction |
//! | `progress` | how far it has got, for people |

mod action;
mod answer;
mod ask;
mod decide;
mod driver;
mod last_look;
mod machine;
mod motion;
mod obstacles;
mod progress;
mod requests;
mod returns;
mod send;
#[cfg(test)]
mod tests;
mod turns;

pub use crate::model::{
    DrainOptions, DrainSpec, EvictOrBlock, InvalidDrainSpec, LeaveOrAbort, ShutDownOrBlock, ShutDownOrMigrate,
};
pub use action::{Action, Evict, Outcome, Seen};
pub use answer::Answer;
pub use driver::{Drain, HandOver};
pub use machine::{DrainPhase, Machine, Step};
pub use progress::{Progress, WorkloadProgress, WorkloadState};
