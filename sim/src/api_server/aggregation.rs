//! Parts of the API that somebody else serves, as `subresources.kubevirt.io` on a cluster with KubeVirt.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header;
use serde_json::Value;

use super::{refusal::Refusal, reply::Reply, request::Request, server::ApiServer};

/// What is passed on.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Passed> + Send + Sync>;

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// The HTTP status.
    pub code: u16,
    /// Empty for none.
    pub body: Value,
}

/// A group and version that somebody else serves.
#[derive(Clone)]
pub(super) struct Aggregated {
    pub(super) group: String,
    pub(super) version: String,
    /// The Service behind it, as webhooks name it.
    service: String,
    /// The `APIResourceList`'s resources.
    pub(super) resources: Value,
    handler: Handler,
}

impl fmt::Debug for Aggregated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregated").field("group", &self.group).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Passes `/apis/<group>/<version>/…` on to that handler, unless its service (`kubevirt/virt-api`) is down
    /// ([`Self::set_webhook_down`]). `resources` is what its discovery document lists.
    pub fn register_aggregated(
        &self,
        (group, version): (&str, &str),
        service: &str,
        resources: Value,
        handler: Handler,
    ) {
        let mut aggregated = self.aggregated();
        aggregated.retain(|other| other.group != group || other.version != version);
        aggregated.push(Aggregated {
            group: group.to_owned(),
            version: version.to_owned(),
            service: service.to_owned(),
            resources,
            handler,
        });
        aggregated.sort_by(|a, b| (&a.group, &a.version).cmp(&(&b.group, &b.version)));
    }
}

/// The answer of whoever serves that path, if it is not this server.
pub(super) async fn answer(server: &ApiServer, request: &Request) -> Option<Result<Reply, Refusal>> {
    let target = request.target.as_ref()?;
    let is_it = |other: &&Aggregated| other.group == target.group && other.version == target.version;
    let Aggregated { service, handler, .. } = server.aggregated().iter().find(is_it)?.clone();
    if server.webhooks().is_down(&service) {
        return Some(Ok(Reply::Text { code: 503, body: "service unavailable\n".to_owned() }));
    }
    let passed = handler(request.clone()).await;
    Some(Ok(match passed.body {
        Value::Null => Reply::Text { code: passed.code, body: String::new() },
        Value::String(text) => Reply::Text { code: passed.code, body: text },
        body => Reply::Json { code: passed.code, body },
    }))
}

impl Request {
    /// The body as JSON; null if there is none or it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&Bytes::clone(&self.body)).unwrap_or_default()
    }

    /// Whether the client takes any kind of answer.
    #[must_use]
    pub fn accepts_anything(&self) -> bool {
        let accept = self.header(header::ACCEPT);
        accept.is_empty() || accept.split(',').any(|clause| clause.trim().starts_with("*/*"))
    }
}
