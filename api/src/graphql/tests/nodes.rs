//! Nodes, and what leads on from them.

use serde_json::json;

use super::ask::refused;
use crate::rest::tests::simulated::Simulated;

#[tokio::test]
async fn nodes_come_in_pages_that_go_on_where_the_last_ended() {
    let app = Simulated::start().await;
    let first =
        app.data("{ nodes(first: 1) { nodes { name ready labels } pageInfo { hasNextPage endCursor } } }").await;
    assert_eq!(first["nodes"]["nodes"], json!([{ "name": "node01", "ready": true, "labels": { "rack": "01" } }]));
    assert_eq!(first["nodes"]["pageInfo"]["hasNextPage"], true);
    let after = &first["nodes"]["pageInfo"]["endCursor"];
    let query = "query ($after: String) { nodes(after: $after) { edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage } } }";
    let second = app.ask_as("admin", query, json!({ "after": after })).await;
    let found = &second["data"]["nodes"];
    assert_eq!(found["edges"][0]["node"]["name"], "node02", "{second}");
    assert_eq!(found["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": true }));
}

#[tokio::test]
async fn a_node_that_is_not_there_is_null_with_the_same_reason_as_in_rest() {
    let app = Simulated::start().await;
    let answer = app.ask("{ node(name: \"node99\") { name } other: node(name: \"node01\") { name } }").await;
    assert_eq!(answer["data"], json!({ "node": null, "other": { "name": "node01" } }));
    assert_eq!(refused(&answer), [("NodeNotFound".to_owned(), "node".to_owned())]);
    let error = &answer["errors"][0];
    assert_eq!(
        (&error["message"], &error["extensions"]["status"]),
        (&json!("node node99 does not exist: check the name"), &json!(404))
    );
    let answer = app.ask("{ node(name: \"Node 1\") { name } }").await;
    assert_eq!(refused(&answer), [("Invalid".to_owned(), "node".to_owned())], "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["field"], "name");
}
