//! KubeVirt in a cluster in memory: its kinds, its configuration, and virt-api behind webhooks and its own API group.

use std::sync::Arc;

use http::header;
use kube::Client;
use serde_json::{Value, json};

use super::manifests::{self, ManifestError};
use crate::{
    actors::kubevirt::{
        definitions::{self, EVICTION_PATH, MIGRATION_PATH, NAMESPACE, SUBRESOURCES},
        virt_api::{VirtApi, adapter::User, answer::Body, subresources::Request},
    },
    api_server::{ApiServer, aggregation::Passed, request},
};

/// The Service of virt-api.
const SERVICE: &str = "virt-api";

/// Installs it, as its operator would.
pub(super) async fn install(
    server: &ApiServer,
    client: &Client,
    eviction_strategy: Option<&str>,
) -> Result<(), ManifestError> {
    let virt_api = VirtApi::new(client.clone());
    let service = |path: &str| json!({"service": {"namespace": NAMESPACE, "name": SERVICE, "path": path, "port": 443}});
    for definition in definitions::custom_resource_definitions() {
        manifests::create(client, definition).await?;
    }
    manifests::create(client, definitions::namespace()).await?;
    manifests::create(client, definitions::kubevirt(eviction_strategy)).await?;
    let reviewer = virt_api.clone();
    server.register_webhook(
        format!("{NAMESPACE}/{SERVICE}"),
        Arc::new(move |review| {
            let reviewer = reviewer.clone();
            // One Service, and a path for each webhook, which the review does not tell.
            let path = if review["request"]["resource"]["resource"] == "pods" { EVICTION_PATH } else { MIGRATION_PATH };
            Box::pin(async move { reviewer.review(path, &review).await.unwrap_or_default() })
        }),
    );
    manifests::create(client, definitions::validating_webhooks(service)).await?;
    server.register_aggregated(
        SUBRESOURCES,
        "v1",
        json!([]),
        Arc::new(move |request| {
            let virt_api = virt_api.clone();
            Box::pin(async move { pass(&virt_api, &request).await })
        }),
    );
    Ok(())
}

async fn pass(virt_api: &VirtApi, request: &request::Request) -> Passed {
    let accept = request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).map(str::to_owned);
    let passed = Request {
        method: request.method.to_string(),
        path: request.path.clone(),
        accept,
        body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
    };
    let user = User { name: request.user.name.clone(), groups: request.user.groups.clone() };
    let answer = virt_api.answer(&passed, Some(&user)).await;
    let body = match answer.body {
        Body::Empty => Value::Null,
        Body::Text(text) => text.into(),
        Body::Json(body) => body,
    };
    Passed { code: answer.code, body }
}
