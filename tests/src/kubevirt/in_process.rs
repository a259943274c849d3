//! virt-api for the API server in this process.

use std::sync::Arc;

use careen_sim::{
    actors::kubevirt::{
        definitions::{EVICTION_PATH, MIGRATION_PATH, NAMESPACE, SUBRESOURCES},
        virt_api::{
            VirtApi,
            adapter::User,
            answer::Body,
            subresources::{Request, resources},
        },
    },
    api_server::{ApiServer, aggregation::Passed, request},
};
use serde_json::{Value, json};

use super::server;

/// Lets the API server ask it.
pub(super) fn register(server: &ApiServer, virt_api: &VirtApi) {
    let reviewer = virt_api.clone();
    server.register_webhook(
        format!("{NAMESPACE}/virt-api"),
        Arc::new(move |review| {
            let reviewer = reviewer.clone();
            let path = if review["request"]["resource"]["resource"] == "pods" { EVICTION_PATH } else { MIGRATION_PATH };
            Box::pin(async move { server::review(&reviewer, path, &review).await.unwrap_or_default() })
        }),
    );
    server.set_webhook_down(format!("{NAMESPACE}/nobody"));
    let virt_api = virt_api.clone();
    let handler = Arc::new(move |request: request::Request| {
        let virt_api = virt_api.clone();
        Box::pin(async move { pass(&virt_api, &request).await }) as futures::future::BoxFuture<'static, Passed>
    });
    server.register_aggregated(SUBRESOURCES, "v1", resources(), handler);
}

/// Where the webhooks are.
pub(super) fn client_config(path: &str) -> Value {
    json!({"service": {"namespace": NAMESPACE, "name": "virt-api", "path": path, "port": 443}})
}

/// Where no webhook answers.
pub(super) fn client_config_of_nobody(path: &str) -> Value {
    json!({"service": {"namespace": NAMESPACE, "name": "nobody", "path": path, "port": 443}})
}

async fn pass(virt_api: &VirtApi, request: &request::Request) -> Passed {
    let accept = request.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).map(str::to_owned);
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    let passed = Request { method: request.method.to_string(), path: request.path.clone(), accept, body };
    let user = User { name: request.user.name.clone(), groups: request.user.groups.clone() };
    let answer = virt_api.answer(&passed, Some(&user)).await;
    let body = match answer.body {
        Body::Empty => Value::Null,
        Body::Text(text) => text.into(),
        Body::Json(body) => body,
    };
    Passed { code: answer.code, body }
}
