//! Evictions: budgets, preconditions, webhooks.

use std::{sync::Arc, time::Duration};

use careen_sim::api_server::ApiServer;
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::EvictParams};
use serde_json::{Value, json};

use crate::fixtures::{CONFIG_MAPS, PODS, config_map, pod, running_pod, send, server};

fn eviction(name: &str) -> Value {
    json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name } })
}

async fn evict(server: &ApiServer, name: &str) -> (u16, Value) {
    send(server, "POST", &format!("{PODS}/{name}/eviction"), eviction(name)).await
}

fn budget(server: &ApiServer, name: &str, allowed: i64, spec: Value) {
    let mut object = json!({
        "metadata": { "name": name, "namespace": "default", "generation": 1 },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "minAvailable": 1 },
        "status": {
            "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1 + allowed, "desiredHealthy": 1,
            "expectedPods": 2,
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    server.put("poddisruptionbudgets.policy", object).unwrap();
}

fn budget_status(server: &ApiServer, name: &str) -> Value {
    server.get("poddisruptionbudgets.policy", "default", name).unwrap()["status"].clone()
}

fn is_ending(server: &ApiServer, name: &str) -> bool {
    let pod = server.get("pods", "default", name);
    pod.is_none_or(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
}

#[tokio::test(start_paused = true)]
async fn an_eviction_marks_the_pod_and_deletes_it_with_its_grace() {
    let server = server();
    running_pod(&server, "a", true).await;
    let (code, status) = evict(&server, "a").await;
    assert_eq!(
        (code, status),
        (201, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 }))
    );
    let pod = server.get("pods", "default", "a").unwrap();
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(pod["metadata"]["deletionTimestamp"], "2026-11-24T12:00:30Z");
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let target = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").unwrap();
    assert_eq!(
        (&target["reason"], &target["message"]),
        (&json!("EvictionByEvictionAPI"), &json!("Eviction API: evicting"))
    );
}

#[tokio::test(start_paused = true)]
async fn each_eviction_takes_one_disruption_and_the_last_is_refused() {
    let server = server();
    budget(&server, "web", 1, json!({}));
    running_pod(&server, "a", true).await;
    running_pod(&server, "b", true).await;
    assert_eq!(evict(&server, "a").await.0, 201);
    let status = budget_status(&server, "web");
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["disruptedPods"]["a"], "2026-11-24T12:00:00Z");
    assert_eq!(status["conditions"][0]["reason"], "InsufficientPods");
    server
        .edit("poddisruptionbudgets.policy", "default", "web", |budget| budget["status"]["currentHealthy"] = json!(1))
        .unwrap();
    let (code, refusal) = evict(&server, "b").await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Cannot evict pod as it would violate the pod's disruption budget.", "reason": "TooManyRequests",
        "details": { "causes": [{
            "reason": "DisruptionBudget",
            "message": "The disruption budget web needs 1 healthy pods and has 1 currently",
        }] },
        "code": 429,
    });
    assert_eq!((code, refusal), (429, expected));
    assert!(!is_ending(&server, "b"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_takes_nothing() {
    let server = server();
    budget(&server, "web", 1, json!({}));
    running_pod(&server, "a", true).await;
    for _ in 0..2 {
        let uri = format!("{PODS}/a/eviction?dryRun=All");
        assert_eq!(send(&server, "POST", &uri, eviction("a")).await.0, 201);
        let mut in_body = eviction("a");
        in_body["deleteOptions"] = json!({ "dryRun": ["All"] });
        assert_eq!(send(&server, "POST", &format!("{PODS}/a/eviction"), in_body).await.0, 201);
    }
    assert_eq!(budget_status(&server, "web")["disruptionsAllowed"], 1);
    assert!(!is_ending(&server, "a"));
}

#[tokio::test(start_paused = true)]
async fn two_budgets_are_never_satisfied() {
    let server = server();
    budget(&server, "one", 1, json!({}));
    budget(&server, "two", 1, json!({}));
    running_pod(&server, "a", true).await;
    let (code, refusal) = evict(&server, "a").await;
    assert_eq!(code, 500);
    assert_eq!(refusal["reason"], Value::Null);
    assert_eq!(
        refusal["message"],
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_was_just_changed_asks_for_ten_seconds() {
    let server = server();
    budget(&server, "web", 1, json!({}));
    running_pod(&server, "a", true).await;
    server
        .edit("poddisruptionbudgets.policy", "default", "web", |budget| budget["metadata"]["generation"] = json!(2))
        .unwrap();
    let (code, refusal) = evict(&server, "a").await;
    assert_eq!((code, &refusal["details"]["retryAfterSeconds"]), (429, &json!(10)));
    assert_eq!(
        refusal["details"]["causes"][0]["message"],
        "The disruption budget web is still being processed by the server."
    );
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_not_ready_go_when_the_budget_is_healthy_or_says_so() {
    // Budget, whether a pod that is not ready may go.
    let healthy = json!({ "currentHealthy": 1, "desiredHealthy": 1 });
    let unhealthy = json!({ "currentHealthy": 0, "desiredHealthy": 1 });
    let cases = [
        (healthy.clone(), json!({}), 201),
        (unhealthy.clone(), json!({}), 429),
        (unhealthy, json!({ "unhealthyPodEvictionPolicy": "AlwaysAllow" }), 201),
    ];
    for (health, spec, expected) in cases {
        let server = server();
        budget(&server, "web", 0, spec.clone());
        let edit = |budget: &mut Value| {
            for (field, value) in health.as_object().unwrap() {
                budget["status"][field] = value.clone();
            }
        };
        server.edit("poddisruptionbudgets.policy", "default", "web", edit).unwrap();
        running_pod(&server, "a", false).await;
        assert_eq!(evict(&server, "a").await.0, expected, "{health} {spec}");
    }
}

#[tokio::test(start_paused = true)]
async fn finished_pending_and_ending_pods_ask_no_budget() {
    for phase in ["Pending", "Succeeded", "Failed"] {
        let server = server();
        budget(&server, "web", 0, json!({}));
        running_pod(&server, "a", true).await;
        server.edit("pods", "default", "a", |pod| pod["status"]["phase"] = phase.into()).unwrap();
        assert_eq!(evict(&server, "a").await.0, 201, "{phase}");
        assert!(is_ending(&server, "a"), "{phase}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_uid_is_a_conflict_and_burns_a_disruption() {
    let server = server();
    budget(&server, "web", 1, json!({}));
    let uid = running_pod(&server, "a", true).await["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut other = eviction("a");
    other["deleteOptions"] = json!({ "preconditions": { "uid": "x" } });
    let (code, refusal) = send(&server, "POST", &format!("{PODS}/a/eviction"), other.clone()).await;
    assert_eq!((code, &refusal["details"]), (409, &json!({ "name": "a", "kind": "Pod" })));
    assert_eq!(
        refusal["message"],
        format!(
            "Operation cannot be fulfilled on Pod \"a\": the UID in the precondition (x) does not match the UID in \
             record ({uid}). The object might have been deleted and then recreated"
        )
    );
    assert_eq!(budget_status(&server, "web")["disruptionsAllowed"], 0);
    assert!(!is_ending(&server, "a"));
    // Where no budget is asked, a real one tries for ten seconds.
    server.edit("pods", "default", "a", |pod| pod["status"]["phase"] = "Pending".into()).unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(send(&server, "POST", &format!("{PODS}/a/eviction"), other).await.0, 409);
    assert_eq!(start.elapsed(), Duration::from_millis(9500));
}

#[tokio::test(start_paused = true)]
async fn names_have_to_agree() {
    let server = server();
    running_pod(&server, "a", true).await;
    for body in [eviction("b"), json!({ "apiVersion": "policy/v1", "kind": "Eviction" })] {
        let (code, refusal) = send(&server, "POST", &format!("{PODS}/a/eviction"), body).await;
        assert_eq!((code, &refusal["reason"]), (400, &json!("BadRequest")));
        assert_eq!(refusal["message"], "name in URL does not match name in Eviction object");
    }
}

#[tokio::test(start_paused = true)]
async fn the_eviction_of_kube_which_loses_its_options_is_flagged() {
    let server = server();
    running_pod(&server, "a", true).await;
    let pods: Api<Pod> =
        Api::default_namespaced(server.as_user(careen_sim::api_server::User::administrator()).client());
    let options = EvictParams {
        delete_options: Some(kube::api::DeleteParams::default().grace_period(5)),
        ..EvictParams::default()
    };
    let kube::Error::Api(status) = pods.evict("a", &options).await.unwrap_err() else { panic!("not refused") };
    assert_eq!(status.code, 400);
    assert!(status.message.contains("deleteOptions"), "{}", status.message);
}

const WEBHOOK: &str = "virt-launcher-eviction-interceptor.kubevirt.io";

fn intercept(server: &ApiServer) {
    let configuration = json!({
        "metadata": { "name": "virt-api-validator" },
        "webhooks": [{
            "name": WEBHOOK,
            "clientConfig": { "service": { "namespace": "kubevirt", "name": "virt-api", "path": "/pod-eviction-validate" } },
            "rules": [{
                "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/eviction"],
                "scope": "*",
            }],
            "matchConditions": [{
                "name": "only-launchers", "expression": "object.metadata.name.startsWith(\"virt-launcher\")",
            }],
            "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"],
        }],
    });
    server.put("validatingwebhookconfigurations.admissionregistration.k8s.io", configuration).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_webhooks_denial_is_passed_on_as_it_is() {
    let server = server();
    intercept(&server);
    running_pod(&server, "virt-launcher-vm", true).await;
    running_pod(&server, "web", true).await;
    let handler = |review: Value| {
        let request = &review["request"];
        assert_eq!(request["operation"], "CREATE");
        assert_eq!(request["userInfo"]["username"], "kubernetes-admin");
        let name = request["object"]["metadata"]["name"].as_str().unwrap();
        let message = format!("Eviction triggered evacuation of VMI \"default/{name}\"");
        let response = json!({
            "uid": request["uid"], "allowed": false, "status": { "code": 429, "message": message },
        });
        async move { json!({ "response": response }) }.boxed()
    };
    server.register_webhook("kubevirt/virt-api", Arc::new(handler));
    let (code, refusal) = evict(&server, "virt-launcher-vm").await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!(
            "admission webhook \"{WEBHOOK}\" denied the request: Eviction triggered evacuation of VMI \
             \"default/virt-launcher-vm\""
        ),
        "code": 429,
    });
    assert_eq!((code, refusal), (429, expected));
    assert!(!is_ending(&server, "virt-launcher-vm"));
    assert_eq!(evict(&server, "web").await.0, 201);
}

/// So whoever has budgets on a VM's pod does not see them: not even that there are two.
#[tokio::test(start_paused = true)]
async fn a_webhook_answers_before_budgets_are_looked_at() {
    for budgets in [&["one"][..], &["one", "two"]] {
        let server = server();
        intercept(&server);
        running_pod(&server, "virt-launcher-vm", true).await;
        for name in budgets {
            budget(&server, name, 1, json!({}));
        }
        let denied = json!({ "response": { "allowed": false, "status": { "code": 429, "message": "no" } } });
        let handler = move |_| {
            let denied = denied.clone();
            async move { denied }.boxed()
        };
        server.register_webhook("kubevirt/virt-api", Arc::new(handler));
        let (code, refusal) = evict(&server, "virt-launcher-vm").await;
        assert_eq!((code, &refusal["details"]), (429, &Value::Null), "{budgets:?}");
        assert_eq!(refusal["message"], format!("admission webhook \"{WEBHOOK}\" denied the request: no"));
        assert_eq!(budget_status(&server, "one")["disruptionsAllowed"], 1, "{budgets:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_away_fails_the_eviction() {
    let server = server();
    intercept(&server);
    running_pod(&server, "virt-launcher-vm", true).await;
    running_pod(&server, "web", true).await;
    server.register_webhook("kubevirt/virt-api", Arc::new(|_| std::future::pending().boxed()));
    let url = "https://virt-api.kubevirt.svc:443/pod-eviction-validate?timeout=10s";
    let failed = |why: &str| {
        let why = format!("failed calling webhook \"{WEBHOOK}\": failed to call webhook: Post \"{url}\": {why}");
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("Internal error occurred: {why}"), "reason": "InternalError",
            "details": { "causes": [{ "message": why }] }, "code": 500,
        })
    };
    assert_eq!(evict(&server, "virt-launcher-vm").await, (500, failed("context deadline exceeded")));
    server.set_webhook_down("kubevirt/virt-api");
    let refused = failed("dial tcp virt-api.kubevirt.svc:443: connect: connection refused");
    assert_eq!(evict(&server, "virt-launcher-vm").await, (500, refused));
    assert_eq!(evict(&server, "web").await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_asked_about_new_objects_too() {
    let server = server();
    let configuration = json!({
        "metadata": { "name": "maps" },
        "webhooks": [{
            "name": "maps.example.com", "clientConfig": { "url": "https://127.0.0.1:1/maps" },
            "rules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"] }],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        }],
    });
    server.put("validatingwebhookconfigurations.admissionregistration.k8s.io", configuration).unwrap();
    let handler = |review: Value| {
        let allowed = review["request"]["object"]["metadata"]["name"] != "bad";
        async move { json!({ "response": { "allowed": allowed, "status": { "message": "no" } } }) }.boxed()
    };
    server.register_webhook("https://127.0.0.1:1/maps", Arc::new(handler));
    // A denial that says no code: as a real one.
    let (code, refusal) = send(&server, "POST", CONFIG_MAPS, config_map("bad")).await;
    assert_eq!(code, 400);
    assert_eq!(refusal["message"], "admission webhook \"maps.example.com\" denied the request: no");
    assert_eq!(send(&server, "POST", CONFIG_MAPS, config_map("good")).await.0, 201);
    let elsewhere = "/api/v1/namespaces/kube-system/configmaps";
    assert_eq!(send(&server, "POST", elsewhere, config_map("bad")).await.0, 201);
    assert_eq!(send(&server, "POST", PODS, pod("bad")).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_not_in_this_process_is_not_called() {
    let server = server();
    intercept(&server);
    running_pod(&server, "virt-launcher-vm", true).await;
    let (code, refusal) = evict(&server, "virt-launcher-vm").await;
    assert_eq!((code, &refusal["reason"]), (501, &json!("NotImplemented")), "{refusal}");
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("calling webhooks over the network") && message.contains(WEBHOOK), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_cannot_be_computed_forbids_the_request() {
    let server = server();
    intercept(&server);
    running_pod(&server, "virt-launcher-vm", true).await;
    server.register_webhook("kubevirt/virt-api", Arc::new(|_| std::future::pending().boxed()));
    let configurations = "validatingwebhookconfigurations.admissionregistration.k8s.io";
    let name = server.all(configurations)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let break_it = |configuration: &mut Value| {
        configuration["webhooks"][0]["matchConditions"][0]["expression"] = "object.nothing.like.this == 1".into();
    };
    server.edit(configurations, "", &name, break_it).unwrap();
    let (code, refusal) = evict(&server, "virt-launcher-vm").await;
    assert_eq!((code, &refusal["reason"]), (403, &json!("Forbidden")), "{refusal}");
    assert_eq!(refusal["details"], json!({ "name": "virt-launcher-vm", "kind": "pods" }));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_bound_to_no_node_is_gone_at_once() {
    let server = server();
    send(&server, "POST", PODS, pod("a")).await;
    assert_eq!(evict(&server, "a").await.0, 201);
    assert!(server.get("pods", "default", "a").is_none());
    assert_eq!(evict(&server, "a").await.0, 404);
}
