//! How tests ask.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::rest::tests::{app::Answer, simulated::Simulated};

impl Simulated {
    /// What the operator is told.
    pub(super) async fn ask(&self, query: &str) -> Value {
        self.ask_as("admin", query, json!({})).await
    }

    /// What somebody is told.
    pub(super) async fn ask_as(&self, token: &str, query: &str, variables: Value) -> Value {
        self.post(token, json!({ "query": query, "variables": variables })).await.ok()
    }

    /// The answer to a body.
    pub(super) async fn post(&self, token: &str, body: Value) -> Answer {
        self.send(token, "POST /graphql", Some(body)).await
    }

    /// What the operator sees, if nothing is refused.
    #[track_caller]
    pub(super) fn data(&self, query: &str) -> impl Future<Output = Value> {
        let answer = self.ask(query);
        async move {
            let mut answer = answer.await;
            assert_eq!(answer.get("errors"), None, "{answer:#}");
            answer["data"].take()
        }
    }
}

/// The codes and paths of what was refused.
pub(super) fn refused(answer: &Value) -> Vec<(String, String)> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let path = |error: &Value| {
        let segments = error["path"].as_array().into_iter().flatten();
        let segment = |segment: &Value| segment.as_str().map_or_else(|| segment.to_string(), str::to_owned);
        segments.map(segment).collect::<Vec<_>>().join(".")
    };
    errors.map(|error| (error["extensions"]["code"].as_str().unwrap_or_default().to_owned(), path(error))).collect()
}

/// What a service answers to somebody who says nothing about who they are.
pub(super) async fn post(service: &Router, query: &str) -> Value {
    let request = Request::post("/graphql").header("content-type", "application/json");
    let request = request.body(Body::from(json!({ "query": query }).to_string())).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}
