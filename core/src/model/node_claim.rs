//! Who holds a node, as its Lease says.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use super::{NodeName, ObjectKey, Uid};
use crate::{clock::later, names::NODE_LEASE_NAMESPACE};

/// The name of a node's Lease, before that of the node.
const PREFIX: &str = "node-";
/// For a Lease that does not say how long it lasts.
const UNSTATED_DURATION: Duration = Duration::from_secs(60);
/// How far two hosts' clocks may be apart, where they are compared at all.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(10);

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
        let is_held = now < later(lapses_at, CLOCK_SKEW);
        self.holder.as_deref().filter(|_| is_held).map(|holder| (holder, lapses_at))
    }
}

impl From<Lease> for NodeClaim {
    fn from(lease: Lease) -> Self {
        Self {
            holder: lease_holder(&lease).map(str::to_owned),
            lapses_at: lease_expires_at(&lease),
            lease: lease.metadata.name.unwrap_or_default(),
            uid: Uid(lease.metadata.uid.unwrap_or_default()),
        }
    }
}

/// Who holds a Lease; `None` if it is free.
pub(crate) fn lease_holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

/// How long a Lease lasts.
pub(crate) fn lease_duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(UNSTATED_DURATION, Duration::from_secs)
}

/// When a Lease expires by its own fields; `None` if it was never renewed.
pub(crate) fn lease_expires_at(lease: &Lease) -> Option<Timestamp> {
    let renewed = lease.spec.as_ref()?.renew_time.as_ref()?.0;
    Some(later(renewed, lease_duration(lease)))
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
