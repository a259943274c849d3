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
