//! The REST service: who may do what, and drains as an operation.

use careen_tests::{
    case::Case,
    objects::{CLUSTER, kinds, name_of, text},
    rest::Answer,
    wait::{DRAIN, check, soon, until},
};
use futures::future::join_all;
use serde_json::{Value, json};

const MAINTENANCES: &str = "/api/v1/maintenances";

fn missing(answer: &Answer) -> Vec<&str> {
    answer.body["missing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub async fn nobody_gets_in_without_a_token_that_kubernetes_knows(case: Case) {
    let a = case.node("a").await;
    for caller in [case.anonymous(), case.caller("no-token-of-this-cluster")] {
        let refused = caller.get(&format!("/api/v1/nodes/{a}")).await;
        assert_eq!((refused.code, text(&refused.body, "/reason")), (401, "Unauthorized"));
        assert!(refused.field("www-authenticate").starts_with("Bearer"), "{}", refused.header);
    }
}

pub async fn who_reads_nodes_sees_no_workloads(case: Case) {
    let a = case.node("a").await;
    let token = case.account("reader", &["get list nodes"]).await;
    let reader = case.caller(&token);
    let node = reader.get(&format!("/api/v1/nodes/{a}")).await.expect(200);
    assert_eq!(text(&node, "/name"), a);
    let refused = reader.get(&format!("/api/v1/nodes/{a}/workloads")).await;
    assert_eq!((refused.code, missing(&refused)), (403, vec!["list pods"]));
    let refused = reader.post(&format!("/api/v1/nodes/{a}/cordon"), json!({})).await;
    assert_eq!(refused.code, 403);
    assert!(missing(&refused)[0].starts_with("patch nodes"), "{}", refused.body);
}

pub async fn who_may_cordon_may_not_drain(case: Case) {
    let a = case.node("a").await;
    case.pod("web", &a, json!({})).await;
    case.ready_on(&a, 1).await;
    let token = case.account("cordoner", &["get list patch nodes"]).await;
    let cordoner = case.caller(&token);
    // In one namespace it may all that a drain needs.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "evict", "namespace": case.namespace},
        "rules": [
            {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
        ],
    });
    case.cluster().create(role).await;
    case.bind(json!({"kind": "Role", "name": "evict"}), "cordoner", &case.namespace).await;
    let before = case.look_of(&a).await;
    let refused = cordoner.post(&format!("/api/v1/nodes/{a}/drain"), json!({})).await;
    assert_eq!((refused.code, missing(&refused)), (403, vec!["create pods/eviction", "delete pods"]));
    case.stays_untouched(&a, &before).await;
    assert_eq!(case.evictions().count(), 0);

    let change = cordoner.post(&format!("/api/v1/nodes/{a}/cordon"), json!({})).await.expect(200);
    assert_eq!(change["changed"], true);
    // Before that, the caches may show a node that is not cordoned, which needs no uncordon.
    soon("Careen sees the cordon", async || {
        let node = cordoner.get(&format!("/api/v1/nodes/{a}")).await.check(200)?;
        check(node["schedulable"] == false, || node.to_string())
    })
    .await;
    let change = cordoner.post(&format!("/api/v1/nodes/{a}/uncordon"), json!({})).await.expect(200);
    assert_eq!(change["changed"], true);
    case.looks_again(&a, &before).await;
}

pub async fn who_may_create_maintenances_may_nothing_else(case: Case) {
    let a = case.node("a").await;
    let b = case.node("b").await;
    let token = case.account("starter", &["create nodemaintenances.nodemaintenance.kubevirt.io"]).await;
    let starter = case.caller(&token);
    let before = case.look_of(&a).await;
    let name = format!("{a}-maintenance");
    let ticket = json!({"id": "CHG0031"});
    let wanted = json!({"node": a, "name": name, "reason": "A new disk", "ticket": ticket});
    let answer = starter.post(MAINTENANCES, wanted).await;
    assert_eq!((answer.code, answer.field("location")), (201, format!("{MAINTENANCES}/{name}").as_str()));
    let object = case.drained(&name).await;
    assert_eq!((text(&object, "/spec/ticket/id"), text(&object, "/spec/reason")), ("CHG0031", "A new disk"));
    assert_eq!(starter.get(&format!("{MAINTENANCES}/{name}")).await.code, 403);
    assert_eq!(starter.delete(&format!("{MAINTENANCES}/{name}")).await.code, 403);
    let put = starter.send("PUT", &format!("/api/v1/nodes/{b}/maintenance"), json!({})).await;
    assert_eq!((put.code, missing(&put)), (403, vec!["patch nodemaintenances.nodemaintenance.kubevirt.io"]));

    let token = case.account("ticketing", &["* nodemaintenances.nodemaintenance.kubevirt.io"]).await;
    let ticketing = case.caller(&token);
    let node = format!("/api/v1/nodes/{a}/maintenance");
    // The same again, another ticket's, and the end.
    let again = ticketing.send("PUT", &node, json!({"reason": "A new disk", "ticket": ticket})).await.expect(200);
    assert_eq!(again["name"], name.as_str());
    let other = ticketing.send("PUT", &node, json!({"ticket": {"id": "CHG0099"}})).await;
    assert_eq!((other.code, text(&other.body, "/reason")), (409, "AlreadyUnderMaintenance"));
    let other = ticketing.delete(&format!("{node}?ticket=CHG0099")).await;
    assert_eq!((other.code, text(&other.body, "/reason")), (412, "TicketMismatch"));
    let _ = ticketing.delete(&format!("{node}?ticket=CHG0031")).await.expect(202);
    case.looks_again(&a, &before).await;
    soon("the maintenance is gone", async || {
        let answer = ticketing.get(&node).await;
        check(answer.code == 404, || answer.body.to_string())
    })
    .await;
}

pub async fn a_drain_is_ordered_followed_and_forgotten_when_the_node_is_uncordoned(case: Case) {
    let a = case.node("a").await;
    for number in 0..3 {
        case.pod(&format!("web{number}"), &a, json!({})).await;
    }
    case.ready_on(&a, 3).await;
    let before = case.look_of(&a).await;
    let token = case.account_with("operator", "careen-operator").await;
    let operator = case.caller(&token);
    let path = format!("/api/v1/nodes/{a}/drain");
    // Whoever comes first: it is one drain, and all hear of it.
    let force = json!({"unmanagedPods": "Evict"});
    let ordered = join_all((0..8).map(|_| operator.post(&path, force.clone()))).await;
    let ids: Vec<Value> = ordered.into_iter().map(|answer| answer.expect(202)["id"].take()).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.is_string()), "{ids:?}");
    let drain = soon("the drain is over", async || {
        let drain = operator.get(&path).await.check(200)?;
        check(!drain["outcome"].is_null(), || drain.to_string())?;
        Ok(drain)
    })
    .await;
    assert_eq!((text(&drain, "/phase"), &drain["id"]), ("Drained", &ids[0]));
    assert_eq!(case.evictions().answered(201), 3);
    let _ = operator.post(&format!("/api/v1/nodes/{a}/uncordon"), json!({})).await.expect(200);
    case.looks_again(&a, &before).await;
    // The leader keeps it for 30 s after the outcome.
    until(DRAIN, "the order is gone", async || {
        let orders = case.cluster().list(kinds::CONFIG_MAP, "careen").await;
        let left: Vec<&str> = orders.iter().map(name_of).filter(|name| name.contains(&a)).collect();
        check(left.is_empty(), || format!("{left:?}"))
    })
    .await;
    soon("the drain is forgotten", async || operator.get(&path).await.check(404).map(drop)).await;
}

pub async fn a_cancelled_drain_leaves_the_node_cordoned(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 2).await;
    case.budget("web", "web", json!({"minAvailable": 2}), 0).await;
    let token = case.account_with("operator", "careen-operator").await;
    let operator = case.caller(&token);
    let path = format!("/api/v1/nodes/{a}/drain");
    let _ = operator.post(&path, json!({})).await.expect(202);
    soon("it is stuck", async || {
        let drain = operator.get(&path).await.check(200)?;
        check(drain["blocking"].as_array().is_some_and(|blocking| blocking.len() == 2), || drain.to_string())
    })
    .await;
    let refused = operator.post(&path, json!({"timeout": "5m"})).await;
    assert_eq!((refused.code, text(&refused.body, "/reason")), (409, "DrainInProgress"));
    let refused = operator.post(&format!("/api/v1/nodes/{a}/uncordon"), json!({})).await;
    assert_eq!((refused.code, text(&refused.body, "/reason")), (409, "DrainInProgress"));
    let _ = operator.delete(&path).await.expect(202);
    soon("it is cancelled", async || {
        let drain = operator.get(&path).await.check(200)?;
        check(text(&drain, "/phase") == "Cancelled", || drain.to_string())
    })
    .await;
    assert_eq!(case.cluster().get(kinds::NODE, CLUSTER, &a).await["spec"]["unschedulable"], true);
    assert_eq!(case.evictions().answered(201), 0);
}

pub async fn the_roles_for_users_fit_the_operations(case: Case) {
    let a = case.node("a").await;
    let viewer = case.account_with("viewer", "careen-viewer").await;
    let viewer = case.caller(&viewer);
    for path in ["", "/workloads", "/plan"] {
        let _ = viewer.get(&format!("/api/v1/nodes/{a}{path}")).await.expect(200);
    }
    for path in [MAINTENANCES, "/api/v1/virtualmachineinstances", "/api/v1/migrations"] {
        let _ = viewer.get(path).await.expect(200);
    }
    let changes = [
        ("POST", format!("/api/v1/nodes/{a}/cordon"), json!({})),
        ("POST", format!("/api/v1/nodes/{a}/uncordon"), json!({})),
        ("PUT", format!("/api/v1/nodes/{a}/taints"), json!({"key": "a", "effect": "NoSchedule"})),
        ("DELETE", format!("/api/v1/nodes/{a}/taints?key=a"), Value::Null),
        ("POST", format!("/api/v1/nodes/{a}/drain"), json!({})),
        ("DELETE", format!("/api/v1/nodes/{a}/drain"), Value::Null),
        ("PUT", format!("/api/v1/nodes/{a}/maintenance"), json!({})),
        ("DELETE", format!("/api/v1/nodes/{a}/maintenance"), Value::Null),
        ("POST", MAINTENANCES.to_owned(), json!({"node": a})),
    ];
    for (method, path, body) in &changes {
        assert_eq!(viewer.send(method, path, body.clone()).await.code, 403, "{method} {path}");
    }
    let operator = case.account_with("operator", "careen-operator").await;
    let operator = case.caller(&operator);
    for (method, path, body) in &changes {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = operator.send(method, &format!("{path}{separator}dryRun=true"), body.clone()).await;
        assert_ne!(answer.code, 403, "{method} {path}: {}", answer.body);
    }
    // What shuts VMs down is for admins.
    let path = format!("/api/v1/nodes/{a}/drain?dryRun=true");
    let drain = json!({"vmThatCannotMigrate": "ShutDown"});
    let refused = operator.post(&path, drain.clone()).await;
    assert_eq!((refused.code, missing(&refused)), (403, vec!["delete virtualmachineinstances.kubevirt.io"]));
    let admin = case.account_with("admin", "careen-admin").await;
    let _ = case.caller(&admin).post(&path, drain).await.expect(200);
}

/// The names of the events of a stream, and the id of the last but one.
fn events(stream: &Answer) -> (Vec<&str>, &str) {
    let field = |name: &'static str| stream.text.lines().filter_map(move |line| line.strip_prefix(name)).map(str::trim);
    (field("event:").collect(), field("id:").rev().nth(1).unwrap_or_default())
}

pub async fn a_maintenance_is_followed_to_its_end_and_waited_for(case: Case) {
    let a = case.node("a").await;
    case.pod("web", &a, json!({})).await;
    case.ready_on(&a, 1).await;
    let before = case.look_of(&a).await;
    let token = case.account_with("operator", "careen-operator").await;
    let operator = case.caller(&token);
    let node = format!("/api/v1/nodes/{a}/maintenance");
    let plan = operator.send("PUT", &format!("{node}?dryRun=true"), json!({})).await.expect(200);
    assert_eq!((text(&plan, "/node"), &plan["counts"]["evict"]), (a.as_str(), &json!(1)));
    case.stays_untouched(&a, &before).await;

    let done = operator.send("PUT", &format!("{node}?wait=60s"), json!({"ticket": {"id": "CHG1"}})).await;
    assert_eq!((done.code, text(&done.body, "/phase")), (201, "Succeeded"), "{}", done.body);
    let follow = format!("{}/events", done.field("location"));
    let (stream, ended) = tokio::join!(operator.get(&follow), async {
        soon("it is followed", async || {
            let (_, metrics) = case.suite.careen_page("/metrics").await?;
            check(metrics.contains("careen_http_event_streams 1"), || "nobody follows".to_owned())
        })
        .await;
        operator.delete(&format!("{node}?ticket=CHG1&wait=60s")).await
    });
    assert_eq!((ended.code, text(&ended.body, "/phase")), (200, "Ended"), "{}", ended.body);
    let (names, last_but_one) = events(&stream);
    assert_eq!((names.first(), names.last()), (Some(&"snapshot"), Some(&"MaintenanceEnded")), "{}", stream.text);
    case.looks_again(&a, &before).await;
    // Who was away at the end is told of it.
    let resumed = operator.send_with("GET", &follow, Value::Null, &[("Last-Event-ID", last_but_one)]).await;
    assert_eq!(events(&resumed).0, ["MaintenanceEnded"], "{}", resumed.text);
    assert_eq!(operator.get(&follow).await.code, 404);
}

pub async fn a_key_is_good_after_a_restart_and_after_the_end(case: Case) {
    let a = case.node("a").await;
    let before = case.look_of(&a).await;
    let token = case.account_with("operator", "careen-operator").await;
    let operator = case.caller(&token);
    let (key, wanted) = (case.name("start"), json!({"node": a, "ticket": {"id": "CHG1"}}));
    let key = [("Idempotency-Key", key.as_str())];
    let start = async || operator.send_with("POST", MAINTENANCES, wanted.clone(), &key).await;
    let first = start().await;
    assert_eq!(first.code, 201, "{}", first.body);
    case.drained(text(&first.body, "/name")).await;
    case.suite.kill_careen().await;
    case.suite.start_careen().await.unwrap();
    let again = start().await;
    assert_eq!((again.code, again.field("idempotency-replayed")), (201, "true"), "{}", again.body);
    assert_eq!((&again.body["uid"], text(&again.body, "/phase")), (&first.body["uid"], "Succeeded"));
    let other = operator.send_with("POST", MAINTENANCES, json!({"node": case.name("b")}), &key).await;
    assert_eq!((other.code, text(&other.body, "/reason")), (422, "IdempotencyKeyReused"));

    let stopped = operator.delete(&format!("{}?wait=60s", again.field("location"))).await;
    assert_eq!(stopped.code, 200, "{}", stopped.body);
    case.looks_again(&a, &before).await;
    soon("its end is known", async || {
        let after = start().await;
        assert_eq!((after.code, &after.body["uid"]), (201, &first.body["uid"]), "{}", after.body);
        check(text(&after.body, "/phase") == "Ended", || after.body.to_string())
    })
    .await;
    case.stays_untouched(&a, &before).await;
}
