//! Who may do what, and what is written down of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use careen_sim::api_server::{ApiServer, Options, User, authorization::Authorization};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixtures::{CONFIG_MAPS, PODS, clock, config_map, running_pod, send, send_as};

fn server() -> ApiServer {
    let tokens = BTreeMap::from([("secret".to_owned(), User::service_account("careen", "careen"))]);
    let options = Options {
        authorization: Authorization::Rbac,
        without_token: User::anonymous(),
        tokens,
        ..Options::new(clock(), 1)
    };
    ApiServer::new(options)
}

fn allow(server: &ApiServer, user: &str, rules: Value) {
    let role = json!({ "metadata": { "name": "role" }, "rules": rules });
    server.put("clusterroles.rbac.authorization.k8s.io", role).unwrap();
    let binding = json!({
        "metadata": { "name": "binding" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "role" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user }],
    });
    server.put("clusterrolebindings.rbac.authorization.k8s.io", binding).unwrap();
}

async fn as_alice(server: &ApiServer, method: &str, uri: &str, body: Value) -> (u16, Value) {
    send_as(server, User::new("alice", &[]), method, uri, "application/json", body).await
}

#[tokio::test(start_paused = true)]
async fn what_nobody_allows_is_forbidden_and_says_what_is_missing() {
    let server = server();
    running_pod(&server, "a", true).await;
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a" } });
    let (code, refusal) = as_alice(&server, "POST", &format!("{PODS}/a/eviction"), eviction).await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "pods \"a\" is forbidden: User \"alice\" cannot create resource \"pods/eviction\" in API group \"\" in \
                    the namespace \"default\"",
        "reason": "Forbidden", "details": { "name": "a", "kind": "pods" }, "code": 403,
    });
    assert_eq!((code, refusal), (403, expected));
    let cases = [
        (
            "/api/v1/nodes",
            "nodes is forbidden: User \"alice\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
        ),
        (
            "/apis/apps/v1/deployments?watch=true",
            "deployments.apps is forbidden: User \"alice\" cannot watch resource \"deployments\" in API group \"apps\" at the cluster scope",
        ),
        ("/metrics", "forbidden: User \"alice\" cannot get path \"/metrics\""),
    ];
    for (uri, message) in cases {
        let (code, refusal) = as_alice(&server, "GET", uri, Value::Null).await;
        assert_eq!((code, &refusal["message"]), (403, &json!(message)));
    }
}

#[tokio::test(start_paused = true)]
async fn roles_allow_verbs_resources_names_and_subresources() {
    let rule =
        |verbs: &[&str], resources: &[&str]| json!([{ "apiGroups": [""], "verbs": verbs, "resources": resources }]);
    let eviction = format!("{PODS}/a/eviction?dryRun=All");
    let cases = [
        (rule(&["get"], &["pods"]), "GET", format!("{PODS}/a"), 200),
        (rule(&["get"], &["pods"]), "GET", PODS.to_owned(), 403),
        (rule(&["*"], &["*"]), "GET", PODS.to_owned(), 200),
        (rule(&["create"], &["pods"]), "POST", eviction.clone(), 403),
        (rule(&["create"], &["pods/eviction"]), "POST", eviction.clone(), 201),
        (rule(&["create"], &["*/eviction"]), "POST", eviction, 201),
        (
            json!([{ "apiGroups": [""], "verbs": ["get"], "resources": ["pods"], "resourceNames": ["b"] }]),
            "GET",
            format!("{PODS}/a"),
            403,
        ),
        (
            json!([{ "apiGroups": [""], "verbs": ["list"], "resources": ["pods"], "resourceNames": ["a"] }]),
            "GET",
            format!("{PODS}?fieldSelector=metadata.name%3Da"),
            200,
        ),
        (json!([{ "nonResourceURLs": ["/met*"], "verbs": ["get"] }]), "GET", "/metrics".into(), 404),
    ];
    for (rules, method, uri, expected) in cases {
        let server = server();
        running_pod(&server, "a", true).await;
        allow(&server, "alice", rules.clone());
        let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a" } });
        let body = if method == "POST" { body } else { Value::Null };
        assert_eq!(as_alice(&server, method, &uri, body).await.0, expected, "{rules} {uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_binding_counts_in_its_namespace_only() {
    let server = server();
    let role = json!({
        "metadata": { "name": "r", "namespace": "default" },
        "rules": [{ "apiGroups": [""], "verbs": ["list"], "resources": ["pods"] }],
    });
    server.put("roles.rbac.authorization.k8s.io", role).unwrap();
    let binding = json!({
        "metadata": { "name": "b", "namespace": "default" }, "roleRef": { "kind": "Role", "name": "r" },
        "subjects": [{ "kind": "ServiceAccount", "name": "robot" }],
    });
    server.put("rolebindings.rbac.authorization.k8s.io", binding).unwrap();
    let robot = User::service_account("default", "robot");
    for (uri, expected) in [(PODS, 200), ("/api/v1/namespaces/kube-system/pods", 403), ("/api/v1/pods", 403)] {
        let (code, _) = send_as(&server, robot.clone(), "GET", uri, "application/json", Value::Null).await;
        assert_eq!(code, expected, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_tell_who_asks() {
    let server = server();
    let ask = async |token: Option<&str>| {
        let mut request = http::Request::builder().method("POST").header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.uri("/apis/authentication.k8s.io/v1/selfsubjectreviews");
        let response = server.by_token().oneshot(request.body(Full::from("{}")).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (code, review) = ask(Some("secret")).await;
    assert_eq!((code, &review["status"]["userInfo"]["username"]), (201, &json!("system:serviceaccount:careen:careen")));
    let (code, refusal) = ask(Some("other")).await;
    assert_eq!((code, &refusal["message"]), (401, &json!("Unauthorized")));
    let (code, refusal) = ask(None).await;
    assert_eq!(code, 403);
    assert!(refusal["message"].as_str().unwrap().contains("User \"system:anonymous\" cannot create"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn reviews_answer_from_the_same_roles_and_tokens() {
    let server = server();
    allow(&server, "alice", json!([{ "apiGroups": [""], "verbs": ["get"], "resources": ["pods"] }]));
    let access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, allowed) in [("get", true), ("list", false)] {
        let review = json!({ "spec": { "resourceAttributes": { "verb": verb, "resource": "pods" } } });
        let (code, review) = as_alice(&server, "POST", access, review).await;
        assert_eq!((code, &review["status"]["allowed"]), (201, &json!(allowed)));
    }
    let review = json!({ "spec": { "user": "alice", "resourceAttributes": { "verb": "get", "resource": "pods" } } });
    let (_, review) = send(&server, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review).await;
    assert_eq!(
        review["status"]["reason"],
        "RBAC: allowed by ClusterRoleBinding \"binding\" of ClusterRole \"role\" to User \"alice\""
    );
    for (token, authenticated) in [("secret", json!(true)), ("other", Value::Null)] {
        let review = json!({ "spec": { "token": token } });
        let (_, review) = send(&server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).await;
        assert_eq!(review["status"]["authenticated"], authenticated);
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_written_down_and_a_watch_when_it_ends() {
    let events = Arc::new(Mutex::new(Vec::<Value>::new()));
    let sink = events.clone();
    let audit: careen_sim::api_server::audit::Sink = Arc::new(move |event| sink.lock().unwrap().push(event.clone()));
    let server = ApiServer::new(Options { audit: Some(audit), ..Options::new(clock(), 1) });
    send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
    send(&server, "GET", &format!("{CONFIG_MAPS}/b"), Value::Null).await;
    send(&server, "GET", &format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=7"), Value::Null).await;
    let events = events.lock().unwrap();
    let short = events.iter().map(|event| {
        let (verb, code) = (event["verb"].as_str().unwrap(), event["responseStatus"]["code"].as_u64().unwrap());
        format!("{verb} {} {code}", event["objectRef"]["name"].as_str().unwrap_or_default())
    });
    assert_eq!(short.collect::<Vec<_>>(), ["create a 201", "get b 404", "watch  200"]);
    let watch = &events[2];
    assert_eq!(watch["requestReceivedTimestamp"], "2026-11-24T12:00:00.000000Z");
    assert_eq!(watch["stageTimestamp"], "2026-11-24T12:00:07.000000Z");
    assert_eq!(watch["stage"], "ResponseComplete");
    assert_eq!(watch["objectRef"], json!({ "resource": "configmaps", "namespace": "default", "apiVersion": "v1" }));
    assert_eq!(events[1]["responseStatus"]["reason"], "NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_an_account_holds_for_its_time_and_for_that_account_only() {
    let server = server();
    let account = || json!({ "metadata": { "name": "robot", "namespace": "default" } });
    server.put("serviceaccounts", account()).unwrap();
    let token_of =
        async |body: Value| send(&server, "POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", body).await;
    let (code, answer) = token_of(json!({ "spec": { "expirationSeconds": 600 } })).await;
    assert_eq!((code, &answer["status"]["expirationTimestamp"]), (201, &json!("2026-11-24T12:10:00Z")));
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let who = async || {
        let review = json!({ "spec": { "token": token } });
        send(&server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).await.1["status"].take()
    };
    assert_eq!(who().await["user"]["username"], "system:serviceaccount:default:robot");
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    assert_eq!(who().await["authenticated"], Value::Null);

    let (_, answer) = token_of(json!({})).await;
    let again = json!({ "spec": { "token": answer["status"]["token"] } });
    let (code, _) = send(&server, "DELETE", "/api/v1/namespaces/default/serviceaccounts/robot", Value::Null).await;
    assert_eq!(code, 200);
    server.put("serviceaccounts", account()).unwrap();
    let (_, review) = send(&server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", again).await;
    assert_eq!(review["status"]["authenticated"], Value::Null);

    let (code, refusal) = token_of(json!({ "spec": { "expirationSeconds": 60 } })).await;
    assert_eq!(code, 422);
    assert!(refusal["message"].as_str().unwrap().contains("may not specify a duration less than 10 minutes"));
}
