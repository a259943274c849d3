//! Drain orders, for tests.

use jiff::Timestamp;

use super::{at, node_name, uid};
use crate::model::{DrainOrder, DrainRequest, DrainSpec, DrainStatus};

/// An order to drain that node, made a second into the year, which nobody has taken up.
#[must_use]
pub fn drain_order(id: &str, node: &str) -> DrainOrder {
    let node = node_name(node);
    DrainOrder {
        name: DrainOrder::name_for(&node),
        uid: uid("order", node.as_str()),
        resource_version: "1".to_owned(),
        request: DrainRequest {
            id: id.into(),
            node_uid: uid("node", node.as_str()),
            node,
            requested_by: None,
            options: DrainSpec::default(),
            created_at: at(1),
            cancel: None,
        },
        status: DrainStatus { id: id.into(), ..DrainStatus::default() },
    }
}

impl DrainOrder {
    /// Taken up by the leader then.
    #[must_use]
    pub fn begun(mut self, time: Timestamp) -> Self {
        self.status.started_at = Some(time);
        self
    }
}
