//! The kinds of Kubernetes that the actors know.

use super::view::Kind;

const fn namespaced(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural, namespaced: true }
}

/// `v1`
pub const POD: Kind = namespaced("", "v1", "Pod", "pods");
/// `v1`
pub const NODE: Kind = Kind { group: "", version: "v1", kind: "Node", plural: "nodes", namespaced: false };
/// `v1`
pub const NAMESPACE: Kind =
    Kind { group: "", version: "v1", kind: "Namespace", plural: "namespaces", namespaced: false };
/// `v1`
pub const SERVICE: Kind = namespaced("", "v1", "Service", "services");
/// `v1`
pub const CONFIG_MAP: Kind = namespaced("", "v1", "ConfigMap", "configmaps");
/// `v1`
pub const SECRET: Kind = namespaced("", "v1", "Secret", "secrets");
/// `v1`
pub const PERSISTENT_VOLUME_CLAIM: Kind = namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
/// `v1`
pub const REPLICATION_CONTROLLER: Kind = namespaced("", "v1", "ReplicationController", "replicationcontrollers");
/// `apps/v1`
pub const DEPLOYMENT: Kind = namespaced("apps", "v1", "Deployment", "deployments");
/// `apps/v1`
pub const REPLICA_SET: Kind = namespaced("apps", "v1", "ReplicaSet", "replicasets");
/// `apps/v1`
pub const DAEMON_SET: Kind = namespaced("apps", "v1", "DaemonSet", "daemonsets");
/// `apps/v1`
pub const STATEFUL_SET: Kind = namespaced("apps", "v1", "StatefulSet", "statefulsets");
/// `apps/v1`
pub const CONTROLLER_REVISION: Kind = namespaced("apps", "v1", "ControllerRevision", "controllerrevisions");
/// `batch/v1`
pub const JOB: Kind = namespaced("batch", "v1", "Job", "jobs");
/// `batch/v1`
pub const CRON_JOB: Kind = namespaced("batch", "v1", "CronJob", "cronjobs");
/// `policy/v1`
pub const POD_DISRUPTION_BUDGET: Kind = namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
/// `coordination.k8s.io/v1`
pub const LEASE: Kind = namespaced("coordination.k8s.io", "v1", "Lease", "leases");

impl Kind {
    /// `v1`, `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As messages name it: `pods`, `daemonsets.apps`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}
