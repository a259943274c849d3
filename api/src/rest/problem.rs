//! `application/problem+json` (RFC 9457): the one shape of every answer that is no success.

use std::{collections::BTreeMap, fmt, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::reason::Reason;

/// The content type.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// The content type of GraphQL's answers, which has a shape of its own for what is refused.
pub(crate) const GRAPHQL_RESPONSE_JSON: &str = "application/graphql-response+json";

/// Why a request failed. A handler returns it as its error; the frame adds the request id.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    reason: &'static Reason,
    detail: String,
    field: Option<String>,
    missing: Vec<String>,
    see: Option<String>,
    kubernetes_reason: Option<String>,
    headers: BTreeMap<&'static str, String>,
}

/// A failed request, as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) wants it told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody<'a> {
    /// The kind of failure, as a URI that never changes.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "https://careen.dev/problems/NodeNotFound")]
    kind: String,
    /// The kind of failure, for people.
    #[schema(example = "There is no such node")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What is wrong with this request: names the field or object, its value, and what is allowed.
    #[schema(example = "node node09 does not exist: check the name")]
    detail: &'a str,
    /// The kind of failure, for programs: the last part of `type`.
    #[schema(example = "NodeNotFound")]
    reason: &'static str,
    /// The field of the body or the parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The permissions that the caller lacks.
    #[serde(skip_serializing_if = "slice_is_empty")]
    missing: &'a [String],
    /// The path of what stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    see: Option<&'a str>,
    /// Kubernetes' own reason, where it has refused what Careen sent: `Forbidden`, `Invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes_reason: Option<&'a str>,
    /// Names this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

fn slice_is_empty(slice: &[String]) -> bool {
    slice.is_empty()
}

impl Problem {
    /// A failure of that kind; `detail` is a sentence.
    pub(crate) fn new(reason: &'static Reason, detail: impl fmt::Display) -> Self {
        Self(Box::new(Inner {
            reason,
            detail: detail.to_string(),
            field: None,
            missing: Vec::new(),
            see: None,
            kubernetes_reason: None,
            headers: BTreeMap::new(),
        }))
    }

    /// Something in the request cannot be read.
    pub(crate) fn bad_request(detail: impl fmt::Display) -> Self {
        Self::new(Reason::BAD_REQUEST, detail)
    }

    /// There is no such object.
    pub(crate) fn not_found(kind: &str, name: impl fmt::Display) -> Self {
        Self::new(Reason::NOT_FOUND, format!("there is no {kind} {:?}", name.to_string()))
    }

    /// The server cannot answer for now.
    pub(crate) fn unavailable(detail: impl fmt::Display) -> Self {
        Self::new(Reason::SERVICE_UNAVAILABLE, detail).retry_after(Duration::from_secs(1))
    }

    /// A fault of ours: the log has the cause, the caller only a sentence.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed because of a fault of Careen");
        Self::new(Reason::INTERNAL_ERROR, "this is a fault of Careen; its log says more")
    }

    /// Names the field.
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Names the permissions that are missing.
    pub(crate) fn missing(mut self, permissions: Vec<String>) -> Self {
        self.0.missing = permissions;
        self
    }

    /// Names the path of what stands in the way.
    pub(crate) fn see(mut self, path: impl Into<String>) -> Self {
        self.0.see = Some(path.into());
        self
    }

    /// Gives Kubernetes' own reason.
    pub(crate) fn kubernetes_reason(mut self, reason: impl Into<String>) -> Self {
        self.0.kubernetes_reason = Some(reason.into());
        self
    }

    /// Says when to try again; whole seconds, rounded up, and never 0.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header("retry-after", seconds.max(1).to_string())
    }

    /// Adds a header to the answer.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.insert(name, value.into());
        self
    }

    /// The kind of failure.
    pub(crate) fn reason(&self) -> &'static Reason {
        self.0.reason
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.reason.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What is wrong, for people.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What it says, for the request of that id.
    pub(crate) fn body<'a>(&'a self, request_id: Option<&'a str>) -> ProblemBody<'a> {
        ProblemBody {
            kind: self.0.reason.uri(),
            title: self.0.reason.title,
            status: self.0.reason.status,
            detail: self.detail(),
            reason: self.0.reason.name,
            field: self.0.field.as_deref(),
            missing: &self.0.missing,
            see: self.0.see.as_deref(),
            kubernetes_reason: self.0.kubernetes_reason.as_deref(),
            request_id,
        }
    }

    /// The JSON, for the request of that id.
    pub(crate) fn json(&self, request_id: Option<&str>) -> Vec<u8> {
        // Strings and numbers: this does not fail.
        serde_json::to_vec(&self.body(request_id)).unwrap_or_default()
    }

    /// The answer, for the request of that id.
    pub(crate) fn response(&self, request_id: Option<&str>) -> Response {
        let mut response = Response::new(Body::from(self.json(request_id)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in &self.0.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The answer without a request id; the frame finds the problem in the extensions and adds it.
    fn into_response(self) -> Response {
        let mut response = self.response(None);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_wait_is_told_at_least_a_second() {
        for (wait, expected) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
            let problem = Problem::unavailable("not yet").retry_after(Duration::from_millis(wait));
            assert_eq!(problem.response(None).headers()["retry-after"], expected, "{wait} ms");
        }
    }
}
