//! The `NodeMaintenance` resource: what is decided about one, and what its status says. All of it is pure; the
//! [controller](crate::controller) carries it out.
//!
//! | file | holds |
//! |---|---|
//! | `accept` | whether a maintenance is accepted |
//! | `intent` | which record its node should carry |
//! | `status` | what its status says |

pub(crate) mod accept;
pub(crate) mod intent;
pub(crate) mod status;

pub use accept::{Accepted, Decision, OptionsOrigin, Refused, actor, decide, managed_by_another, understand};
pub use status::condition;

pub use crate::model::{
    Blocking, NodeMaintenance, NodeMaintenanceSpec, NodeMaintenanceStatus, Phase, Ticket, Trouble, TroubleReason,
    custom_resource_definition,
};
