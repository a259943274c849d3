//! The API of the demo's cluster over HTTP, for `kubectl` and other programs.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use careen_sim::api_server::{ApiServer, Connection};
use tower::ServiceExt;

/// Nobody needs a token.
pub(super) fn router(server: &ApiServer) -> Router {
    let connection = server.by_token();
    Router::new().fallback(async move |request| answer(connection, request).await)
}

async fn answer(connection: Connection, request: Request) -> Response {
    match connection.oneshot(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(lost) => (StatusCode::BAD_GATEWAY, lost.to_string()).into_response(),
    }
}
