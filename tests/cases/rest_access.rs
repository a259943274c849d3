//! The REST service: what rights cost and what they keep out, by every route that there is.

use std::time::{Duration, Instant};

use careen_tests::{audit::Requests, case::Case, objects::text};
use serde_json::{Value, json};

/// The operations that the contract names: method, and path with its places filled.
async fn operations(case: &Case, node: &str) -> Vec<(String, String)> {
    let contract = case.anonymous().get("/openapi.json").await.expect(200);
    let paths = contract["paths"].as_object().expect("a contract has paths");
    let filled = |path: &str| {
        path.replace("{node}", node).replace("{namespace}", &case.namespace).replace("{name}", &case.name("x"))
    };
    let methods = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
        methods.map(move |method| (method, filled(path)))
    });
    methods.collect()
}

pub async fn a_viewer_changes_nothing_by_any_route(case: Case) {
    let a = case.node("a").await;
    case.pod("web", &a, json!({})).await;
    case.ready_on(&a, 1).await;
    let before = case.look_of(&a).await;
    let token = case.account_with("viewer", "careen-viewer").await;
    let viewer = case.caller(&token);
    let (mut changes, mut reads) = (0, 0);
    for (method, path) in operations(&case, &a).await {
        // A stream has no end.
        if path.ends_with("/events") {
            continue;
        }
        assert!(!path.contains('{'), "{path}: what is to be put there?");
        let body = if ["POST", "PUT", "PATCH"].contains(&method.as_str()) { json!({}) } else { Value::Null };
        let answer = viewer.send(&method, &path, body).await;
        if method == "GET" {
            assert!([200, 404].contains(&answer.code), "{method} {path}: {}", answer.body);
            reads += 1;
        } else {
            assert_eq!((answer.code, text(&answer.body, "/reason")), (403, "Forbidden"), "{method} {path}");
            changes += 1;
        }
    }
    assert!(changes >= 11 && reads >= 9, "{changes} changes and {reads} reads are all that the contract has");
    case.stays_untouched(&a, &before).await;
    assert_eq!(case.evictions().count(), 0);
}

/// Runs alone: every request of Careen's is counted.
pub async fn reading_costs_one_review_of_a_token_and_of_each_right_in_ten_seconds(case: Case) {
    let a = case.node("a").await;
    case.pod("web", &a, json!({})).await;
    case.ready_on(&a, 1).await;
    let token = case.account_with("viewer", "careen-viewer").await;
    let viewer = case.caller(&token);
    let audit = case.suite.audit();
    let (mark, started) = (audit.mark(), Instant::now());
    for _ in 0..20 {
        // By name or all of them: it is one right.
        for path in ["", &format!("/{a}"), &format!("/{a}/workloads")] {
            let _ = viewer.get(&format!("/api/v1/nodes{path}")).await.expect(200);
        }
    }
    let periods = usize::try_from(started.elapsed().as_secs() / GOOD_FOR.as_secs()).expect("not that long") + 1;
    let requests = audit.since(mark).of_careen().counted();
    let of = |resource: &str| requests.clone().that(|request| request.is("create", resource)).len();
    let summary = requests.summary();
    assert!((1..=periods).contains(&of("tokenreviews")), "{periods} periods:\n{summary}");
    // To get nodes, to list nodes, to list pods.
    assert!((1..=3 * periods).contains(&of("subjectaccessreviews")), "{periods} periods:\n{summary}");
    let others = |requests: Requests| requests.that(|request| !request.resource().ends_with("reviews"));
    assert!(others(requests.clone()).is_empty(), "reads come from the caches:\n{summary}");
}

/// An answer to a read is good for so long.
const GOOD_FOR: Duration = Duration::from_secs(10);
