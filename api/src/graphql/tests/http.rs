//! How requests come.

use serde_json::json;

use super::ask::refused;
use crate::rest::tests::simulated::Simulated;

#[tokio::test]
async fn a_get_asks_and_changes_nothing() {
    let app = Simulated::start().await;
    let query = "query=query(%24n:String!)%7Bnode(name:%24n)%7Bname%7D%7D&variables=%7B%22n%22:%22node01%22%7D";
    let answer = app.admin(&format!("GET /graphql?{query}"), None).await.ok();
    assert_eq!(answer, json!({ "data": { "node": { "name": "node01" } } }));
    let mutation = "query=mutation%7BcordonNode(input:%7Bnode:%22node01%22%7D)%7Bchanged%7D%7D";
    let refused = app.admin(&format!("GET /graphql?{mutation}"), None).await;
    refused.problem(405, "MethodNotAllowed");
    assert_eq!(refused.header("allow"), "POST");
    assert_eq!(app.node("node01")["spec"].get("unschedulable"), None);
    app.admin("GET /graphql", None).await.problem(400, "BadRequest");
    app.admin("GET /graphql?query=%7B__typename%7D&variables=x", None).await.problem(400, "BadRequest");
    app.admin("PUT /graphql", None).await.problem(405, "MethodNotAllowed");
}

#[tokio::test]
async fn one_body_is_one_request() {
    let app = Simulated::start().await;
    let one = json!({ "query": "{ __typename }" });
    assert_eq!(app.post("admin", one.clone()).await.ok()["data"]["__typename"], "Query");
    for (body, status) in [
        (json!([one.clone(), one]), 422),
        (json!({}), 422),
        (json!({ "query": 5 }), 422),
        (json!("x"), 422),
        (json!(["{ __typename }", null, null, null]), 422),
    ] {
        let answer = app.post("admin", body).await;
        answer.problem(status, "Invalid");
    }
    let several =
        json!({ "query": "query a { __typename } query b { nodes { nodes { name } } }", "operationName": "a" });
    assert_eq!(app.post("admin", several.clone()).await.ok()["data"], json!({ "__typename": "Query" }));
    let mut other = several;
    other["operationName"] = json!("c");
    assert_eq!(refused(&app.post("admin", other).await.ok())[0].0, "BadRequest");
}

#[tokio::test]
async fn what_is_wrong_in_a_document_has_a_code_and_a_place() {
    let app = Simulated::start().await;
    for (query, code, says) in [
        ("{ nodes { nodes { nme } } }", "Invalid", "nme"),
        ("{ nodes(frist: 1) { nodes { name } } }", "Invalid", "frist"),
        ("{ nodes(first: \"1\") { nodes { name } } }", "Invalid", "first"),
        ("query ($n: Int) { __typename }", "Invalid", "$n"),
        ("{ nodes { nodes { name }", "BadRequest", "cannot be read"),
        ("subscription { nodeChanged { removed } }", "BadRequest", "WebSocket"),
        ("{ nodes(first: 0) { nodes { name } } }", "Invalid", "a page has 1 to 500 objects"),
        ("{ nodes(after: \"x\") { nodes { name } } }", "BadRequest", "after: this is no cursor of this list"),
        ("{ nodes(labelSelector: \"a b\") { nodes { name } } }", "Invalid", "selector"),
    ] {
        let answer = app.ask(query).await;
        assert_eq!(refused(&answer)[0].0, code, "{query}: {answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(says), "{query}: {answer}");
    }
}

#[tokio::test]
async fn each_change_of_a_request_counts_as_one_of_its_caller() {
    let app = Simulated::start().await;
    let change = |name: char| format!("{name}: cordonNode(input: {{ node: \"No\" }}) {{ changed }}");
    let changes = ('a'..='j').map(change).collect::<Vec<_>>().join(" ");
    let body = json!({ "query": format!("mutation {{ {changes} }}") });
    for _ in 0..50 {
        let answer = app.post("admin", body.clone()).await;
        if answer.status != 200 {
            answer.problem(429, "TooManyRequests");
            return;
        }
    }
    panic!("500 changes at once were let through");
}

#[tokio::test]
async fn the_status_says_whether_there_is_data_for_who_asks_for_that() {
    let app = Simulated::start().await;
    let named = "application/graphql-response+json";
    let mutation = "mutation { cordonNode(input: { node: \"node01\", dryRun: true }) { changed } }";
    for (token, query, status, code) in [
        ("admin", "{ __typename }", 200, ""),
        ("admin", mutation, 200, ""),
        // There is data: null in its place.
        ("nothing", "{ nodes { nodes { name } } }", 200, "Forbidden"),
        ("admin", "{ node(name: \"node99\") { name } }", 200, "NodeNotFound"),
        ("admin", "{ nodes", 400, "BadRequest"),
        ("admin", "subscription { nodeChanged { removed } }", 400, "BadRequest"),
        ("admin", "{ nme }", 422, "Invalid"),
        ("admin", "query ($n: Int!) { nodes(first: $n) { nodes { name } } }", 422, "Invalid"),
        ("admin", "{ nodes(first: 500) { nodes { plan { warnings } } } }", 422, "TooExpensive"),
        ("made-up", "{ __typename }", 401, "Unauthorized"),
    ] {
        let body = Some(json!({ "query": query }));
        let answer = app.send_with(token, "POST /graphql", body.clone(), &[("accept", named)]).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, named), "{query}: {json}");
        assert_eq!(json.get("data").is_some(), status == 200, "{query}: {json}");
        assert_eq!(refused(&json).first().map_or("", |(code, _)| code), code, "{query}");
        for accept in ["application/json", "*/*"] {
            let answer = app.send_with(token, "POST /graphql", body.clone(), &[("accept", accept)]).await;
            if status == 401 {
                answer.problem(401, code);
            } else {
                assert_eq!(answer.ok()["errors"], *json.get("errors").unwrap_or(&json!(null)), "{query}");
            }
        }
        let answer = app.send_with(token, "POST /graphql", body, &[("accept", "text/plain")]).await;
        answer.problem(406, "NotAcceptable");
    }
    let by_get = "GET /graphql?query=mutation%7BcordonNode(input:%7Bnode:%22node01%22%7D)%7Bchanged%7D%7D";
    let answer = app.send_with("admin", by_get, None, &[("accept", named)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    assert_eq!(refused(&answer.json())[0].0, "MethodNotAllowed");
    let bad = app.send_with("admin", "POST /graphql", Some(json!([])), &[("accept", named)]).await;
    assert_eq!((bad.status.as_u16(), bad.json().get("data")), (422, None));
}
