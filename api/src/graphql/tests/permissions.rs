//! Who may see what.

use serde_json::{Value, json};

use super::ask::refused;
use crate::rest::tests::simulated::Simulated;

#[tokio::test]
async fn nobody_is_answered_without_a_token() {
    let app = Simulated::start().await;
    for token in ["", "made-up"] {
        app.post(token, json!({ "query": "{ __typename }" })).await.problem(401, "Unauthorized");
        app.send(token, "GET /graphql?query=%7B__typename%7D", None).await.problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn what_somebody_may_not_see_is_null_with_an_error_at_its_path() {
    let app = Simulated::start().await;
    let query = "{ nodes(first: 10) { nodes { name workloads { nodes { name } } maintenance { name } } } migrations { nodes { name } } }";
    let answer = app.ask_as("lister", query, json!({})).await;
    let node = |name: &str| json!({ "name": name, "workloads": null, "maintenance": null });
    assert_eq!(answer["data"], json!({ "nodes": { "nodes": [node("node01"), node("node02")] }, "migrations": null }));
    let mut paths = refused(&answer);
    paths.sort();
    let at = |path: &str| ("Forbidden".to_owned(), path.to_owned());
    assert_eq!(
        paths,
        [
            at("migrations"),
            at("nodes.nodes.0.maintenance"),
            at("nodes.nodes.0.workloads"),
            at("nodes.nodes.1.maintenance"),
            at("nodes.nodes.1.workloads"),
        ]
    );
    let errors = answer["errors"].as_array().unwrap();
    let of_pods = errors.iter().find(|error| error["path"][3] == "workloads").unwrap();
    assert_eq!(of_pods["extensions"]["missing"], json!(["list pods"]));
}

#[tokio::test]
async fn each_kind_is_asked_for_once_however_many_objects_there_are() {
    let app = Simulated::start().await;
    let reviews = || app.reviews();
    app.data("{ __typename }").await;
    let before = reviews();
    app.data("{ nodes(first: 2) { nodes { workloads { nodes { name } } maintenance { name } drain { id } plan { counts { evict } } } } }").await;
    // List nodes, pods and maintenances.
    assert_eq!(reviews() - before, 3);
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let app = Simulated::start().await;
    let before = app.kubernetes.version();
    for mutation in [
        "cordonNode(input: { node: \"node02\" }) { changed }",
        "uncordonNode(input: { node: \"node02\" }) { changed }",
        "taintNode(input: { node: \"node02\", key: \"a\", effect: NoSchedule }) { changed }",
        "untaintNode(input: { node: \"node02\", key: \"a\" }) { changed }",
        "drainNode(input: { node: \"node02\" }) { changed }",
        "cancelDrain(input: { node: \"node02\" }) { changed }",
        "startMaintenance(input: { node: \"node02\" }) { changed }",
        "stopMaintenance(input: { node: \"node02\" }) { changed }",
        "migrateVirtualMachineInstance(input: { namespace: \"shop\", name: \"db\" }) { migrationName }",
        "cancelMigration(input: { namespace: \"shop\", name: \"m\" }) { madeAgain }",
    ] {
        for token in ["viewer", "nothing"] {
            let answer = app.ask_as(token, &format!("mutation {{ {mutation} }}"), json!({})).await;
            let field = mutation.split('(').next().unwrap();
            assert_eq!(refused(&answer), [("Forbidden".to_owned(), field.to_owned())], "{mutation}: {answer}");
            assert_eq!(answer["data"][field], Value::Null);
        }
    }
    assert_eq!(app.kubernetes.version(), before, "something was written");
}
