//! `/openapi.json` and `/docs`: the contract, for programs and for people, without a network. No token is needed: they
//! say nothing about the cluster.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::Value;
use utoipa_swagger_ui::Config;

use super::{kept::Kept, problem::Problem};

/// Swagger UI sets styles from scripts, and its icons are data.
const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'";

/// The routes.
pub(super) fn routes(contract: &Value) -> Router {
    // A tree of strings and numbers: this does not fail.
    let contract = serde_json::to_vec(contract).unwrap_or_default();
    let contract = Arc::new(Kept::plain("application/json", contract));
    let config = Arc::new(Config::from("/openapi.json"));
    Router::new()
        .route("/openapi.json", get(async move |headers: HeaderMap| contract.answer(&headers)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route(
            "/docs/",
            get({
                let config = config.clone();
                async move || page("index.html", config)
            }),
        )
        .route("/docs/{*file}", get(async move |Path(file): Path<String>| page(&file, config)))
}

fn page(file: &str, config: Arc<Config<'static>>) -> Result<Response, Problem> {
    let found = utoipa_swagger_ui::serve(file, config).map_err(Problem::internal)?;
    let found = found.ok_or_else(|| Problem::not_found("page", format!("/docs/{file}")))?;
    let mut headers = HeaderMap::new();
    let type_ = HeaderValue::from_str(&found.content_type).map_err(Problem::internal)?;
    headers.insert(header::CONTENT_TYPE, type_);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok((headers, Body::from(found.bytes.into_owned())).into_response())
}
