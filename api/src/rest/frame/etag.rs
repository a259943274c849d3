//! `ETag` on reads, and `If-None-Match`.

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{auth::Digest, rest::problem::Problem};

/// Names the state that a JSON answer to a read shows; answers `304` to who has it already. The name is weak
/// (RFC 9110, 8.8.1): the same state may be sent compressed and not. A handler that knows a better name has said it;
/// only that one names what `HEAD` answers, because what would be hashed is not there.
pub(super) async fn etag(request: Request, next: Next) -> Response {
    let is_get = *request.method() == Method::GET;
    let is_read = is_get || *request.method() == Method::HEAD;
    let known: Vec<HeaderValue> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let response = next.run(request).await;
    if !is_read || response.status() != StatusCode::OK || !is_whole_json(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory already.
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return Problem::internal(error).into_response(),
    };
    let own = parts.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let tag = own.or_else(|| is_get.then(|| weak_tag(&bytes)));
    let has_it = tag.as_deref().is_some_and(|tag| is_known(&known, tag));
    if let Some(Ok(value)) = tag.as_deref().map(HeaderValue::from_str) {
        parts.headers.insert(header::ETAG, value);
    }
    // Whose answer it is depends on the token, and it may be old in a second.
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if has_it {
        parts.status = StatusCode::NOT_MODIFIED;
        remove_content(&mut parts.headers);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn is_whole_json(response: &Response) -> bool {
    let type_ = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    type_ == Some("application/json") && response.body().size_hint().exact().is_some()
}

/// The name of a state that is shown by these bytes, compressed or not.
pub(in crate::rest) fn weak_tag(bytes: &[u8]) -> String {
    // 128 bits tell all states apart that there will ever be.
    format!("W/\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Digest::of(bytes).as_bytes()[..16]))
}

/// Whether who sends these values of `If-None-Match` has the state of that tag already.
pub(in crate::rest) fn is_known<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, tag: &str) -> bool {
    values.into_iter().filter_map(|value| value.to_str().ok()).any(|value| names(value, tag))
}

/// Whether `If-None-Match` names that state. Tags are compared without their weakness (RFC 9110, 13.1.2).
fn names(if_none_match: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if_none_match.trim() == "*" || if_none_match.split(',').any(|other| opaque(other) == opaque(tag))
}

fn remove_content(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_TYPE);
}
