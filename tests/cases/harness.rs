//! The harness itself, and that the stand-in for KubeVirt answers as the real one was seen to.

use careen_tests::{
    case::Case,
    kubevirt::{HOLD, VirtApiIs, Vm},
    objects::{CLUSTER, kinds, name_of, text, uid_of},
    wait::{check, soon},
};
use serde_json::json;

pub async fn a_node_and_its_pods_live_and_leave(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 3, 1).await;
    case.daemon_set("agent").await;
    case.ready_on(&a, 4).await;
    let before = case.look_of(&a).await;
    case.stays_untouched(&a, &before).await;
    case.budget("web", "web", json!({"maxUnavailable": 1}), 1).await;
    let b = case.node("b").await;
    case.cluster().merge(kinds::NODE, CLUSTER, &a, json!({"spec": {"unschedulable": true}})).await;
    let pod = case.names_on(&a).await.into_iter().find(|name| name.starts_with("web")).unwrap();
    assert_eq!(case.cluster().evict(&case.namespace, &pod, false).await.0, 201);
    // One of the Deployment and one of the DaemonSet.
    case.ready_on(&b, 2).await;
    case.available("web", 3).await;
}

pub async fn the_audit_log_counts_requests(case: Case) {
    let audit = case.suite.audit();
    let mark = audit.mark();
    case.cluster().find(kinds::POD, &case.namespace, "nobody").await;
    let namespace = case.namespace.clone();
    let asked = audit.since(mark).that(|request| request.object.namespace == namespace);
    assert_eq!(asked.len(), 1, "{asked}");
    let request = &asked.0[0];
    assert!(request.is("get", "pods") && request.code() == 404 && !request.is_careens(), "{request}");
}

pub async fn kubectl_talks_to_the_cluster(case: Case) {
    let found = case.kubectl(&["get", "namespace", &case.namespace, "-o", "name"], "").await.ok();
    assert_eq!(found.stdout.trim(), format!("namespace/{}", case.namespace));
    let refused = case.kubectl(&["get", "namespace", "no-such-namespace"], "").await.refused();
    assert!(refused.contains("not found"), "{refused}");
}

pub async fn the_maintenance_resource_is_served(case: Case) {
    let name = case.name("nobody-maintenance");
    // Careen need not run for this: the API server takes it.
    let manifest = case.manifest(&name, &case.name("nobody"));
    let _ = case.apply(&manifest).await.ok();
    let listed = case.kubectl(&["get", "nm", &name], "").await.ok().stdout;
    let columns: Vec<&str> = listed.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "NODE", "PHASE", "PROGRESS", "BLOCKED", "TICKET", "AGE"]);
    case.cluster().merge(kinds::MAINTENANCE, CLUSTER, &name, json!({"metadata": {"finalizers": null}})).await;
    case.cluster().delete(kinds::MAINTENANCE, CLUSTER, &name).await;
}

pub async fn evictions_of_vms_are_answered_as_kubevirt_does(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let answer = async |name: &str, vm: Vm| {
        let vmi = case.vm(name, vm).await;
        let pod = case.launcher(&vmi, &a).await;
        case.cluster().evict(&case.namespace, &pod, true).await
    };
    let said = |text: &str| {
        let webhook = "admission webhook \"virt-launcher-eviction-interceptor.kubevirt.io\" denied the request";
        (429, format!("{webhook}: {text}"))
    };
    let triggered = |name: &str| said(&format!("Eviction triggered evacuation of VMI \"{}/{name}\"", case.namespace));
    let stuck = Vm { not_migratable: Some("DisksNotLiveMigratable"), ..Vm::LIVE_MIGRATE };
    let not_migratable = "VMI stuck is configured with an eviction strategy but is not live-migratable";
    let bare = Vm { run_strategy: None, ..Vm::NO_STRATEGY };
    assert_eq!(answer("live", Vm::LIVE_MIGRATE).await, triggered("live"));
    assert_eq!(answer("stuck", stuck).await, said(not_migratable));
    assert_eq!(answer("possible", Vm { strategy: "LiveMigrateIfPossible", ..stuck }).await.0, 201);
    assert_eq!(answer("external", Vm { strategy: "External", ..stuck }).await, triggered("external"));
    assert_eq!(answer("none", Vm::NO_STRATEGY).await.0, 201);
    assert_eq!(answer("bare", bare).await.0, 201);
    // A dry run marks nothing.
    assert_eq!(text(&case.vmi("live").await, "/status/evacuationNodeName"), "");
    case.virt_api(VirtApiIs::Down).await;
    let pod = case.launcher(&case.vmi("none").await, &a).await;
    let (code, message) = case.cluster().evict(&case.namespace, &pod, false).await;
    assert!(code == 500 && message.contains("failed calling webhook"), "{code} {message}");
}

pub async fn an_evicted_vm_migrates(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    let b = case.node("b").await;
    let pod = case.launcher(&vmi, &a).await;
    assert_eq!(case.cluster().evict(&case.namespace, &pod, false).await.0, 429);
    let moved = case.vmi_runs("db", Some(&b)).await;
    assert_eq!(uid_of(&moved), uid_of(&vmi));
    assert_eq!(text(&moved, "/status/evacuationNodeName"), "");
    let migration = case.migration_is("db", "Succeeded").await;
    assert!(name_of(&migration).starts_with("kubevirt-evacuation-"), "{migration}");
    // Its node says so a moment after KubeVirt has called the migration over.
    soon("the source has ended", async || {
        let source = case.cluster().get(kinds::POD, &case.namespace, &pod).await;
        check(text(&source, "/status/phase") == "Succeeded", || source["status"].to_string())
    })
    .await;
}

pub async fn an_evacuation_can_be_cancelled(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("db", Vm::LIVE_MIGRATE).await;
    case.tell("db", HOLD, Some("Pending")).await;
    let pod = case.launcher(&vmi, &a).await;
    case.cluster().evict(&case.namespace, &pod, false).await;
    let migration = case.migration_is("db", "Pending").await;
    let url = format!(
        "/apis/subresources.kubevirt.io/v1/namespaces/{}/virtualmachineinstances/db/evacuate/cancel",
        case.namespace
    );
    let put = async |accept: &str, body: serde_json::Value| {
        let request = http::Request::put(&url)
            .header("accept", accept)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap();
        case.cluster().raw(request).await
    };
    let right = json!({"evacuationNodeName": a});
    assert_eq!(put("application/json", right.clone()).await.0, 406);
    assert_eq!(put("*/*", json!({"evacuationNodeName": "another"})).await.0, 500);
    assert_eq!(put("*/*", right.clone()).await, (200, String::new()));
    assert_eq!(text(&case.vmi("db").await, "/status/evacuationNodeName"), "");
    assert_eq!(put("*/*", right).await, (200, String::new()));
    // Marked no more, it is not replaced when it is deleted (once, where virt-controller has not seen yet that it is
    // not).
    case.cluster().delete(kinds::MIGRATION, &case.namespace, name_of(&migration)).await;
    soon("the migration is gone", async || {
        let left = case.cluster().list(kinds::MIGRATION, &case.namespace).await;
        for migration in &left {
            case.cluster().delete(kinds::MIGRATION, &case.namespace, name_of(migration)).await;
        }
        check(left.is_empty(), || format!("{left:?}"))
    })
    .await;
    case.vmi_runs("db", Some(&a)).await;
}

pub async fn a_vm_without_a_strategy_starts_again_elsewhere(case: Case) {
    case.with_kubevirt().await;
    let a = case.node("a").await;
    let vmi = case.vm("old", Vm::NO_STRATEGY).await;
    let b = case.node("b").await;
    case.cluster().merge(kinds::NODE, CLUSTER, &a, json!({"spec": {"unschedulable": true}})).await;
    let pod = case.launcher(&vmi, &a).await;
    assert_eq!(case.cluster().evict(&case.namespace, &pod, false).await.0, 201);
    let started = case.vmi_runs("old", Some(&b)).await;
    assert_ne!(uid_of(&started), uid_of(&vmi));
    assert_eq!(case.names_on(&a).await, [] as [String; 0]);
}
