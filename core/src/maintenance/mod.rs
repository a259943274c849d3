//! The `NodeMaintenance` resource: what is decided about one, and what its status says; all of it pure but for
//! one question. The [controller](crate::controller) carries it out.
//!
//! | file | holds |
//! |---|---|
//! | `accept` | whether a maintenance is accepted |
//! | `intent` | which record its node should carry |
//! | `existence` | whether the maintenance of a record is gone: the one question to the API server here |
//! | `began` | when its drain began, for what its options count from then |
//! | `status` | what its status says |
//! | `transition` | what has happened from one status to the next, and what is told of it |
//! | `departures` | what has become of the VMs that had to leave |

pub(crate) mod accept;
pub(crate) mod began;
pub(crate) mod departures;
mod existence;
pub(crate) mod intent;
pub(crate) mod status;
pub(crate) mod transition;

pub use accept::{Accepted, Decision, OptionsOrigin, decide, managed_by_another, understand};
pub use existence::{Unconfirmed, maintenance_is_gone};

pub use crate::model::{
    Blocking, NodeMaintenance, NodeMaintenanceSpec, NodeMaintenanceStatus, Notice, NoticeEvent, Notices, Phase, Report,
    Ticket, Trouble, TroubleReason, condition, custom_resource_definition,
};
