//! A `PodDisruptionBudget`, as people see it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{BlockView, Views};
use crate::{
    model::{Budget, ObjectKey, Pod, Uid, UnhealthyPodEvictionPolicy},
    plan::budget_obstacle,
};

/// A `PodDisruptionBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Budget")]
pub struct BudgetView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
    /// How many of its pods may go now.
    pub disruptions_allowed: i32,
    /// How many are healthy.
    pub current_healthy: i32,
    /// How many have to be.
    pub desired_healthy: i32,
    /// How many there should be.
    pub expected_pods: i32,
    /// Whether unready pods may always go.
    pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy,
    /// What keeps it from letting one more healthy pod go.
    pub obstacle: Option<BlockView>,
}

impl BudgetView {
    pub(super) fn of(budget: &Budget) -> Self {
        Self {
            namespace: budget.key.namespace.clone(),
            name: budget.key.name.clone(),
            uid: budget.uid.clone(),
            disruptions_allowed: budget.disruptions_allowed,
            current_healthy: budget.current_healthy,
            desired_healthy: budget.desired_healthy,
            expected_pods: budget.expected_pods,
            unhealthy_pod_eviction_policy: budget.unhealthy_pod_eviction_policy,
            obstacle: budget_obstacle(budget).map(|block| BlockView::of(&block, None)),
        }
    }
}

impl Views {
    /// The budget of that namespace and name.
    #[must_use]
    pub fn budget(&self, key: &ObjectKey) -> Option<BudgetView> {
        self.snapshot.budget(key).map(|budget| BudgetView::of(budget))
    }

    /// The pods that a budget covers, by name.
    pub fn pods_of_budget<'a>(&'a self, key: &'a ObjectKey) -> impl Iterator<Item = &'a Arc<Pod>> {
        let budget = self.snapshot.budget(key);
        budget
            .into_iter()
            .flat_map(|budget| self.snapshot.pods_in(&key.namespace).filter(move |pod| budget.covers(pod)))
    }
}
