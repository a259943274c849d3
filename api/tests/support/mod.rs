//! A Kubernetes API without objects: what the service needs to come up, and to be told that things are missing.

use std::future::pending;

use axum::{
    Json, Router,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Every list is empty, but that of the `forbidden` resource (its plural) is refused; a watch brings nothing. Objects
/// cannot be created, because no namespace exists.
pub fn empty_api_server(forbidden: &'static str) -> Router {
    Router::new().fallback(move |method, uri| answer(forbidden, method, uri))
}

async fn answer(forbidden: &'static str, method: Method, uri: Uri) -> Response {
    let resource = uri.path().rsplit('/').next().unwrap_or_default();
    if resource == "version" {
        let fields = [
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ];
        return Json(fields.map(|field| (field, "1")).into_iter().collect::<std::collections::BTreeMap<_, _>>())
            .into_response();
    }
    if resource == forbidden {
        return refusal(StatusCode::FORBIDDEN, "Forbidden", &format!("{resource} is forbidden: you may not list it"));
    }
    if method != Method::GET {
        return refusal(StatusCode::NOT_FOUND, "NotFound", "namespaces \"medik8s-leases\" not found");
    }
    if uri.query().unwrap_or_default().contains("watch=true") {
        return pending().await;
    }
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})).into_response()
}

fn refusal(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    });
    (code, Json(status)).into_response()
}
