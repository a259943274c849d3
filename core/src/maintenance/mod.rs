//! The `NodeMaintenance` resource and the controller that carries it out.

mod resource;

pub use resource::{
    Blocking, NodeMaintenance, NodeMaintenanceSpec, NodeMaintenanceStatus, Phase, Ticket, custom_resource_definition,
};
