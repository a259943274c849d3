//! Which pods leave, how, and what is said of those that do not.

use careen_tests::{
    case::{Case, blocking, summary},
    nodes::LEFT_ALONE,
    objects::{condition, kinds, list, text},
    wait::{check, soon},
};
use serde_json::json;

pub async fn finished_pods_are_deleted_and_pods_bound_to_the_node_stay(case: Case) {
    let a = case.node("a").await;
    case.daemon_set("agent").await;
    let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "0123"}}});
    case.pod("static", &a, mirror).await;
    for (name, phase) in [("succeeded", "Succeeded"), ("failed", "Failed")] {
        case.pod(name, &a, json!({"metadata": {"annotations": {LEFT_ALONE: "true"}}})).await;
        case.set_pod_phase(name, phase).await;
    }
    case.deployment("web", 1, 1).await;
    case.ready_on(&a, 3).await;
    // Deleting is the kubelet's work, which these two pods have none of.
    let name = case.maintain(&a).await;
    for finished in ["succeeded", "failed"] {
        soon(&format!("{finished} is deleted"), async || {
            let Some(pod) = case.cluster().find(kinds::POD, &case.namespace, finished).await else { return Ok(()) };
            check(!pod["metadata"]["deletionTimestamp"].is_null(), || pod["status"].to_string())
        })
        .await;
        case.cluster().delete_now(kinds::POD, &case.namespace, finished, None).await;
    }
    case.node("b").await;
    case.drained(&name).await;
    let left = case.names_on(&a).await;
    assert!(left.len() == 2 && left.iter().all(|pod| pod == "static" || pod.starts_with("agent")), "{left:?}");
    let evictions = case.evictions().0;
    let evicted: Vec<&String> = evictions.keys().filter(|pod| !pod.contains("/web-")).collect();
    assert_eq!(evicted, [] as [&String; 0], "only what runs and may leave is evicted");
}

pub async fn two_budgets_on_one_pod_are_stuck(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.deployment("free", 2, 1).await;
    case.ready_on(&a, 4).await;
    case.budget("one", "web", json!({"maxUnavailable": 1}), 1).await;
    case.budget("two", "web", json!({"maxUnavailable": 1}), 1).await;
    case.node("b").await;
    let name = case.maintain(&a).await;
    let stuck = case.until_condition(&name, "Stuck", "True").await;
    assert_eq!(text(&stuck, "/status/phase"), "Running", "{}", summary(&stuck));
    let pod = case.names_on(&a).await.into_iter().find(|pod| pod.starts_with("web")).unwrap();
    let entry = blocking(&stuck, "Pod", &pod).unwrap_or_else(|| panic!("{}", summary(&stuck)));
    assert_eq!((text(entry, "/class"), text(entry, "/reason")), ("Stuck", "SeveralBudgets"));
    let message = text(entry, "/message");
    assert!(message.contains("one") && message.contains("two"), "it names both budgets: {message}");
    // What is not stuck leaves all the same.
    case.until_maintenance(&name, "two pods are left", |found| found["status"]["blocked"] == json!(2)).await;
    soon("the others have left", async || {
        let left = case.names_on(&a).await;
        check(left.len() == 2, || format!("{left:?}"))
    })
    .await;
    case.cluster().delete(kinds::BUDGET, &case.namespace, "two").await;
    let drained = case.drained(&name).await;
    assert_ne!(condition(&drained, "Stuck"), "True", "{}", summary(&drained));
    case.evictions().assert_none_accepted_twice();
}

pub async fn a_budget_that_never_allows_is_stuck_until_it_is_changed(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 2).await;
    case.budget("never", "web", json!({"maxUnavailable": 0}), 0).await;
    case.node("b").await;
    let name = case.maintain(&a).await;
    let stuck = case.until_condition(&name, "Stuck", "True").await;
    let pod = &case.names_on(&a).await[0];
    let entry = blocking(&stuck, "Pod", pod).unwrap_or_else(|| panic!("{}", summary(&stuck)));
    assert_eq!((text(entry, "/class"), text(entry, "/reason")), ("Stuck", "BudgetNeverAllows"));
    assert!(text(entry, "/message").contains("never"), "it names the budget: {entry}");
    assert_eq!(text(&stuck, "/status/phase"), "Running");
    let refused = case.evictions().answered(429);
    assert!(refused <= 1, "{refused} evictions were asked for that the budget was known to forbid");
    let patch = json!({"spec": {"maxUnavailable": 1}});
    case.cluster().merge(kinds::BUDGET, &case.namespace, "never", patch).await;
    case.drained(&name).await;
    case.evictions().assert_none_accepted_twice();
}

pub async fn a_budget_that_allows_nothing_at_the_moment_is_waited_for(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 2).await;
    let b = case.node("b").await;
    // One that is not ready, on another node, uses up what the budget allows.
    case.pod("web-ill", &b, json!({"metadata": {"labels": {"app": "web"}, "annotations": {LEFT_ALONE: "true"}}})).await;
    case.set_pod_phase("web-ill", "Pending").await;
    case.budget("tight", "web", json!({"minAvailable": 2}), 0).await;
    let name = case.maintain(&a).await;
    let waits = case
        .until_maintenance(&name, "it waits for the budget", |found| {
            list(found, "/status/blocking").iter().any(|entry| text(entry, "/reason") == "BudgetExhausted")
        })
        .await;
    assert_ne!(condition(&waits, "Stuck"), "True", "waiting is not being stuck: {}", summary(&waits));
    let entry = &list(&waits, "/status/blocking")[0];
    assert!(text(entry, "/message").contains("tight"), "it names the budget: {entry}");
    let asked = case.evictions().count();
    assert!(asked <= 1, "{asked} evictions were asked for that the budget was known to forbid");
    case.set_pod_phase("web-ill", "Running").await;
    case.drained(&name).await;
    let evictions = case.evictions();
    evictions.assert_none_accepted_twice();
    assert_eq!(evictions.answered(201), 2, "{:?}", evictions.0);
}
