//! What is done to nodes, and who may.

use std::collections::BTreeMap;

use careen_core::{names, operation::CancelDrain};
use serde_json::{Value, json};

use super::{seen, simulated::Simulated};
use crate::{auth::besides::cancel_of, rest::openapi};

#[tokio::test]
async fn cordon_and_uncordon_can_be_repeated() {
    let app = Simulated::start().await;
    for (what, changed, schedulable) in
        [("cordon", true, false), ("cordon", false, false), ("uncordon", true, true), ("uncordon", false, true)]
    {
        let answer = app.admin(&format!("POST /nodes/node02/{what}"), None).await.ok();
        assert_eq!(
            (&answer["changed"], &answer["node"]["schedulable"]),
            (&json!(changed), &json!(schedulable)),
            "{what}"
        );
        app.until(|snapshot| snapshot.nodes().any(|node| node.unschedulable) != schedulable).await;
    }
    let dry = app.admin("POST /nodes/node02/cordon?dryRun=true", None).await.ok();
    assert_eq!((&dry["changed"], &dry["node"]["schedulable"]), (&json!(true), &json!(true)));
    assert_eq!(app.node("node02")["spec"].get("unschedulable"), None);
    app.admin("POST /nodes/node99/cordon", None).await.problem(404, "NodeNotFound");
}

#[tokio::test]
async fn taints_are_put_and_taken_off() {
    let app = Simulated::start().await;
    let taint = |key: &str| Some(json!({ "key": key, "value": "yes", "effect": "NoSchedule" }));
    let answer = app.admin("PUT /nodes/node02/taints", taint("example.com/broken")).await.ok();
    assert_eq!(answer["node"]["taints"][0]["key"], "example.com/broken");
    app.until(|snapshot| snapshot.nodes().any(|node| !node.taints.is_empty())).await;
    let answer = app.admin("DELETE /nodes/node02/taints?key=example.com/broken", None).await.ok();
    assert_eq!(answer["node"]["taints"], json!([]));
    app.admin("PUT /nodes/node02/taints", taint("kubevirt.io/drain")).await.problem(422, "KubeVirtDrainTaint");
    let bad = app.admin("PUT /nodes/node02/taints", taint("a b")).await;
    bad.problem(422, "Invalid");
    assert_eq!(bad.json()["field"], "key");
    app.admin("DELETE /nodes/node02/taints", None).await.problem(400, "BadRequest");
    app.admin("DELETE /nodes/node02/taints?key=a&effect=Never", None).await.problem(400, "BadRequest");
}

#[tokio::test]
async fn a_drain_is_ordered_and_seen_and_cancelled() {
    let app = Simulated::start().await;
    app.admin("GET /nodes/node02/drain", None).await.problem(404, "DrainNotFound");
    let ordered = app.admin("POST /nodes/node02/drain", Some(json!({ "timeout": "1h" }))).await;
    assert_eq!(ordered.status, 202, "{}", ordered.text());
    assert_eq!(ordered.header("location"), "/api/v1/nodes/node02/drain");
    assert_eq!(ordered.json()["requestedBy"], "ann");
    let node = "node02".parse().unwrap();
    app.until(|snapshot| snapshot.drain_order(&node).is_some()).await;
    let seen = app.admin("GET /nodes/node02/drain", None).await.ok();
    assert_eq!((&seen["phase"], &seen["id"]), (&json!("Ordered"), &ordered.json()["id"]));
    app.admin("PUT /nodes/node02/maintenance", Some(json!({}))).await.problem(409, "DrainInProgress");
    app.admin("DELETE /nodes/node02/drain?id=other", None).await.problem(404, "DrainNotFound");
    let cancelled = app.admin("DELETE /nodes/node02/drain", None).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text());
}

#[tokio::test]
async fn a_drain_says_whether_this_request_has_ordered_it() {
    let app = Simulated::start().await;
    let ordered = app.admin("POST /nodes/node02/drain", Some(json!({}))).await.json();
    app.until(|snapshot| snapshot.drain_orders().count() == 1).await;
    let repeated = app.admin("POST /nodes/node02/drain", Some(json!({}))).await.json();
    assert_eq!((&ordered["changed"], &repeated["changed"]), (&json!(true), &json!(false)));
    assert_eq!(ordered["id"], repeated["id"]);
}

#[tokio::test]
async fn a_drain_that_is_forgotten_is_none() {
    let app = Simulated::start().await;
    let node = "node02".parse().unwrap();
    // It is refused, and that long ago, while who has ordered it waits for its end.
    let forget = async {
        app.until(|snapshot| snapshot.drain_order(&node).is_some()).await;
        let id = app.cluster.snapshot().drain_order(&node).unwrap().id().clone();
        let outcome = json!({ "end": "Refused", "message": "", "at": "2020-01-01T00:00:00Z" });
        let status = json!({ "id": id, "outcome": outcome }).to_string();
        let write = |order: &mut Value| order["data"]["status"] = status.into();
        app.kubernetes.edit("configmaps", "careen", "drain-node02", write).unwrap();
        id
    };
    let (ordered, id) = tokio::join!(app.admin("POST /nodes/node02/drain?wait=60s", Some(json!({}))), forget);
    assert_eq!((ordered.status.as_u16(), &ordered.json()["id"]), (202, &json!(id)), "{}", ordered.text());
    for what in ["GET /nodes/node02/drain", "DELETE /nodes/node02/drain", "DELETE /nodes/node02/drain?dryRun=true"] {
        app.admin(what, None).await.problem(404, "DrainNotFound");
    }
}

#[tokio::test]
async fn who_may_not_delete_migrations_aborts_none() {
    let app = Simulated::start().await;
    let options = |what: &str| Some(json!({ "runningMigrationsOnStop": what }));
    app.admin("POST /nodes/node01/drain", options("Leave")).await;
    app.admin("POST /nodes/node02/drain", options("Abort")).await;
    app.until(|snapshot| snapshot.drain_orders().count() == 2).await;
    let missing = json!(["delete virtualmachineinstancemigrations.kubevirt.io"]);
    let refused = app.send("canceller", "DELETE /nodes/node02/drain", None).await;
    refused.problem(403, "Forbidden");
    assert_eq!(refused.json()["missing"], missing);
    let cancel = "mutation { cancelDrain(input: { node: \"node02\" }) { changed } }";
    let refused = app.send("canceller", "POST /graphql", Some(json!({ "query": cancel }))).await.ok();
    assert_eq!(refused["errors"][0]["extensions"]["missing"], missing);
    assert_eq!(app.send("canceller", "DELETE /nodes/node01/drain", None).await.status, 202);
}

#[tokio::test]
async fn who_cancels_a_drain_cancels_no_other_that_is_ordered_meanwhile() {
    let app = Simulated::start().await;
    let cancel = |id: Option<&str>| CancelDrain {
        node: "node02".parse().unwrap(),
        id: id.map(Into::into),
        requested_by: None,
        dry_run: false,
    };
    let asked = |id| cancel_of(cancel(id), &app.cluster.snapshot());
    assert!(asked(None).is_err(), "there is none yet");
    let ordered = app.admin("POST /nodes/node02/drain", Some(json!({ "runningMigrationsOnStop": "Abort" }))).await;
    app.until(|snapshot| snapshot.drain_orders().count() == 1).await;
    let id = ordered.json()["id"].as_str().unwrap().to_owned();
    for named in [None, Some(id.as_str())] {
        let (request, rights) = asked(named).unwrap();
        assert_eq!((request, rights.len()), (cancel(Some(&id)), 1));
    }
    // Nothing was asked of the rights to cancel this one.
    assert!(asked(Some("other")).is_err());
}

#[tokio::test]
async fn what_a_change_answers_is_the_same_in_both_faces() {
    let app = Simulated::start_with(seen::fill).await;
    for (what, mutation, members) in [
        (
            "DELETE /migrations/shop/db-1?dryRun=true",
            "cancelMigration(input: { namespace: \"shop\", name: \"db-1\", dryRun: true }) { namespace name madeAgain }",
            &["namespace", "name", "madeAgain"][..],
        ),
        (
            "POST /nodes/node02/cordon?dryRun=true",
            "cordonNode(input: { node: \"node02\", dryRun: true }) { changed warnings restoredFrom { __typename } }",
            &["changed", "warnings", "restoredFrom"],
        ),
    ] {
        let rest = app.admin(what, None).await.ok();
        let asked =
            app.admin("POST /graphql", Some(json!({ "query": format!("mutation {{ {mutation} }}") }))).await.ok();
        assert_eq!(asked.get("errors"), None, "{asked}");
        let graphql = asked["data"].as_object().unwrap().values().next().unwrap();
        for member in members {
            assert_eq!(rest[member], graphql[member], "{member}: {rest} {graphql}");
        }
        assert!(!rest[members[0]].is_null(), "{rest}");
    }
}

#[tokio::test]
async fn a_plan_takes_options_from_the_query() {
    let app = Simulated::start().await;
    let plan = app.admin("GET /nodes/node02/plan?unmanagedPods=Block&timeout=1h", None).await.ok();
    assert_eq!((&plan["node"], &plan["workloads"]), (&json!("node02"), &json!([])));
    let bad = app.admin("GET /nodes/node02/plan?unmanagedPods=block", None).await;
    assert!(bad.problem(400, "BadRequest").contains("unmanagedPods: unknown variant `block`"));
    // What can be read and is wrong all the same has the word that it has in a body, and in GraphQL.
    let wrong = app.admin("GET /nodes/node02/plan?timeout=never", None).await;
    wrong.problem(422, "InvalidArgument");
    assert_eq!(wrong.json()["field"], "timeout");
    let asked = json!({ "query": "{ plan(node: \"node02\", options: { timeout: \"never\" }) { node { name } } }" });
    let asked = app.admin("POST /graphql", Some(asked)).await.ok();
    assert_eq!(asked["errors"][0]["extensions"]["code"], "InvalidArgument");
    app.admin("GET /nodes/node99/plan", None).await.problem(404, "NodeNotFound");
}

#[tokio::test]
async fn lists_of_what_is_not_there_are_empty() {
    let app = Simulated::start().await;
    for path in ["/virtualmachineinstances", "/migrations", "/maintenances", "/nodes/node01/workloads"] {
        assert_eq!(app.admin(&format!("GET {path}"), None).await.ok(), json!({ "items": [] }), "{path}");
    }
    app.admin("GET /migrations/web/vm1", None).await.problem(404, "MigrationNotFound");
    let migrate = "POST /virtualmachineinstances/web/vm1/migrate";
    app.admin(migrate, None).await.problem(404, "VirtualMachineInstanceNotFound");
    app.admin("GET /nodes/node99/workloads", None).await.problem(404, "NodeNotFound");
    assert_eq!(app.admin("GET /nodes?labelSelector=rack=01", None).await.ok()["items"][0]["name"], "node01");
    app.admin("GET /nodes?labelSelector=a%20b", None).await.problem(400, "BadRequest");
}

#[tokio::test]
async fn who_may_cordon_may_not_drain() {
    let app = Simulated::start().await;
    app.send("cordoner", "POST /nodes/node02/cordon", None).await.ok();
    let refused = app.send("cordoner", "POST /nodes/node02/drain", Some(json!({}))).await;
    refused.problem(403, "Forbidden");
    assert_eq!(refused.json()["missing"], json!(["create pods/eviction", "delete pods"]));
    assert!(app.kubernetes.all("configmaps").iter().all(|object| object["metadata"]["namespace"] != "careen"));
    let options = Some(json!({ "vmThatCannotMigrate": "ShutDown" }));
    app.send("cordoner", "POST /nodes/node02/drain", options).await.problem(403, "Forbidden");
}

#[tokio::test]
async fn who_cancels_a_drain_and_may_not_list_pods_is_told_of_none() {
    let app = Simulated::start().await;
    let ordered = app.admin("POST /nodes/node02/drain", Some(json!({}))).await.json();
    let status = json!({
        "id": ordered["id"], "blocked": 1, "blocking": [{
            "kind": "Pod", "namespace": "shop", "name": "web-0", "class": "Waits", "reason": "BudgetExhausted",
            "message": "budget shop/web needs 2 healthy pods and has 2", "since": "2026-11-28T15:00:00Z",
        }],
    });
    app.kubernetes
        .edit("configmaps", "careen", "drain-node02", |object| object["data"]["status"] = json!(status.to_string()))
        .unwrap();
    let node = "node02".parse().unwrap();
    app.until(|snapshot| snapshot.drain_order(&node).is_some_and(|order| !order.status.blocking.is_empty())).await;
    for (token, sees) in [("admin", true), ("canceller", false)] {
        let answer = app.send(token, "DELETE /nodes/node02/drain?dryRun=true", None).await;
        assert_eq!(answer.text().contains("web-0"), sees, "{token}: {}", answer.text());
    }
}

#[tokio::test]
async fn who_may_not_cancel_evacuations_takes_none_back_by_uncordoning() {
    let app = Simulated::start_with(|kubernetes| {
        kubernetes.put("namespaces", json!({ "metadata": { "name": names::NODE_LEASE_NAMESPACE } })).unwrap();
        let actor = json!({ "kind": "Process", "name": "d1", "uid": "d1" });
        kubernetes
            .edit("nodes", "", "node02", |node| {
                let record = json!({
                    "actor": actor, "nodeUid": node["metadata"]["uid"], "wasUnschedulable": false,
                    "evacuations": ["uid-of-db"], "since": "2026-11-28T15:00:00Z",
                });
                node["metadata"]["annotations"] = json!({ names::RECORD_ANNOTATION: record.to_string() });
                node["spec"]["unschedulable"] = json!(true);
            })
            .unwrap();
    })
    .await;
    let uncordon = "mutation { uncordonNode(input: { node: \"node02\" }) { changed } }";
    let missing = json!(["update virtualmachineinstances.subresources.kubevirt.io/evacuate/cancel"]);
    let refused = app.send("cordoner", "POST /nodes/node02/uncordon", None).await;
    refused.problem(403, "Forbidden");
    assert_eq!(refused.json()["missing"], missing);
    let refused = app.send("cordoner", "POST /graphql", Some(json!({ "query": uncordon }))).await.ok();
    assert_eq!(refused["errors"][0]["extensions"]["missing"], missing);
    assert_eq!(app.node("node02")["spec"]["unschedulable"], true);
    app.send("canceller", "POST /nodes/node02/uncordon", None).await.ok();
    assert!(app.node("node02")["spec"]["unschedulable"].is_null());
}

/// Each operation of the contract as a request that would do something.
fn requests() -> BTreeMap<String, bool> {
    let contract = openapi::contract();
    let mut requests = BTreeMap::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        let path = path.trim_start_matches("/api/v1").replace("{node}", "node02");
        let path = path.replace("{namespace}", "web").replace("{name}", "node02-maintenance");
        for (method, operation) in item.as_object().unwrap() {
            let key = operation["operationId"] == "untaintNode";
            let query = if key { "?key=a" } else { "" };
            requests.insert(format!("{} {path}{query}", method.to_uppercase()), operation["requestBody"].is_object());
        }
    }
    requests
}

fn body(what: &str, has_body: bool) -> Option<Value> {
    has_body.then(|| match what {
        "PUT /nodes/node02/taints" => json!({ "key": "a", "effect": "NoSchedule" }),
        "POST /maintenances" => json!({ "node": "node02" }),
        _ => json!({}),
    })
}

/// The examples of the body of each operation that has one.
fn examples() -> BTreeMap<String, Vec<Value>> {
    let contract = openapi::contract();
    let mut examples = BTreeMap::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if let Some(reference) = schema["$ref"].as_str() {
                schema = contract.pointer(reference.trim_start_matches('#')).unwrap();
            }
            if operation["requestBody"].is_object() {
                let path = path.trim_start_matches("/api/v1").replace("{node}", "node02");
                let what = format!("{} {path}", method.to_uppercase());
                examples.insert(what, schema["examples"].as_array().cloned().unwrap_or_default());
            }
        }
    }
    examples
}

#[tokio::test]
async fn every_body_has_an_example_and_it_works() {
    let app = Simulated::start().await;
    let examples = examples();
    assert_eq!(examples.len(), 4, "{examples:?}");
    for (what, examples) in examples {
        assert!(!examples.is_empty(), "{what} has no example");
        for example in examples {
            app.admin(&format!("{what}?dryRun=true"), Some(example)).await.ok();
        }
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing_by_any_route_and_nobody_sees_anything() {
    let app = Simulated::start().await;
    let before = app.kubernetes.version();
    for (what, has_body) in requests() {
        app.send("", &what, body(&what, has_body)).await.problem(401, "Unauthorized");
        app.send("nothing", &what, body(&what, has_body)).await.problem(403, "Forbidden");
        let viewer = app.send("viewer", &what, body(&what, has_body)).await;
        if what.starts_with("GET ") {
            assert_ne!(viewer.status, 403, "{what}: {}", viewer.text());
        } else {
            viewer.problem(403, "Forbidden");
        }
    }
    assert_eq!(app.kubernetes.version(), before, "something was written");
}
