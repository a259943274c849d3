//! What Careen costs the API server. These run alone: every request of Careen's is counted.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use careen_tests::{audit::Request, case::Case};
use serde_json::json;

pub async fn thirty_pods_cost_few_requests(case: Case) {
    const PODS: usize = 30;
    let a = case.node("a").await;
    case.deployment("web", 30, 5).await;
    case.ready_on(&a, PODS).await;
    case.node("b").await;
    let history = case.history(&format!("{a}-maintenance"));
    let audit = case.suite.audit();
    let (mark, started) = (audit.mark(), Instant::now());
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let requests = audit.since(mark).of_careen().counted();
    let seconds = history.seconds_with_changes(started);
    // Where somebody else has written at the same moment (a kubelet does so every 2 s), Careen looks and writes again:
    // two requests more for each. There are one or two at most; a storm of them is not let pass.
    let conflicts = requests.clone().that(|request| request.code() == 409).len().min(5);
    let allowed = PODS + 15 + seconds.div_ceil(2) + 2 * conflicts;
    let summary = requests.summary();
    print!("[{} requests, {allowed} allowed] ", requests.len());
    assert!(requests.len() <= allowed, "{} requests, {allowed} allowed:\n{summary}", requests.len());
    let evictions = case.evictions();
    assert_eq!((evictions.count(), evictions.answered(201)), (PODS, PODS), "{:?}", evictions.0);
}

pub async fn a_budget_of_one_is_asked_once_a_pod(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 20, 1).await;
    case.ready_on(&a, 20).await;
    case.budget("one", "web", json!({"maxUnavailable": 1}), 1).await;
    case.node("b").await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let evictions = case.evictions();
    evictions.assert_none_accepted_twice();
    let (accepted, refused) = (evictions.answered(201), evictions.count() - evictions.answered(201));
    assert_eq!(accepted, 20);
    assert!(refused <= 2, "{refused} evictions were refused: {:?}", evictions.0);
}

pub async fn an_idle_careen_asks_for_nothing(case: Case) {
    let a = case.node("a").await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    let history = case.history(&name);
    let audit = case.suite.audit();
    // What belongs to the end of the drain.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mark = audit.mark();
    tokio::time::sleep(Duration::from_secs(8)).await;
    // A watch that was ended begins with a list, once: lists that repeat themselves count.
    let mut listed = BTreeSet::new();
    let mut begins = |request: &Request| request.verb == "list" && listed.insert(request.resource());
    let requests = audit.since(mark).of_careen().counted().that(|request| !begins(request));
    // One node Lease may be renewed, and counts once.
    assert!(requests.len() <= 1, "{requests}");
    assert_eq!(history.statuses().len(), 1, "its status changes: {:?}", history.statuses());
}

pub async fn health_and_metrics_are_served(case: Case) {
    let a = case.node("a").await;
    case.pod("bare", &a, json!({})).await;
    case.ready_on(&a, 1).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    for page in ["/livez", "/readyz"] {
        assert_eq!(case.suite.careen_page(page).await.unwrap().0, 200, "{page}");
    }
    let (code, metrics) = case.suite.careen_page("/metrics").await.unwrap();
    assert_eq!(code, 200);
    assert!(metrics.contains("# EOF"), "OpenMetrics ends with # EOF:\n{metrics}");
    for subject in ["evictions", "requests", "maintenances", "leader"] {
        let is_there = metrics.lines().any(|line| line.starts_with("# TYPE careen_") && line.contains(subject));
        assert!(is_there, "nothing about {subject}:\n{metrics}");
    }
}
