//! A cluster, and requests as they go over the wire.

use bytes::Bytes;
use careen_sim::{
    api_server::{ApiServer, Options, User},
    clock::Clock,
};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

pub fn clock() -> Clock {
    Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap())
}

pub fn server() -> ApiServer {
    ApiServer::new(Options::new(clock(), 1))
}

/// A request as the administrator: the code, and the body as JSON (or as a string).
pub async fn send(server: &ApiServer, method: &str, uri: &str, body: Value) -> (u16, Value) {
    send_as(server, User::administrator(), method, uri, "application/json", body).await
}

pub async fn merge(server: &ApiServer, uri: &str, patch: Value) -> (u16, Value) {
    send_as(server, User::administrator(), "PATCH", uri, "application/merge-patch+json", patch).await
}

pub async fn send_as(
    server: &ApiServer,
    user: User,
    method: &str,
    uri: &str,
    content_type: &str,
    body: Value,
) -> (u16, Value) {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = http::Request::builder().method(method).uri(uri).header("content-type", content_type);
    let request = request.body(Full::new(body)).unwrap();
    let response = server.as_user(user).oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The lines that a watch is told until it ends (`timeoutSeconds` in the URI).
pub async fn watch(server: &ApiServer, uri: &str) -> Vec<(String, Value)> {
    let (code, body) = send(server, "GET", uri, Value::Null).await;
    assert_eq!(code, 200, "{body}");
    // One line alone is JSON itself.
    let text = if let Value::String(text) = body { text } else { body.to_string() };
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["type"].as_str().unwrap().to_owned(), line["object"].clone())).collect()
}

/// What a watch is told, in short: `ADDED a`.
pub fn in_short(events: &[(String, Value)]) -> Vec<String> {
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|(type_, object)| format!("{type_} {}", name(object)).trim().to_owned()).collect()
}

pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "main", "image": "web" }] },
    })
}

/// A pod that runs on a node and is ready or not.
pub async fn running_pod(server: &ApiServer, name: &str, is_ready: bool) -> Value {
    let (code, body) = send(server, "POST", "/api/v1/namespaces/default/pods", pod(name)).await;
    assert_eq!(code, 201, "{body}");
    let edited = server.edit("pods", "default", name, |pod| {
        pod["spec"]["nodeName"] = "node01".into();
        pod["spec"]["terminationGracePeriodSeconds"] = json!(30);
        pod["status"]["phase"] = "Running".into();
        let status = if is_ready { "True" } else { "False" };
        pod["status"]["conditions"] = json!([{ "type": "Ready", "status": status }]);
    });
    Value::clone(&edited.unwrap())
}

pub fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "b" } })
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const PODS: &str = "/api/v1/namespaces/default/pods";
