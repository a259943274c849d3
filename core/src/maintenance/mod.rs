//! The `NodeMaintenance` resource and the controller that carries it out.
//!
//! | file | holds |
//! |---|---|
//! | `resource` | the resource and its CustomResourceDefinition |
//! | `accept` | whether a maintenance is accepted; pure |
//! | `intent` | which record its node should carry; pure |
//! | `status` | what its status says; pure |
//! | `controller` | stands for election and leads |
//! | `supervisor` | who works on what |
//! | `worker` | one accepted maintenance, from its start to its end |
//! | `steps`, `stop` | how its node goes out of service, and comes back |
//! | `cancel` | takes back what was asked of KubeVirt |
//! | `report` | how a maintenance tells people how it is doing |
//! | `orphans` | records on nodes whose maintenance is gone |
//! | `news` | Kubernetes Events |
//! | `requests`, `overlay`, `context` | writes to the resource, what was just written, what all parts need |

mod accept;
mod cancel;
mod context;
mod controller;
mod intent;
mod news;
mod orphans;
mod overlay;
mod report;
mod requests;
mod resource;
mod status;
mod steps;
mod stop;
mod supervisor;
mod worker;

pub use accept::{Accepted, Decision, OptionsOrigin, Refused, actor, decide, managed_by_another, understand};
pub use context::Settings;
pub use controller::Controller;
pub use news::News;
pub use resource::{
    Blocking, NodeMaintenance, NodeMaintenanceSpec, NodeMaintenanceStatus, Phase, Ticket, custom_resource_definition,
};
pub use status::condition;

#[cfg(test)]
mod tests;
