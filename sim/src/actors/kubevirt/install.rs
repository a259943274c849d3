//! KubeVirt on the API server in memory.

use std::sync::Arc;

use futures::FutureExt;
use http::Request as HttpRequest;
use kube::Client;
use serde_json::{Value, json};

use super::{
    definitions::{self, NAMESPACE, OLD, SUBRESOURCES},
    virt_api::{
        VirtApi, admission,
        answer::{Answer, Body},
        subresources::{Request, resources},
    },
};
use crate::api_server::{ApiServer, User, aggregation::Passed, request::Request as ApiRequest};

/// The Service of virt-api, as the API server in memory names it: [`ApiServer::set_webhook_down`].
pub const VIRT_API: &str = "kubevirt/virt-api";

/// Installs definitions, configuration and webhooks, and has virt-api answer. Its actors are played where
/// [`super::join`] lets them, under the account `actors`. `eviction_strategy` is for all VMs that name none.
pub async fn install(server: &ApiServer, actors: &str, eviction_strategy: Option<&str>) -> kube::Result<()> {
    answer(server, actors);
    let client = server.as_user(User::administrator()).client();
    create(&client, "/api/v1/namespaces", &definitions::namespace()).await?;
    for definition in definitions::custom_resource_definitions() {
        create(&client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await?;
    }
    let kubevirts = format!("/apis/kubevirt.io/v1/namespaces/{NAMESPACE}/kubevirts");
    create(&client, &kubevirts, &definitions::kubevirt(eviction_strategy)).await?;
    let service = |path: &str| json!({"service": {"namespace": NAMESPACE, "name": "virt-api", "path": path}});
    let webhooks = definitions::validating_webhooks(service);
    create(&client, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &webhooks).await
}

/// Has virt-api answer: as the webhook [`VIRT_API`], for its own API group, and as a plugin. `actors` is the account of
/// those who play KubeVirt.
pub fn answer(server: &ApiServer, actors: &str) {
    // May do everything, under its own name.
    let account = User::new(admission::API_SERVER, &["system:masters"]);
    let virt_api = VirtApi::new(server.as_user(account).client(), actors);
    let actors = actors.to_owned();
    server.register_plugin(VIRT_API, Arc::new(move |asked, object| admission::admit(&actors, asked, object)));
    answer_reviews(server, virt_api.clone());
    answer_requests(server, &virt_api);
}

async fn create(client: &Client, collection: &str, object: &Value) -> kube::Result<()> {
    let request = HttpRequest::post(collection).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes()).map_err(kube::Error::HttpError)?;
    client.request::<Value>(request).await.map(drop)
}

fn answer_reviews(server: &ApiServer, virt_api: VirtApi) {
    server.register_webhook(
        VIRT_API,
        Arc::new(move |review| {
            let virt_api = virt_api.clone();
            Box::pin(async move { virt_api.review(&review).await })
        }),
    );
}

fn answer_requests(server: &ApiServer, virt_api: &VirtApi) {
    for version in ["v1", OLD] {
        let virt_api = virt_api.clone();
        let handler = Arc::new(move |request| answer_request(virt_api.clone(), request).boxed());
        server.register_aggregated((SUBRESOURCES, version), VIRT_API, resources(), handler);
    }
}

async fn answer_request(virt_api: VirtApi, request: ApiRequest) -> Passed {
    let asked = Request {
        method: request.method.to_string(),
        path: request.path.clone(),
        accept: (!request.accepts_anything()).then(|| "application/json".to_owned()),
        body: request.json(),
    };
    passed(virt_api.answer(&asked, Some(&request.user)).await)
}

fn passed(answer: Answer) -> Passed {
    let body = match answer.body {
        Body::Empty => Value::Null,
        Body::Text(text) => text.into(),
        Body::Json(body) => body,
    };
    Passed { code: answer.code, body }
}
