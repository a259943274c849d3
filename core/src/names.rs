//! The names that Careen uses in a cluster: other people's tools rely on them.

/// Annotation on a Node that holds what was done to it ([`crate::node::Record`], as JSON).
pub const RECORD_ANNOTATION: &str = "careen.dev/record";

/// Finalizer on a `NodeMaintenance`: it goes when the node is restored.
pub const FINALIZER: &str = "careen.dev/restore-node";

/// Label on objects that Careen makes: the UID of the maintenance or the id of the drain they belong to.
pub const ACTOR_LABEL: &str = "careen.dev/actor";

/// Who writes: field manager, user agent, and the reporter of Events.
pub const FIELD_MANAGER: &str = "careen";

/// Key of the taint that a maintenance adds (effect `NoSchedule`); a setting of the server changes it.
pub const DRAIN_TAINT_KEY: &str = "medik8s.io/drain";

/// Namespace of the node Leases that the medik8s operators honour.
pub const NODE_LEASE_NAMESPACE: &str = "medik8s-leases";

/// KubeVirt's default `nodeDrainTaintKey`. Careen never writes it: it makes KubeVirt evacuate every VM of the node
/// without being asked, and defeats cancelling.
pub const KUBEVIRT_DRAIN_TAINT_KEY: &str = "kubevirt.io/drain";

/// Pods of at least this priority leave after the others (`system-cluster-critical` is 2,000,000,000;
/// user-defined priorities end at 1,000,000,000).
pub const CRITICAL_PRIORITY: i32 = 1_000_000_000;

/// Annotation on what was made for somebody: who asked the service for it. No proof for objects made by other means.
pub const REQUESTED_BY_ANNOTATION: &str = "careen.dev/requested-by";

/// Label on the `ConfigMap`s in Careen's namespace that are drain orders; its value is `true`.
pub const DRAIN_ORDER_LABEL: &str = "careen.dev/drain-order";

/// Label on the `ConfigMap`s in Careen's namespace that are receipts; its value is `true`.
pub const RECEIPT_LABEL: &str = "careen.dev/receipt";

/// Annotation on a `NodeMaintenance` that was asked for under a key: the name of the receipt.
pub const RECEIPT_ANNOTATION: &str = "careen.dev/receipt";

/// The longest name of an object that is a DNS subdomain.
const LONGEST_NAME: usize = 253;

/// The name that the maintenance of a node has if nobody names it otherwise.
#[must_use]
pub fn usual_maintenance(node: &str) -> String {
    shortened(node, "-maintenance")
}

/// A name and an ending; where both are too long for Kubernetes, the name is cut short and made unique by its hash.
#[must_use]
pub fn shortened(name: &str, ending: &str) -> String {
    if name.len() + ending.len() <= LONGEST_NAME {
        return format!("{name}{ending}");
    }
    let hash = format!("-{:016x}", fnv1a(name));
    let mut kept = name;
    while kept.len() + hash.len() + ending.len() > LONGEST_NAME || kept.ends_with(['.', '-']) {
        let Some((last, _)) = kept.char_indices().next_back() else { break };
        kept = &kept[..last];
    }
    format!("{kept}{hash}{ending}")
}

/// FNV-1a, 64 bits: names must be the same from every replica and every version.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_cut_short_and_stays_unique() {
        assert_eq!(shortened("node02", "-maintenance"), "node02-maintenance");
        let just_fits = "a".repeat(LONGEST_NAME - 12);
        assert_eq!(shortened(&just_fits, "-maintenance").len(), LONGEST_NAME);
        let (one, other) =
            (format!("{}.{}", "a".repeat(222), "b".repeat(30)), format!("{}.{}", "a".repeat(222), "c".repeat(30)));
        let (one, other) = (shortened(&one, "-maintenance"), shortened(&other, "-maintenance"));
        assert_ne!(one, other);
        for name in [one, other] {
            assert!(name.len() <= LONGEST_NAME && name.ends_with("-maintenance") && !name.contains(".-"), "{name}");
            assert!(name.parse::<crate::model::NodeName>().is_ok(), "{name}");
        }
    }
}
