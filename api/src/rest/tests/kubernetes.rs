//! A Kubernetes API with nodes, users and rights, which counts what it is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use careen_core::{cluster::client_on, metrics::Metrics};
use kube::Client;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Cloning shares it.
/// The audience of the API server.
const OWN_AUDIENCE: &str = "https://kubernetes.default.svc";

#[derive(Clone, Default)]
pub(crate) struct Kubernetes(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Value>,
    /// The user of each token.
    tokens: BTreeMap<String, String>,
    /// What each user may: `get nodes`, or `*`.
    rights: BTreeSet<(String, String)>,
    /// What it was asked, one line each.
    asked: Vec<String>,
    audiences: Vec<String>,
    away: bool,
    /// Does not answer when it is asked about tokens that it does not know.
    ignores_strangers: bool,
}

impl Kubernetes {
    pub(crate) fn client(&self) -> Client {
        let kubernetes = self.clone();
        let router = Router::new().fallback(move |request| async move { kubernetes.answer(request).await });
        let service = router.map_request(|request: Request<kube::client::Body>| request.map(Body::new));
        client_on(service, &Metrics::default())
    }

    /// Adds a node.
    pub(crate) fn node(&self, name: &str, spec: &Value, ready: bool) {
        let status = if ready { "True" } else { "False" };
        let node = json!({
            "metadata": { "name": name, "uid": format!("uid-{name}"), "resourceVersion": "1" },
            "spec": spec,
            "status": { "conditions": [{ "type": "Ready", "status": status }] },
        });
        self.state().nodes.insert(name.to_owned(), node);
    }

    /// Makes a token for a user, who may do these things: `get nodes`.
    pub(crate) fn user(&self, token: &str, user: &str, rights: &[&str]) {
        let mut state = self.state();
        state.tokens.insert(token.to_owned(), user.to_owned());
        state.rights.extend(rights.iter().map(|right| (user.to_owned(), (*right).to_owned())));
    }

    /// Takes from a user all that they may.
    pub(crate) fn forbid(&self, user: &str) {
        self.state().rights.retain(|(other, _)| other != user);
    }

    /// Forgets a token.
    pub(crate) fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    /// Says that tokens are for these audiences; for none: that it does not look at audiences.
    pub(crate) fn set_audiences(&self, audiences: &[&str]) {
        self.state().audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
    }

    /// Does not answer reviews any more.
    pub(crate) fn go_away(&self) {
        self.state().away = true;
    }

    /// Does not answer any more when it is asked about tokens that it does not know.
    pub(crate) fn ignore_strangers(&self) {
        self.state().ignores_strangers = true;
    }

    /// What it was asked to review since the last time.
    pub(crate) fn reviews(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        let resource = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        // A write is never done.
        if head.uri.query().unwrap_or_default().contains("watch=true") || head.method == Method::PATCH {
            return std::future::pending().await;
        }
        if head.method == Method::POST {
            let body: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
            if self.state().ignores(&body) {
                return std::future::pending().await;
            }
            return self.review(&resource, body);
        }
        let items: Vec<_> =
            if resource == "nodes" { self.state().nodes.values().cloned().collect() } else { Vec::new() };
        Json(json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items }))
            .into_response()
    }

    fn review(&self, resource: &str, mut review: Value) -> Response {
        let mut state = self.state();
        let (asked, status) = match resource {
            "tokenreviews" => {
                let token = review["spec"]["token"].as_str().unwrap();
                let user = state.tokens.get(token);
                let asked: Vec<&str> = match review["spec"]["audiences"].as_array() {
                    Some(audiences) => audiences.iter().filter_map(Value::as_str).collect(),
                    None => vec![OWN_AUDIENCE],
                };
                let meant: Vec<_> =
                    state.audiences.iter().filter(|audience| asked.contains(&audience.as_str())).collect();
                let status = json!({
                    "authenticated": user.is_some() && (state.audiences.is_empty() || !meant.is_empty()),
                    "user": { "username": user, "groups": ["system:authenticated"] },
                    "audiences": meant,
                });
                (format!("token {token} {}", review["spec"]["audiences"]), status)
            }
            "subjectaccessreviews" => {
                let (asked, allowed) = state.access(&review["spec"]);
                (asked, json!({ "allowed": allowed }))
            }
            other => panic!("nobody creates {other} here"),
        };
        state.asked.push(asked);
        if state.away {
            let status = json!({ "kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd is away" });
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(status)).into_response();
        }
        review["status"] = status;
        review["metadata"] = json!({});
        Json(review).into_response()
    }
}

impl State {
    fn ignores(&self, review: &Value) -> bool {
        let is_unknown = |token| !self.tokens.contains_key(token);
        self.ignores_strangers && review["spec"]["token"].as_str().is_some_and(is_unknown)
    }

    /// The question in a line, and the answer.
    fn access(&self, spec: &Value) -> (String, bool) {
        let (user, what) = (spec["user"].as_str().unwrap(), &spec["resourceAttributes"]);
        assert_eq!(spec["groups"], json!(["system:authenticated"]));
        let text = |field: &str| what[field].as_str().unwrap_or_default();
        let subresource = what["subresource"].as_str().map(|subresource| format!("/{subresource}"));
        let right = format!("{} {}{}", text("verb"), text("resource"), subresource.unwrap_or_default());
        let has = |right: &str| self.rights.contains(&(user.to_owned(), right.to_owned()));
        let allowed = has("*") || has(&right) || has(&format!("{right} {}", text("name")));
        (format!("{user} {right} {}", text("name")).trim().to_owned(), allowed)
    }
}
