//! The size of header and body, and JSON only.

use std::time::Duration;

use axum::{
    body::HttpBody,
    extract::Request,
    http::{HeaderMap, Method, Uri, header},
};

use crate::rest::{
    extract::{MAX_BODY, body_is_too_large, demand_json},
    problem::Problem,
    reason::Reason,
};

/// All header fields together, and the path and query. A token of a ServiceAccount has 1,200 characters, and one of an
/// identity provider with many groups may have five times as many.
const MAX_HEADER: usize = 16 * 1024;

/// Refuses what is too large, and a body that is no JSON.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    if header_size(request.uri(), request.headers()) > MAX_HEADER {
        let sentence = format!("path, query and header fields together have at most {MAX_HEADER} bytes");
        return Err(Problem::new(Reason::REQUEST_HEADER_FIELDS_TOO_LARGE, sentence));
    }
    if has_body(request) && ![Method::GET, Method::HEAD].contains(request.method()) {
        demand_json(request.headers())?;
    }
    if declared_length(request.headers()).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(body_is_too_large());
    }
    Ok(())
}

/// The refusal while the server answers as many requests as it can.
pub(super) fn too_many_at_once() -> Problem {
    let sentence = "the server answers as many requests at the same time as it can";
    Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(Duration::from_secs(1))
}

fn header_size(uri: &Uri, headers: &HeaderMap) -> usize {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    uri.path().len() + uri.query().map_or(0, str::len) + fields.sum::<usize>()
}

fn has_body(request: &Request) -> bool {
    declared_length(request.headers()).is_some_and(|length| length > 0)
        || request.headers().contains_key(header::TRANSFER_ENCODING)
        || !request.body().is_end_stream()
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
