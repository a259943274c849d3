//! A page to ask by hand, without a network. GraphiQL would be loaded from a CDN, or have to be built with npm.

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// All of it comes from here, and it asks only here.
const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The parts of the page. No token is needed: they say nothing about the cluster.
pub(super) fn routes() -> Router {
    let part = |type_: &'static str, text: &'static str| get(async move || answer(type_, text));
    Router::new()
        .route("/graphql/page.js", part("text/javascript; charset=utf-8", SCRIPT))
        .route("/graphql/page.css", part("text/css; charset=utf-8", STYLE))
}

/// Whether a browser wants to show something.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|type_| type_.trim().starts_with("text/html"))
}

/// The page.
pub(super) fn page() -> Response {
    answer("text/html; charset=utf-8", PAGE)
}

fn answer(type_: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(type_)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}
