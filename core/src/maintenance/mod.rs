//! The `NodeMaintenance` resource and the controller that carries it out.

mod controller;
mod resource;

pub use controller::{Controller, Settings};
pub use resource::{
    Blocking, NodeMaintenance, NodeMaintenanceSpec, NodeMaintenanceStatus, Phase, Ticket, custom_resource_definition,
};
