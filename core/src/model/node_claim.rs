//! Who holds a node, as its Lease says.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use super::{NodeName, ObjectKey, Uid};
use crate::names::NODE_LEASE_NAMESPACE;

/// The name of a node's Lease, before that of the node.
const PREFIX: &str = "node-";
/// How long a Lease holds that does not say so.
const UNSTATED_DURATION: Duration = Duration::from_secs(60);
/// How far two hosts' clocks may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// A node Lease, for whoever only wants to know who holds it: nothing is taken because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClaim {
    /// The name of the Lease. Others than those of nodes may be beside them.
    pub lease: String,
    /// UID of the Lease.
    pub uid: Uid,
    /// Who holds it, or held it when it lapsed; `None` if it was given back.
    pub(crate) holder: Option<String>,
    /// When it lapses if it is not renewed; `None` if it never was.
    lapses_at: Option<Timestamp>,
}

impl NodeClaim {
    /// Where the Lease of a node is.
    #[must_use]
    pub fn key_of(node: &NodeName) -> ObjectKey {
        ObjectKey::new(NODE_LEASE_NAMESPACE, format!("{PREFIX}{node}"))
    }

    /// The node; `None` for a Lease that is about something else.
    #[must_use]
    pub fn node(&self) -> Option<NodeName> {
        self.lease.strip_prefix(PREFIX)?.parse().ok()
    }

    /// Who holds the node at that moment, and until when if they do not renew it.
    ///
    /// As the medik8s operators judge it, and [`decide_by_wall_clock`](crate::lease::decide_by_wall_clock): the time in
    /// it counts, with an allowance for clocks that differ.
    #[must_use]
    pub fn holder(&self, now: Timestamp) -> Option<(&str, Timestamp)> {
        let lapses_at = self.lapses_at?;
        let is_held = lapses_at.checked_add(CLOCK_SKEW).map_or(true, |lapsed| now < lapsed);
        self.holder.as_deref().filter(|_| is_held).map(|holder| (holder, lapses_at))
    }
}

impl From<Lease> for NodeClaim {
    fn from(lease: Lease) -> Self {
        let spec = lease.spec.unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(UNSTATED_DURATION, Duration::from_secs);
        Self {
            lease: lease.metadata.name.unwrap_or_default(),
            uid: Uid(lease.metadata.uid.unwrap_or_default()),
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            lapses_at: spec.renew_time.map(|renewed| renewed.0.checked_add(duration).unwrap_or(Timestamp::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        lease::{Decision, decide_by_wall_clock},
        model::testing::{at, node_name},
    };

    fn lease(spec: &serde_json::Value) -> Lease {
        serde_json::from_value(json!({ "metadata": { "name": "node-node02", "uid": "u" }, "spec": spec })).unwrap()
    }

    #[test]
    fn who_holds_it_is_who_would_be_waited_for() {
        let renewed = at(0).to_string();
        for spec in [
            json!({ "holderIdentity": "other", "leaseDurationSeconds": 30, "renewTime": renewed }),
            json!({ "holderIdentity": "other", "renewTime": renewed }),
            json!({ "holderIdentity": "", "leaseDurationSeconds": 30, "renewTime": renewed }),
            json!({ "holderIdentity": "other", "leaseDurationSeconds": 30 }),
            json!({ "holderIdentity": "other", "leaseDurationSeconds": i32::MAX, "renewTime": Timestamp::MAX.to_string() }),
            json!({}),
        ] {
            let claim = NodeClaim::from(lease(&spec));
            for seconds in [0, 29, 39, 40, 69, 70, 9000] {
                let decision = decide_by_wall_clock(Some(&lease(&spec)), "us", at(seconds));
                let is_held = matches!(decision, Decision::HeldBy { .. });
                assert_eq!(claim.holder(at(seconds)).is_some(), is_held, "{spec} at {seconds}");
            }
        }
    }

    #[test]
    fn another_lease_of_the_namespace_is_no_nodes() {
        let mut other = lease(&json!({}));
        other.metadata.name = Some("self-node-remediation".to_owned());
        assert_eq!(NodeClaim::from(other).node(), None);
        assert_eq!(NodeClaim::from(lease(&json!({}))).node(), Some(node_name("node02")));
    }
}
