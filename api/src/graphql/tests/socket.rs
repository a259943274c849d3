//! Subscriptions, as a client sees them.

use super::client::Client;
use crate::rest::tests::simulated::Simulated;
use careen_core::model::NodeMaintenance;
use careen_sim::api_server::User;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::DeleteParams, core::ClusterResourceScope};
use serde_json::{Value, json};

const MAINTENANCES: &str = "nodemaintenances.nodemaintenance.kubevirt.io";

/// The objects of a kind, as the administrator of the cluster has them.
fn administered<K>(app: &Simulated) -> Api<K>
where
    K: kube::Resource<Scope = ClusterResourceScope, DynamicType = ()>,
{
    Api::all(app.kubernetes.as_user(User::administrator()).client())
}

fn maintenance(status: &Value) -> Value {
    json!({ "metadata": { "name": "m" }, "spec": { "nodeName": "node02", "reason": "Fan" }, "status": status })
}

#[tokio::test]
async fn a_maintenance_is_followed_from_nothing_to_its_end() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "viewer").await;
    client
        .subscribe(
            "1",
            "subscription { maintenanceProgress(node: \"node02\") { maintenance { phase drainProgress } } }",
        )
        .await;
    let seen = |maintenance: Value| json!({ "maintenanceProgress": { "maintenance": maintenance } });
    assert_eq!(client.data().await, seen(Value::Null));
    app.kubernetes.put(MAINTENANCES, maintenance(&json!({}))).unwrap();
    assert_eq!(client.data().await, seen(json!({ "phase": "Undecided", "drainProgress": null })));
    // Somebody else's node says nothing to this client.
    app.admin("POST /nodes/node01/cordon", None).await.ok();
    app.kubernetes.put(MAINTENANCES, maintenance(&json!({ "phase": "Running", "drainProgress": 50 }))).unwrap();
    assert_eq!(client.data().await, seen(json!({ "phase": "Running", "drainProgress": 50 })));
    let version = app.kubernetes.version();
    administered::<NodeMaintenance>(&app).delete("m", &DeleteParams::default()).await.unwrap();
    assert_eq!(client.data().await, seen(Value::Null));
    client.send(json!({ "id": "1", "type": "complete" })).await;
    client.is_quiet().await;
    assert_eq!(app.kubernetes.version(), version + 1, "a subscription wrote something");
}

#[tokio::test]
async fn nodes_are_shown_all_and_then_those_that_change() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "lister").await;
    client.subscribe("1", "subscription { nodeChanged { isSnapshot nodes { name schedulable } removed } }").await;
    let node = |name: &str, schedulable: bool| json!({ "name": name, "schedulable": schedulable });
    let event = |is_snapshot: bool, nodes: Value, removed: Value| json!({ "nodeChanged": { "isSnapshot": is_snapshot, "nodes": nodes, "removed": removed } });
    let all = json!([node("node01", true), node("node02", true)]);
    assert_eq!(client.data().await, event(true, all, json!([])));
    app.admin("POST /nodes/node02/cordon", None).await.ok();
    assert_eq!(client.data().await, event(false, json!([node("node02", false)]), json!([])));
    administered::<Node>(&app).delete("node01", &DeleteParams::default()).await.unwrap();
    assert_eq!(client.data().await, event(false, json!([]), json!(["node01"])));
}

#[tokio::test]
async fn of_many_nodes_a_hundred_are_in_one_event() {
    let app = Simulated::start().await;
    for number in 3..=230 {
        let metadata = json!({ "name": format!("node{number:03}") });
        app.kubernetes.put("nodes", json!({ "metadata": metadata, "spec": {}, "status": {} })).unwrap();
    }
    app.until(|snapshot| snapshot.nodes().count() == 230).await;
    let mut client = Client::of(app.service(), "lister").await;
    client.subscribe("1", "subscription { nodeChanged { isSnapshot nodes { name } removed } }").await;
    let mut seen = Vec::new();
    for (is_snapshot, count) in [(true, 100), (false, 100), (false, 30)] {
        let event = client.data().await["nodeChanged"].take();
        assert_eq!((&event["isSnapshot"], &event["removed"]), (&json!(is_snapshot), &json!([])));
        assert_eq!(event["nodes"].as_array().map(Vec::len), Some(count));
        seen.extend(event["nodes"].as_array().unwrap().iter().map(|node| node["name"].to_string()));
    }
    assert!(seen.is_sorted() && seen.len() == 230);
    app.admin("POST /nodes/node02/cordon", None).await.ok();
    assert_eq!(client.data().await["nodeChanged"]["nodes"], json!([{ "name": "node02" }]));
}

#[tokio::test]
async fn what_a_follower_may_not_see_is_null_with_an_error_at_its_path_each_time() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "lister").await;
    client
        .subscribe(
            "1",
            "subscription { nodeChanged { nodes { name schedulable workloads(first: 9) { nodes { name } } } } }",
        )
        .await;
    for (nodes, errors) in [(2, 2), (1, 1), (1, 1)] {
        let mut message = client.next().await;
        let payload = message["payload"].take();
        assert_eq!(payload["data"]["nodeChanged"]["nodes"].as_array().map(Vec::len), Some(nodes), "{payload}");
        let refused = super::ask::refused(&payload);
        assert_eq!(refused.len(), errors, "{payload}");
        assert_eq!(refused[0], ("Forbidden".to_owned(), "nodeChanged.nodes.0.workloads".to_owned()));
        let cordon = app.node("node02")["spec"]["unschedulable"] != true;
        let what = if cordon { "cordon" } else { "uncordon" };
        app.admin(&format!("POST /nodes/node02/{what}"), None).await.ok();
    }
}

#[tokio::test]
async fn strangers_are_told_so_and_let_go() {
    let app = Simulated::start().await;
    for payload in [json!({}), json!({ "Authorization": "Bearer made-up" })] {
        let mut client = Client::connect(app.service()).await;
        client.send(json!({ "type": "connection_init", "payload": payload })).await;
        let closed = client.next().await;
        assert_eq!(closed["close"], 4401, "{closed}");
    }
    let mut client = Client::of(app.service(), "nothing").await;
    client.subscribe("1", "subscription { nodeChanged { removed } }").await;
    assert_eq!(client.refused("1").await, "Forbidden");
    client.is_quiet().await;
}

#[tokio::test]
async fn only_subscriptions_that_are_not_too_large_are_followed() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "admin").await;
    for (query, code) in [
        ("{ nodes { nodes { name } } }", "BadRequest"),
        ("mutation { cordonNode(input: { node: \"node01\" }) { changed } }", "BadRequest"),
        ("subscription { nodeChanged { nodes { workloads(first: 500) { nodes { name } } } } }", "TooExpensive"),
        ("subscription { nodeChanged { nodes { nme } } }", "Invalid"),
        ("subscription { drainProgress(node: \"No\") { drain { id } } }", "Invalid"),
    ] {
        client.subscribe("1", query).await;
        assert_eq!(client.refused("1").await, code, "{query}");
        client.is_quiet().await;
    }
    assert_eq!(app.node("node01")["spec"].get("unschedulable"), None);
}

#[tokio::test]
async fn what_one_caller_follows_is_bounded_by_what_it_costs() {
    let app = Simulated::start().await;
    let dear = "subscription { nodeChanged { nodes { workloads(first: 100) { nodes { name } } } } }";
    let (mut one, mut other) = (Client::of(app.service(), "admin").await, Client::of(app.service(), "admin").await);
    let mut followed = 0;
    let refused = loop {
        let (client, id) = (if followed % 2 == 0 { &mut one } else { &mut other }, followed.to_string());
        client.subscribe(&id, dear).await;
        let mut message = client.next().await;
        match message["type"].as_str() {
            Some("next") => followed += 1,
            _ => break message["payload"].take(),
        }
        assert!(followed < 50, "the sum of both sockets counts");
    };
    assert_eq!(refused[0]["extensions"]["code"], "TooExpensive", "{refused}");
    assert!(followed >= 4, "{followed}");
    // Another caller is not concerned, and who leaves one may follow another.
    let mut stranger = Client::of(app.service(), "lister").await;
    stranger.subscribe("1", "subscription { nodeChanged { removed } }").await;
    stranger.data().await;
    one.send(json!({ "type": "complete", "id": "0" })).await;
    one.subscribe("again", dear).await;
    assert_eq!(one.next().await["type"], "next");
}

#[tokio::test]
async fn who_reads_slowly_is_shown_the_latest_and_not_all_between() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "lister").await;
    client.subscribe("1", "subscription { nodeChanged(node: \"node02\") { nodes { labels } } }").await;
    client.data().await;
    for step in 1..=500 {
        let mut node = app.node("node02");
        node["metadata"]["labels"]["step"] = json!(step.to_string());
        app.kubernetes.put("nodes", node).unwrap();
        tokio::task::yield_now().await;
    }
    let mut seen = 1;
    while client.data().await["nodeChanged"]["nodes"][0]["labels"]["step"] != "500" {
        seen += 1;
    }
    // One more than the connection and the pace let through while they were made.
    assert!(seen < 100, "{seen} states were kept for who did not read");
}
