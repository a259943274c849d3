//! A `PodDisruptionBudget`, trimmed.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1;
use kube::core::{Selector, SelectorExt};
use schemars::JsonSchema;
use serde::Serialize;

use super::{ObjectKey, Pod, Uid};

/// What the engine knows of a `PodDisruptionBudget`.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.selector`: `None` selects no pod; an empty one selects all of the namespace.
    pub selector: Option<Selector>,
    /// `spec.unhealthyPodEvictionPolicy`.
    pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.disruptionsAllowed`.
    pub disruptions_allowed: i32,
    /// `status.currentHealthy`.
    pub current_healthy: i32,
    /// `status.desiredHealthy`.
    pub desired_healthy: i32,
    /// `status.expectedPods`.
    pub expected_pods: i32,
    /// `status.disruptedPods`: names of pods whose eviction was accepted and that are not seen to go yet.
    pub disrupted_pods: Vec<String>,
    /// Message of the condition `DisruptionAllowed` where its reason is `SyncFailed`: Kubernetes cannot work the budget
    /// out.
    pub sync_failed: Option<String>,
}

/// `spec.unhealthyPodEvictionPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub enum UnhealthyPodEvictionPolicy {
    /// An unready pod may go only while enough others are healthy.
    #[default]
    IfHealthyBudget,
    /// An unready pod may always go.
    AlwaysAllow,
}

impl Budget {
    /// Whether the budget covers that pod.
    #[must_use]
    pub fn covers(&self, pod: &Pod) -> bool {
        self.key.namespace == pod.key.namespace
            && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }

    /// Whether its status speaks of its present spec.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.observed_generation >= self.generation
    }

    /// Whether it allows nothing although every pod it expects is healthy: no waiting changes that
    /// (the predicate is gardener's `isMisconfiguredPdb`).
    #[must_use]
    pub fn never_allows(&self) -> bool {
        self.is_current()
            && self.expected_pods > 0
            && self.current_healthy >= self.expected_pods
            && self.disrupted_pods.is_empty()
            && self.disruptions_allowed == 0
    }
}

impl From<v1::PodDisruptionBudget> for Budget {
    fn from(budget: v1::PodDisruptionBudget) -> Self {
        let metadata = budget.metadata;
        let spec = budget.spec.unwrap_or_default();
        let status = budget.status.unwrap_or_default();
        Self {
            key: ObjectKey::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()),
            uid: Uid(metadata.uid.unwrap_or_default()),
            resource_version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or(0),
            // The API server has validated it; one that does not convert selects nothing, as there.
            selector: spec.selector.and_then(|selector| Selector::try_from(selector).ok()),
            unhealthy_pod_eviction_policy: match spec.unhealthy_pod_eviction_policy.as_deref() {
                Some("AlwaysAllow") => UnhealthyPodEvictionPolicy::AlwaysAllow,
                _ => UnhealthyPodEvictionPolicy::IfHealthyBudget,
            },
            observed_generation: status.observed_generation.unwrap_or(0),
            disruptions_allowed: status.disruptions_allowed.unwrap_or(0),
            current_healthy: status.current_healthy.unwrap_or(0),
            desired_healthy: status.desired_healthy.unwrap_or(0),
            expected_pods: status.expected_pods.unwrap_or(0),
            disrupted_pods: status.disrupted_pods.map(BTreeMap::into_keys).into_iter().flatten().collect(),
            sync_failed: status
                .conditions
                .into_iter()
                .flatten()
                .find(|condition| condition.type_ == "DisruptionAllowed" && condition.reason == "SyncFailed")
                .map(|condition| condition.message),
        }
    }
}
