//! Start (or change) and stop a maintenance.

mod resource;
mod start;
mod stop;

pub(super) use start::refusal_of_start;
pub use start::{IfExists, MaintenanceChange, StartMaintenance, Started};
pub use stop::{StopMaintenance, StopTarget, Stopped};
