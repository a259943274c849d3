//! Budgets, for tests.

use kube::core::{Expression, Selector};

use super::uid;
use crate::model::{Budget, ObjectKey, UnhealthyPodEvictionPolicy};

/// A budget that covers no pod yet, is up to date, and allows one disruption: two of three healthy pods are needed.
#[must_use]
pub fn budget(namespace: &str, name: &str) -> Budget {
    Budget {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        resource_version: "1".to_owned(),
        generation: 1,
        selector: None,
        unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy::IfHealthyBudget,
        observed_generation: 1,
        disruptions_allowed: 1,
        current_healthy: 3,
        desired_healthy: 2,
        expected_pods: 3,
        disrupted_pods: Vec::new(),
        sync_failed: None,
    }
}

impl Budget {
    /// Covering the pods with that label (besides those conditions set before).
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        let expression = Expression::Equal(key.to_owned(), value.to_owned());
        self.selector.get_or_insert_default().extend([expression]);
        self
    }

    /// Covering every pod of its namespace.
    #[must_use]
    pub fn selecting_all(mut self) -> Self {
        self.selector = Some(Selector::default());
        self
    }

    /// Allowing so many disruptions now; it needs that many pods fewer than are healthy.
    #[must_use]
    pub fn allowing(mut self, disruptions: i32) -> Self {
        self.disruptions_allowed = disruptions;
        self.desired_healthy = self.current_healthy - disruptions;
        self
    }

    /// Needing so many healthy pods, having so many, and expecting so many; what it allows follows.
    #[must_use]
    pub fn needing(mut self, desired: i32, healthy: i32, expected: i32) -> Self {
        self.desired_healthy = desired;
        self.current_healthy = healthy;
        self.expected_pods = expected;
        self.disruptions_allowed = (healthy - desired).max(0);
        self
    }

    /// Changed since Kubernetes last worked it out.
    #[must_use]
    pub fn not_observed(mut self) -> Self {
        self.generation = self.observed_generation + 1;
        self
    }

    /// Letting unready pods go always.
    #[must_use]
    pub fn letting_unready_go(mut self) -> Self {
        self.unhealthy_pod_eviction_policy = UnhealthyPodEvictionPolicy::AlwaysAllow;
        self
    }
}
