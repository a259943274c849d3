//! Maintenances, for tests.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{at, uid};
use crate::model::{NodeMaintenance, NodeMaintenanceStatus};

/// A `NodeMaintenance` for that node that nobody has decided on yet.
#[must_use]
pub fn maintenance(name: &str, node: &str) -> NodeMaintenance {
    let mut maintenance = NodeMaintenance::default();
    maintenance.metadata.name = Some(name.to_owned());
    maintenance.metadata.uid = Some(uid("maintenance", name).0);
    maintenance.metadata.generation = Some(1);
    maintenance.metadata.creation_timestamp = Some(Time(at(0)));
    node.clone_into(&mut maintenance.spec.node_name);
    maintenance
}

impl NodeMaintenance {
    /// Created then.
    #[must_use]
    pub fn created_at(mut self, time: Timestamp) -> Self {
        self.metadata.creation_timestamp = Some(Time(time));
        self
    }

    /// With the condition `Accepted`, true or false.
    #[must_use]
    pub fn decided(mut self, accepted: bool) -> Self {
        let observed_generation = self.metadata.generation;
        let status = self.status.get_or_insert_with(NodeMaintenanceStatus::default);
        status.observed_generation = observed_generation;
        status.conditions.push(Condition {
            type_: "Accepted".to_owned(),
            status: if accepted { "True" } else { "False" }.to_owned(),
            reason: "Decided".to_owned(),
            message: String::new(),
            last_transition_time: Time(at(0)),
            observed_generation,
        });
        self
    }

    /// Being deleted.
    #[must_use]
    pub fn stopping(mut self, time: Timestamp) -> Self {
        self.metadata.deletion_timestamp = Some(Time(time));
        self
    }
}
