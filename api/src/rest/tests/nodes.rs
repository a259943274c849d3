//! `/nodes`

use serde_json::{Value, json};

use super::TestApp;

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn nodes_are_listed_by_name_in_pages_and_by_filter() {
    let app = TestApp::start().await;
    for (query, expected) in [
        ("", &["node01", "node02", "node03"][..]),
        ("?ready=true", &["node01", "node02"]),
        ("?schedulable=false", &["node02"]),
        ("?ready=false&schedulable=false", &[]),
    ] {
        assert_eq!(names(&app.get(&format!("/api/v1/nodes{query}")).await.ok()), expected, "{query}");
    }
    let first = app.get("/api/v1/nodes?limit=2").await.ok();
    assert_eq!(names(&first), ["node01", "node02"]);
    let next = first["continue"].as_str().unwrap();
    let second = app.get(&format!("/api/v1/nodes?limit=2&continue={next}")).await.ok();
    assert_eq!(names(&second), ["node03"]);
    assert_eq!(second.get("continue"), None);
}

#[tokio::test]
async fn a_node_is_found_by_its_name() {
    let app = TestApp::start().await;
    let node = app.get("/api/v1/nodes/node02").await.ok();
    assert_eq!((&node["name"], &node["schedulable"]), (&json!("node02"), &json!(false)));
    let detail = app.get("/api/v1/nodes/node09").await.problem(404, "NodeNotFound");
    assert_eq!(detail, "node node09 does not exist: check the name");
    for bad in ["Node02", "node02%2f..", "node_02", "-", "%ff", "%20", &"a".repeat(254)] {
        let detail = app.get(&format!("/api/v1/nodes/{bad}")).await.problem(400, "BadRequest");
        assert!(detail.contains("path"), "{bad}: {detail}");
    }
}

#[tokio::test]
async fn what_a_query_may_not_have_is_refused() {
    let app = TestApp::start().await;
    for (query, expected) in [
        ("limit=0", "limit=0 in the query: a page has 1 to 500 objects"),
        ("limit=501", "limit=501 in the query: a page has 1 to 500 objects"),
        ("limit=x", "limit=x in the query: invalid digit"),
        ("continue=x", "continue in the query: this is no cursor of this list"),
        ("redy=true", "redy=true in the query: unknown field `redy`, expected one of `ready`, `schedulable`"),
        ("ready=yes", "ready=yes in the query: "),
    ] {
        let detail = app.get(&format!("/api/v1/nodes?{query}")).await.problem(400, "BadRequest");
        assert!(detail.contains(expected), "{query}: {detail}");
    }
}
