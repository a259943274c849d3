//! What is changed.

use serde_json::{Value, json};

use super::ask::refused;
use crate::rest::tests::simulated::Simulated;

fn one(answer: &Value) -> (String, String) {
    let refused = refused(answer);
    assert_eq!(refused.len(), 1, "{answer:#}");
    refused[0].clone()
}

#[tokio::test]
async fn a_node_is_cordoned_and_shown_as_it_is_then() {
    let app = Simulated::start().await;
    let cordon =
        "mutation { cordonNode(input: { node: \"node02\" }) { changed nodeName node { schedulable } warnings } }";
    let expected = |changed: bool| json!({ "changed": changed, "nodeName": "node02", "node": { "schedulable": false }, "warnings": [] });
    assert_eq!(app.data(cordon).await["cordonNode"], expected(true));
    app.until(|snapshot| snapshot.nodes().any(|node| node.unschedulable)).await;
    assert_eq!(app.data(cordon).await["cordonNode"], expected(false));
    let dry = "mutation { uncordonNode(input: { node: \"node02\", dryRun: true }) { changed node { schedulable } } }";
    assert_eq!(app.data(dry).await["uncordonNode"], json!({ "changed": true, "node": { "schedulable": false } }));
    assert_eq!(app.node("node02")["spec"]["unschedulable"], true);
}

#[tokio::test]
async fn what_is_no_value_of_its_type_changes_nothing() {
    let app = Simulated::start().await;
    let declared =
        "mutation ($dryRun: Boolean!) { cordonNode(input: { node: \"node02\", dryRun: $dryRun }) { changed } }";
    let answer = app.ask_as("admin", declared, json!({ "dryRun": null })).await;
    assert_eq!((refused(&answer), &answer["data"]), (vec![("Invalid".to_owned(), String::new())], &Value::Null));
    assert_eq!(answer["errors"][0]["extensions"]["field"], "variables.dryRun");
    let input = "mutation ($input: NodeInput!) { cordonNode(input: $input) { changed } }";
    for no_object in [json!(["node02"]), json!("node02"), json!(["node02", true]), json!(5)] {
        let answer = app.ask_as("admin", input, json!({ "input": no_object })).await;
        assert_eq!(one(&answer), ("Invalid".to_owned(), "cordonNode".to_owned()));
    }
    let literal = "mutation { startMaintenance(input: { node: \"node02\", ticket: [\"a\", \"https://b\"] }) { name } }";
    assert_eq!(one(&app.ask(literal).await).0, "Invalid");
    assert!(app.node("node02")["spec"]["unschedulable"].is_null());
}

#[tokio::test]
async fn what_is_no_field_of_an_input_is_refused_beside_a_variable_that_was_not_sent() {
    let app = Simulated::start().await;
    app.data("mutation { startMaintenance(input: { node: \"node01\", ticket: { id: \"CHG1\" } }) { name } }").await;
    for unknown in [
        "mutation ($n: String = \"node02\") { cordonNode(input: { node: $n, dryrun: true }) { changed } }",
        "mutation ($n: String! = \"node02\") { cordonNode(input: { node: $n, dryrun: true }) { changed } }",
        "mutation ($d: Boolean) { cordonNode(input: { node: \"node02\", dryrun: true, dryRun: $d }) { changed } }",
        "mutation ($t: String) { stopMaintenance(input: { node: \"node01\", tickt: \"CHG9\", ticket: $t }) { name } }",
        "mutation ($t: String) { drainNode(input: { node: \"node02\", options: { timeout: $t, deleteafter: \"5m\" } }) { changed } }",
    ] {
        assert_eq!(one(&app.ask(unknown).await).0, "Invalid", "{unknown}");
    }
    assert!(app.node("node02")["spec"]["unschedulable"].is_null());
    let found = app.data("{ maintenance(name: \"node01-maintenance\") { stoppingSince } }").await;
    assert_eq!(found["maintenance"], json!({ "stoppingSince": null }));
    // What is left out is as if it were not named.
    let stop = "mutation ($t: String) { stopMaintenance(input: { node: \"node01\", ticket: $t }) { name } }";
    assert_eq!(app.data(stop).await["stopMaintenance"]["name"], "node01-maintenance");
}

#[tokio::test]
async fn a_maintenance_is_started_once_and_stopped_by_its_ticket_only() {
    let app = Simulated::start().await;
    let start = |ticket: &str| {
        format!(
            "mutation {{ startMaintenance(input: {{ node: \"node02\", reason: \"Fan\", ticket: {{ id: \"{ticket}\" }} }}) \
             {{ name created changed maintenance {{ reason requestedBy node {{ name maintenance {{ name }} }} }} }} }}"
        )
    };
    let started = app.data(&start("CHG1")).await["startMaintenance"].clone();
    let maintenance = json!({ "reason": "Fan", "requestedBy": "ann", "node": { "name": "node02", "maintenance": { "name": "node02-maintenance" } } });
    assert_eq!(
        started,
        json!({ "name": "node02-maintenance", "created": true, "changed": true, "maintenance": maintenance })
    );
    let found = app.data("{ maintenances { nodes { name } } }").await;
    assert_eq!(found["maintenances"]["nodes"], json!([{ "name": "node02-maintenance" }]));
    let again = app.data(&start("CHG1")).await;
    assert_eq!(again["startMaintenance"]["changed"], false);
    let other = app.ask(&start("CHG2")).await;
    assert_eq!(one(&other), ("AlreadyUnderMaintenance".to_owned(), "startMaintenance".to_owned()));
    assert_eq!(other["errors"][0]["extensions"]["see"], "/api/v1/maintenances/node02-maintenance");
    let stop = |more: &str| format!("mutation {{ stopMaintenance(input: {{ {more} }}) {{ name changed }} }}");
    assert_eq!(one(&app.ask(&stop("node: \"node02\", ticket: \"CHG2\"")).await).0, "TicketMismatch");
    assert_eq!(one(&app.ask(&stop("ticket: \"CHG1\"")).await).0, "InvalidArgument");
    app.data(&stop("name: \"node02-maintenance\", ticket: \"CHG1\"")).await;
    assert_eq!(app.data("{ maintenances { nodes { name } } }").await["maintenances"]["nodes"], json!([]));
    assert_eq!(one(&app.ask(&stop("node: \"node02\"")).await).0, "MaintenanceNotFound");
}

#[tokio::test]
async fn a_drain_is_ordered_seen_and_cancelled() {
    let app = Simulated::start().await;
    let order = "mutation { drainNode(input: { node: \"node02\", options: { timeout: \"1h\", unmanagedPods: Evict } }) \
                 { changed drain { id phase requestedBy options { timeout unmanagedPods } } } }";
    let ordered = app.data(order).await["drainNode"].clone();
    assert_eq!((&ordered["changed"], &ordered["drain"]["phase"]), (&json!(true), &json!("Ordered")));
    assert_eq!(ordered["drain"]["options"], json!({ "timeout": "1h", "unmanagedPods": "Evict" }));
    assert_eq!(app.data("{ node(name: \"node02\") { drain { phase } } }").await["node"]["drain"]["phase"], "Ordered");
    assert_eq!(app.data(order).await["drainNode"]["changed"], false);
    let start = app.ask("mutation { startMaintenance(input: { node: \"node02\" }) { name } }").await;
    assert_eq!(one(&start).0, "DrainInProgress");
    let cancel = "mutation { cancelDrain(input: { node: \"node02\" }) { changed drain { phase } } }";
    assert_eq!(app.data(cancel).await["cancelDrain"]["changed"], true);
    let bad = "mutation { drainNode(input: { node: \"node01\", options: { timeout: \"soon\" } }) { changed } }";
    let bad = app.ask(bad).await;
    assert_eq!(
        (one(&bad).0.as_str(), &bad["errors"][0]["extensions"]["field"]),
        ("InvalidArgument", &json!("timeout"))
    );
}

#[tokio::test]
async fn taints_are_put_and_taken_off() {
    let app = Simulated::start().await;
    let taint = |key: &str| {
        format!(
            "mutation {{ taintNode(input: {{ node: \"node02\", key: \"{key}\", effect: NoSchedule }}) {{ node {{ taints {{ key effect }} }} }} }}"
        )
    };
    let tainted = app.data(&taint("example.com/broken")).await;
    let expected = json!([{ "key": "example.com/broken", "effect": "NoSchedule" }]);
    assert_eq!(tainted["taintNode"]["node"]["taints"], expected);
    assert_eq!(one(&app.ask(&taint("kubevirt.io/drain")).await).0, "KubeVirtDrainTaint");
    let bad = app.ask(&taint("a b")).await;
    assert_eq!((one(&bad).0.as_str(), &bad["errors"][0]["extensions"]["field"]), ("Invalid", &json!("key")));
}

#[tokio::test]
async fn several_changes_go_one_after_the_other_and_each_has_its_own_outcome() {
    let app = Simulated::start().await;
    let both = "mutation { a: cordonNode(input: { node: \"node99\" }) { changed } b: cordonNode(input: { node: \"node02\" }) { changed } }";
    let answer = app.ask(both).await;
    assert_eq!(answer["data"], json!({ "a": null, "b": { "changed": true } }));
    assert_eq!(one(&answer), ("NodeNotFound".to_owned(), "a".to_owned()));
}
