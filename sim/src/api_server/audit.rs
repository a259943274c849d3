//! The audit log: one `audit.k8s.io/v1` Event for each finished request, at level Metadata.
//! <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>

use std::sync::Arc;

use http::header;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{request::Request, server::ApiServer, store::microseconds};

/// Takes up Events: one JSON object each.
pub type Sink = Arc<dyn Fn(&Value) + Send + Sync>;

/// One request that is not finished yet. A watch is finished when it ends, however it ends.
pub(super) struct Record {
    sink: Sink,
    server: ApiServer,
    event: Value,
    code: u16,
    /// The `Status` of a failure.
    failure: Option<Value>,
}

impl Record {
    /// From the moment when a request arrived.
    pub(super) fn begin(server: &ApiServer, request: &Request, received: Timestamp) -> Option<Self> {
        let sink = server.options().audit.clone()?;
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": server.store().passing_uid(), "stage": "ResponseComplete",
            "requestURI": request.uri, "verb": request.verb, "user": request.user.to_json(),
            "sourceIPs": ["127.0.0.1"], "userAgent": request.header(header::USER_AGENT),
            "requestReceivedTimestamp": microseconds(received),
            "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" },
        });
        if let Some(target) = &request.target {
            let fields = [
                ("resource", target.plural.as_str()),
                ("namespace", &target.namespace),
                ("name", &target.name),
                ("apiGroup", &target.group),
                ("apiVersion", &target.version),
                ("subresource", target.first_of_subresource()),
            ];
            let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
            event["objectRef"] = fields.map(|(field, value)| (field.to_owned(), Value::from(value))).collect();
        }
        Some(Self { sink, server: server.clone(), event, code: 200, failure: None })
    }

    /// What it is answered.
    pub(super) fn answered(&mut self, code: u16, failure: Option<Value>) {
        self.code = code;
        self.failure = failure;
    }

    /// The name of an object that was made, where the path did not tell it.
    pub(super) fn names(&mut self, name: &str) {
        if self.event["objectRef"].is_object() && self.event["objectRef"]["name"].is_null() {
            self.event["objectRef"]["name"] = name.into();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut event = self.event.take();
        let mut status = json!({ "metadata": {}, "code": self.code });
        if let Some(failure) = &self.failure {
            for field in ["status", "message", "reason", "details"] {
                if !failure[field].is_null() {
                    status[field] = failure[field].clone();
                }
            }
            if self.code == 403 {
                event["annotations"]["authorization.k8s.io/decision"] = "forbid".into();
            }
        }
        event["responseStatus"] = status;
        event["stageTimestamp"] = microseconds(self.server.clock().now()).into();
        (self.sink)(&event);
    }
}
