//! Who may not see something is shown null in its place, by both faces alike.

use careen_sim::{actors::kubevirt::definitions, api_server::ApiServer};
use serde_json::{Value, json};

use super::simulated::Simulated;

/// What GraphQL shows, whatever it refuses.
async fn asked(app: &Simulated, token: &str, query: &str) -> Value {
    app.send(token, "POST /graphql", Some(json!({ "query": query }))).await.ok()["data"].take()
}

/// The items of a list.
fn items(list: &Value) -> &Vec<Value> {
    list.as_array().unwrap()
}

/// Which of these members of an object are there; some are within others.
fn shown(object: &Value, members: &[&str]) -> Vec<bool> {
    members.iter().map(|member| object.pointer(member).is_some_and(|value| !value.is_null())).collect()
}

#[tokio::test]
async fn a_node_is_shown_with_its_maintenance_and_its_drain_to_who_may_see_those() {
    let app = Simulated::start().await;
    app.admin("POST /nodes/node01/drain", Some(json!({}))).await;
    app.admin("PUT /nodes/node02/maintenance", Some(json!({ "reason": "A fan", "ticket": { "id": "CHG1" } }))).await;
    app.until(|snapshot| snapshot.drain_orders().count() == 1 && snapshot.maintenances().count() == 1).await;
    let members = ["/drain", "/maintenance"];
    let query = "{ nodes { nodes { name drain { id } maintenance { name } } } }";
    for (token, node01, node02) in [
        ("lister", [false, false], [false, false]),
        ("planner", [true, false], [false, false]),
        ("viewer", [true, false], [false, true]),
    ] {
        let listed = app.send(token, "GET /nodes", None).await.ok();
        let asked = asked(&app, token, query).await;
        for nodes in [&listed["items"], &asked["nodes"]["nodes"]] {
            let found: Vec<_> = items(nodes).iter().map(|node| shown(node, &members)).collect();
            assert_eq!(found, [node01, node02], "{token}: {nodes}");
        }
        for (node, expected) in [("node01", node01), ("node02", node02)] {
            let got = app.send(token, &format!("GET /nodes/{node}"), None).await.ok();
            assert_eq!(shown(&got, &members), expected, "{token}: {got}");
        }
    }
    let cordoned = app.send("cordoner", "POST /nodes/node02/cordon?dryRun=true", None).await.ok();
    assert_eq!((&cordoned["node"]["name"], &cordoned["node"]["maintenance"]), (&json!("node02"), &Value::Null));
}

/// The answer would say which node has one.
#[tokio::test]
async fn who_may_not_see_maintenances_does_not_ask_for_the_nodes_that_have_one() {
    let app = Simulated::start().await;
    for under in [true, false] {
        let path = format!("GET /nodes?underMaintenance={under}");
        let refused = app.send("lister", &path, None).await;
        refused.problem(403, "Forbidden");
        let missing = json!(["list nodemaintenances.nodemaintenance.kubevirt.io"]);
        assert_eq!(refused.json()["missing"], missing);
        app.send("viewer", &path, None).await.ok();
        let query = json!({ "query": format!("{{ nodes(underMaintenance: {under}) {{ nodes {{ name }} }} }}") });
        let refused = app.send("lister", "POST /graphql", Some(query.clone())).await.ok();
        let error = &refused["errors"][0]["extensions"];
        assert_eq!((&error["code"], &error["missing"]), (&json!("Forbidden"), &missing), "{refused}");
        let answered = app.send("viewer", "POST /graphql", Some(query)).await.ok();
        assert_eq!(answered.get("errors"), None, "{answered}");
    }
}

/// Puts on node01 a pod with a budget, and a VM that migrates.
pub(super) fn fill(kubernetes: &ApiServer) {
    for kind in definitions::custom_resource_definitions() {
        kubernetes.put("customresourcedefinitions.apiextensions.k8s.io", kind).unwrap();
    }
    kubernetes.put("namespaces", json!({ "metadata": { "name": "shop" } })).unwrap();
    let named = |name: &str| json!({ "namespace": "shop", "name": name });
    let budget = json!({ "metadata": named("web"), "spec": { "selector": { "matchLabels": { "app": "web" } } },
        "status": { "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2 } });
    kubernetes.put("poddisruptionbudgets.policy", budget).unwrap();
    let vmi = json!({ "metadata": named("db"), "spec": { "evictionStrategy": "LiveMigrate", "domain": {} },
        "status": { "phase": "Running", "nodeName": "node01" } });
    let vmi = kubernetes.put("virtualmachineinstances.kubevirt.io", vmi).unwrap();
    let migration = json!({ "metadata": named("db-1"), "spec": { "vmiName": "db" }, "status": { "phase": "Pending" } });
    kubernetes.put("virtualmachineinstancemigrations.kubevirt.io", migration).unwrap();
    let owner = json!([{ "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db",
        "controller": true, "uid": vmi["metadata"]["uid"] }]);
    let mut launcher = named("virt-launcher-db");
    (launcher["labels"], launcher["ownerReferences"]) = (json!({ "kubevirt.io": "virt-launcher" }), owner);
    let mut web = named("web");
    web["labels"] = json!({ "app": "web" });
    for metadata in [launcher, web] {
        let spec =
            json!({ "nodeName": "node01", "containers": [{ "name": "main", "image": "registry.example/main:1" }] });
        kubernetes
            .put("pods", json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Running" } }))
            .unwrap();
    }
}

#[tokio::test]
async fn a_workload_is_shown_with_its_budgets_and_its_vm_to_who_may_see_those() {
    let app = Simulated::start_with(fill).await;
    let members = ["/budgets", "/virtualMachineInstance", "/virtualMachineInstance/migration"];
    let query = "{ nodes(first: 1) { nodes { workloads { nodes { name budgets { name } \
                 virtualMachineInstance { name migration { phase } } } } } } }";
    let instances = "{ virtualMachineInstances { nodes { name migration { phase } } } }";
    for (token, vm, web) in [
        ("planner", [false, false, false], [false, false, false]),
        ("vm-planner", [false, true, false], [false, false, false]),
        ("viewer", [true, true, true], [true, false, false]),
    ] {
        let listed = app.send(token, "GET /nodes/node01/workloads", None).await.ok();
        let asked_workloads = asked(&app, token, query).await;
        for workloads in [&listed["items"], &asked_workloads["nodes"]["nodes"][0]["workloads"]["nodes"]] {
            let found: Vec<_> = items(workloads).iter().map(|workload| shown(workload, &members)).collect();
            assert_eq!(found, [vm, web], "{token}: {workloads}");
        }
        if token == "planner" {
            continue;
        }
        let listed = app.send(token, "GET /virtualmachineinstances", None).await.ok();
        let asked = asked(&app, token, instances).await;
        for found in [&listed["items"], &asked["virtualMachineInstances"]["nodes"]] {
            assert_eq!(shown(&items(found)[0], &["/migration"]), [vm[2]], "{token}: {found}");
        }
    }
}
