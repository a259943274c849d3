//! Every answer that is no success becomes a problem with the request id.

use std::sync::LazyLock;

use axum::{
    body::to_bytes,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};

use super::Account;
use crate::{
    health,
    rest::{
        problem::{GRAPHQL_RESPONSE_JSON, PROBLEM_JSON, Problem},
        reason::Reason,
    },
};

/// A sentence that a layer has written as text is not longer.
const MAX_SENTENCE: usize = 1024;

/// Headers of the refusal that its reader needs.
static KEPT: LazyLock<[header::HeaderName; 3]> =
    LazyLock::new(|| [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE]);

/// The answer with the request id in it, and the reason if it is a failure.
pub(super) async fn render(response: Response, account: &Account) -> (Response, Option<&'static Reason>) {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return (response, None);
    }
    if let Some(problem) = response.extensions().get::<Problem>() {
        if response.headers().get(header::CONTENT_TYPE).is_some_and(|type_| type_ == GRAPHQL_RESPONSE_JSON) {
            let reason = problem.reason();
            return (response, Some(reason));
        }
        return (problem.response(Some(account.id())), Some(problem.reason()));
    }
    let is_guards = status == StatusCode::FORBIDDEN;
    // Kubernetes and Prometheus read these, in their own formats.
    if health::PATHS.contains(&account.path()) && !is_guards {
        return (response, Some(Reason::of_status(status.as_u16())));
    }
    let (parts, body) = response.into_parts();
    let sentence = match to_bytes(body, MAX_SENTENCE).await {
        Ok(bytes) if is_text(&parts.headers) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        _ => String::new(),
    };
    let problem = bare(status, sentence, account);
    let mut rendered = problem.response(Some(account.id()));
    *rendered.status_mut() = status;
    for name in &*KEPT {
        if let Some(value) = parts.headers.get(name) {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    (rendered, Some(problem.reason()))
}

/// What a layer says that knows nothing of problems: the router, the guard.
fn bare(status: StatusCode, sentence: String, account: &Account) -> Problem {
    let (method, path) = (account.method(), account.path());
    match status {
        StatusCode::NOT_FOUND => Problem::new(Reason::NOT_FOUND, format!("there is no path {path}")),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(Reason::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"))
        }
        StatusCode::FORBIDDEN => Problem::new(Reason::FOREIGN_ORIGIN, sentence),
        _ if sentence.is_empty() => Problem::new(Reason::of_status(status.as_u16()), "the request was refused"),
        _ => Problem::new(Reason::of_status(status.as_u16()), sentence),
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let type_ = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    type_.starts_with("text/plain") && type_ != PROBLEM_JSON
}
