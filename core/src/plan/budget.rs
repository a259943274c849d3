//! Budgets: which one a pod's eviction asks, and what it answers.
//!
//! The rules are the eviction API's: `pkg/registry/core/pod/storage/eviction.go` in Kubernetes.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Block, BlockReason,
    classify::{is_launcher, vmi_of},
    launcher::{is_guarded_by_webhook, strategy_of},
};
use crate::{
    cluster::Snapshot,
    model::{
        Budget, ObjectKey, Pod, PodPhase, UnhealthyPodEvictionPolicy,
        virtual_machine::{EvictionStrategy, LiveMigratable},
    },
};

/// Which budget the eviction of a pod asks.
#[derive(Clone, Debug)]
pub enum BudgetRule {
    /// None: no budget covers the pod, or it may go whatever they say.
    NotAsked,
    /// This one.
    One(Arc<Budget>),
    /// More than one covers it (their names): the API refuses that for ever.
    Several(Vec<String>),
}

/// Which budget the eviction of that pod asks.
#[must_use]
pub fn budget_rule(pod: &Pod, snapshot: &Snapshot) -> BudgetRule {
    if pod.deletion.is_some() || pod.is_finished() || pod.phase == PodPhase::Pending {
        return BudgetRule::NotAsked;
    }
    if is_launcher(pod) && webhook_refuses(pod, snapshot) {
        return BudgetRule::NotAsked;
    }
    let mut covering = snapshot.budgets_covering(pod);
    match (covering.next(), covering.next()) {
        (None, _) => BudgetRule::NotAsked,
        (Some(budget), None) if !pod.ready && lets_unready_go(budget) => BudgetRule::NotAsked,
        (Some(budget), None) => BudgetRule::One(Arc::clone(budget)),
        (Some(_), Some(_)) => {
            BudgetRule::Several(snapshot.budgets_covering(pod).map(|budget| budget.key.name.clone()).collect())
        }
    }
}

/// What keeps a budget from letting one more healthy pod go now.
#[must_use]
pub fn budget_obstacle(budget: &Budget) -> Option<Block> {
    let key = &budget.key;
    // First: where Kubernetes cannot work a budget out it does not say that it has observed it either.
    if let Some(message) = &budget.sync_failed {
        let message = format!("Kubernetes cannot work budget {key} out: {message}; change its selector or delete it");
        return Some(Block::new(BlockReason::BudgetSyncFailed, message));
    }
    if !budget.is_current() {
        let message = format!("budget {key} was changed, and Kubernetes has not worked it out again yet");
        return Some(Block::new(BlockReason::BudgetNotObserved, message));
    }
    if budget.never_allows() {
        let message = format!(
            "budget {key} allows no disruption even with all of its {} pods healthy: change it, or run more pods",
            budget.expected_pods
        );
        return Some(Block::new(BlockReason::BudgetNeverAllows, message));
    }
    if budget.disruptions_allowed <= 0 {
        let message =
            format!("budget {key} needs {} healthy pods and has {}", budget.desired_healthy, budget.current_healthy);
        return Some(Block::new(BlockReason::BudgetExhausted, message));
    }
    None
}

/// What budgets still allow while pods are taken one after the other, none of which is seen to go yet.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    taken: BTreeMap<ObjectKey, i32>,
}

impl Allowances {
    /// Takes one disruption for that pod from the budget that its eviction asks; or says why there is none for it.
    pub fn take(&mut self, pod: &Pod, snapshot: &Snapshot) -> Result<(), Block> {
        let budget = match budget_rule(pod, snapshot) {
            BudgetRule::NotAsked => return Ok(()),
            BudgetRule::One(budget) => budget,
            BudgetRule::Several(names) => return Err(several_budgets(pod, &names)),
        };
        if let Some(block) = budget_obstacle(&budget) {
            return Err(block);
        }
        let taken = self.taken.entry(budget.key.clone()).or_default();
        if *taken >= budget.disruptions_allowed {
            let others = if *taken == 1 { "1 other pod".to_owned() } else { format!("{taken} other pods") };
            let message = format!("it goes after {others} of budget {}", budget.key);
            return Err(Block::new(BlockReason::BudgetShared, message));
        }
        *taken += 1;
        Ok(())
    }
}

/// What is in the way of a pod that more than one budget covers.
#[must_use]
pub fn several_budgets(pod: &Pod, names: &[String]) -> Block {
    let message = format!(
        "pod {} is covered by {} budgets ({}), which Kubernetes does not support: let only one of them select it",
        pod.key,
        names.len(),
        names.join(", ")
    );
    Block::new(BlockReason::SeveralBudgets, message)
}

fn lets_unready_go(budget: &Budget) -> bool {
    match budget.unhealthy_pod_eviction_policy {
        UnhealthyPodEvictionPolicy::AlwaysAllow => true,
        UnhealthyPodEvictionPolicy::IfHealthyBudget => {
            budget.desired_healthy > 0 && budget.current_healthy >= budget.desired_healthy
        }
    }
}

/// Whether KubeVirt's webhook answers the eviction itself, before any budget is looked at.
fn webhook_refuses(launcher: &Pod, snapshot: &Snapshot) -> bool {
    if !is_guarded_by_webhook(launcher) {
        return false;
    }
    let Some(vmi) = vmi_of(launcher, snapshot) else { return true };
    match strategy_of(vmi, snapshot) {
        EvictionStrategy::None => false,
        EvictionStrategy::LiveMigrateIfPossible => vmi.live_migratable == LiveMigratable::Yes,
        EvictionStrategy::LiveMigrate | EvictionStrategy::External | EvictionStrategy::Unknown(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{at, budget, launcher, pod, vmi};

    fn web() -> Pod {
        pod("shop", "web-1").label("app", "web")
    }

    fn web_budget() -> Budget {
        budget("shop", "web").selecting("app", "web")
    }

    fn asked(pod: &Pod, snapshot: &Snapshot) -> Vec<String> {
        match budget_rule(pod, snapshot) {
            BudgetRule::NotAsked => vec![],
            BudgetRule::One(budget) => vec![budget.key.name.clone()],
            BudgetRule::Several(names) => names,
        }
    }

    #[test]
    fn pods_that_do_not_run_ask_no_budget() {
        let snapshot = Snapshot::default().with(web_budget()).with(budget("shop", "all").selecting_all());
        assert_eq!(asked(&web(), &snapshot), ["all", "web"]);
        for bypassing in [web().pending(), web().finished(), web().terminating(at(30))] {
            assert!(asked(&bypassing, &snapshot).is_empty());
        }
        assert!(asked(&pod("other", "web").label("app", "web"), &snapshot).is_empty());
    }

    #[test]
    fn an_unready_pod_asks_by_the_budgets_policy() {
        let asks = |budget: Budget| !asked(&web().unready(), &Snapshot::default().with(budget)).is_empty();
        assert!(asks(web_budget().needing(3, 2, 3)));
        assert!(!asks(web_budget().needing(3, 2, 3).letting_unready_go()));
        assert!(!asks(web_budget().needing(2, 2, 3)));
        assert!(asks(web_budget().needing(0, 0, 1)));
    }

    #[test]
    fn a_vm_that_the_webhook_answers_for_asks_no_budget() {
        use EvictionStrategy::{External, LiveMigrate, LiveMigrateIfPossible, None};
        let asks = |vmi, launcher: &Pod| {
            let snapshot = Snapshot::default().with(vmi).with(budget("shop", "all").selecting_all());
            !asked(launcher, &snapshot).is_empty()
        };
        let db = || vmi("shop", "db");
        let pod = launcher("shop", "db");
        assert!(asks(db(), &pod));
        assert!(asks(db().strategy(None), &pod));
        assert!(asks(db().strategy(LiveMigrateIfPossible).not_migratable(), &pod));
        assert!(!asks(db().strategy(LiveMigrateIfPossible), &pod));
        assert!(!asks(db().strategy(LiveMigrate).not_migratable(), &pod));
        assert!(!asks(db().strategy(External), &pod));
        assert!(asks(db().strategy(LiveMigrate), &pod.clone().named("my-launcher")));
    }

    #[test]
    fn an_obstacle_is_named_by_what_can_help() {
        let mut failed = web_budget().needing(2, 2, 3).not_observed();
        failed.sync_failed = Some("no controller found".into());
        let mut confirming = web_budget().needing(2, 3, 3);
        confirming.disruptions_allowed = 0;
        confirming.disrupted_pods = vec!["web-2".into()];
        for (budget, expected) in [
            (web_budget().needing(2, 3, 3), None),
            (web_budget().needing(2, 2, 3), Some(BlockReason::BudgetExhausted)),
            (web_budget().needing(3, 3, 3), Some(BlockReason::BudgetNeverAllows)),
            (web_budget().needing(3, 2, 3), Some(BlockReason::BudgetExhausted)),
            (web_budget().not_observed(), Some(BlockReason::BudgetNotObserved)),
            (confirming, Some(BlockReason::BudgetExhausted)),
            (failed, Some(BlockReason::BudgetSyncFailed)),
        ] {
            assert_eq!(budget_obstacle(&budget).map(|block| block.reason), expected, "{budget:?}");
        }
        let block = budget_obstacle(&web_budget().needing(2, 2, 3)).unwrap();
        assert_eq!(block.message, "budget shop/web needs 2 healthy pods and has 2");
    }

    #[test]
    fn pods_of_one_budget_are_counted_in_order() {
        let snapshot = Snapshot::default().with(web_budget().allowing(1));
        let mut allowances = Allowances::default();
        assert!(allowances.take(&web(), &snapshot).is_ok());
        let block = allowances.take(&web().named("web-2"), &snapshot).unwrap_err();
        assert_eq!(block.reason, BlockReason::BudgetShared);
        assert_eq!(block.message, "it goes after 1 other pod of budget shop/web");
        assert!(allowances.take(&pod("shop", "db"), &snapshot).is_ok());
    }
}
