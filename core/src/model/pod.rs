//! A Pod, trimmed.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{api::core::v1, apimachinery::pkg::apis::meta::v1::OwnerReference};
use schemars::JsonSchema;
use serde::Serialize;

use super::{NodeName, ObjectKey, Scheduling, Uid};

/// What the engine knows of a Pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The few annotations that decisions look at ([`Pod::KEPT_ANNOTATIONS`]).
    pub annotations: BTreeMap<String, String>,
    /// `metadata.ownerReferences`.
    pub owners: Vec<Owner>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// Set while the pod terminates.
    pub deletion: Option<Deletion>,
    /// `spec.nodeName`; `None` while it is not bound.
    pub node: Option<NodeName>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// The condition `Ready`.
    pub ready: bool,
    /// `spec.priority`.
    pub priority: i32,
    /// Whether one of its volumes is an `emptyDir`.
    pub has_empty_dir: bool,
    /// `spec.terminationGracePeriodSeconds`.
    pub termination_grace: Duration,
    /// What the scheduler would look at.
    pub scheduling: Scheduling,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
    /// `uid`.
    pub uid: Uid,
    /// `controller`.
    pub is_controller: bool,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PodPhase {
    /// Accepted, not running yet.
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// The kubelet cannot tell.
    Unknown,
}

/// A pod that terminates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// `metadata.deletionTimestamp`: when its grace ends.
    pub deadline: Timestamp,
    /// `metadata.deletionGracePeriodSeconds`.
    pub grace: Duration,
}

impl Pod {
    /// Marks the kubelet's own copy of a static pod.
    pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
    /// On a virt-launcher pod: the VMI's name. KubeVirt's eviction webhook looks at nothing without it.
    pub const DOMAIN_ANNOTATION: &str = "kubevirt.io/domain";
    /// On the target pod of a live migration: the migration's name.
    pub const MIGRATION_ANNOTATION: &str = "kubevirt.io/migrationJobName";
    /// The annotations that are kept.
    pub const KEPT_ANNOTATIONS: [&str; 3] =
        [Self::MIRROR_ANNOTATION, Self::DOMAIN_ANNOTATION, Self::MIGRATION_ANNOTATION];

    /// The controlling owner, if any.
    #[must_use]
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.is_controller)
    }

    /// Whether all its containers have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }
}

impl From<v1::Pod> for Pod {
    fn from(pod: v1::Pod) -> Self {
        let metadata = pod.metadata;
        let spec = pod.spec.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let grace =
            |seconds: Option<i64>| Duration::from_secs(seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0));
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let annotations = metadata.annotations.unwrap_or_default();
        Self {
            key: ObjectKey::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()),
            uid: Uid(metadata.uid.unwrap_or_default()),
            resource_version: metadata.resource_version.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: annotations
                .into_iter()
                .filter(|(key, _)| Self::KEPT_ANNOTATIONS.contains(&key.as_str()))
                .collect(),
            owners: metadata.owner_references.unwrap_or_default().into_iter().map(Owner::from).collect(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            deletion: metadata
                .deletion_timestamp
                .map(|time| Deletion { deadline: time.0, grace: grace(metadata.deletion_grace_period_seconds) }),
            scheduling: Scheduling::from_spec(&spec),
            node: spec.node_name.and_then(|name| name.parse().ok()),
            phase: match status.phase.as_deref() {
                Some("Running") => PodPhase::Running,
                Some("Succeeded") => PodPhase::Succeeded,
                Some("Failed") => PodPhase::Failed,
                Some("Unknown") => PodPhase::Unknown,
                _ => PodPhase::Pending,
            },
            ready,
            priority: spec.priority.unwrap_or(0),
            has_empty_dir: spec.volumes.iter().flatten().any(|volume| volume.empty_dir.is_some()),
            termination_grace: grace(Some(spec.termination_grace_period_seconds.unwrap_or(30))),
        }
    }
}

impl From<OwnerReference> for Owner {
    fn from(owner: OwnerReference) -> Self {
        Self {
            api_version: owner.api_version,
            kind: owner.kind,
            name: owner.name,
            uid: Uid(owner.uid),
            is_controller: owner.controller.unwrap_or(false),
        }
    }
}
