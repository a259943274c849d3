//! The order in which workloads leave: what others need to leave goes later.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    classify::has_kubevirt_label,
    names::{HOTPLUG_DISK, SERVE_EVICTION, VIRT_LAUNCHER},
};
use crate::{
    model::{ObjectKey, Pod},
    names::CRITICAL_PRIORITY,
};

/// When a workload leaves: those of a tier start when the tiers before it have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum Tier {
    /// VMs and ordinary pods.
    First,
    /// Pods of priority 1,000,000,000 and above, and those that serve eviction itself: KubeVirt's webhook fails closed.
    Critical,
    /// The pod of Careen that carries the drain out.
    OwnPod,
}

/// The tier of a pod; `own_pod` is the one that this process runs in, if it runs in one.
#[must_use]
pub fn tier(pod: &Pod, own_pod: Option<&ObjectKey>) -> Tier {
    if own_pod == Some(&pod.key) {
        Tier::OwnPod
    } else if has_kubevirt_label(pod, VIRT_LAUNCHER) || has_kubevirt_label(pod, HOTPLUG_DISK) {
        // Whatever its priority, a VM needs virt-api and virt-controller to leave.
        Tier::First
    } else if pod.priority >= CRITICAL_PRIORITY || SERVE_EVICTION.iter().any(|part| has_kubevirt_label(pod, part)) {
        Tier::Critical
    } else {
        Tier::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{launcher, pod};

    #[test]
    fn what_serves_eviction_leaves_after_what_needs_it() {
        let own = ObjectKey::new("careen", "careen-0");
        let tier = |pod: Pod| super::tier(&pod, Some(&own));
        assert_eq!(tier(pod("shop", "web")), Tier::First);
        assert_eq!(tier(launcher("shop", "db").priority(2_000_000_000)), Tier::First);
        assert_eq!(tier(pod("kube-system", "dns").priority(CRITICAL_PRIORITY)), Tier::Critical);
        assert_eq!(tier(pod("kubevirt", "virt-api").label("kubevirt.io", "virt-api")), Tier::Critical);
        assert_eq!(tier(pod("careen", "careen-0").priority(2_000_000_000)), Tier::OwnPod);
        assert!(Tier::First < Tier::Critical && Tier::Critical < Tier::OwnPod);
    }
}
