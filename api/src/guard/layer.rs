//! The rule around a service: what it refuses is answered with 403, and no page of another origin frames an answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS},
};
use tower::{Layer, Service};

use super::{Hosts, judge};

/// Puts the rule around a service.
#[derive(Clone, Debug)]
pub struct Guard {
    hosts: Arc<Hosts>,
}

impl Guard {
    /// Around a server that is called by these names.
    #[must_use]
    pub fn new(hosts: Hosts) -> Self {
        Self { hosts: Arc::new(hosts) }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, hosts: Arc::clone(&self.hosts) }
    }
}

/// A service with the rule around it.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    hosts: Arc<Hosts>,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Err(refused) = judge(request.method(), request.uri(), request.headers(), &self.hosts) {
            tracing::debug!(%refused, "a request was refused that a foreign web page could have sent");
            let sentence = format!("{refused}\n");
            return Box::pin(async move { Ok(forbidden(sentence)) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move { answer.await.map(unframed) })
    }
}

fn forbidden<R: From<String>>(sentence: String) -> Response<R> {
    let mut response = Response::new(R::from(sentence));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A page that is shown in another's frame could be made to be clicked on unseen.
fn unframed<R>(mut response: Response<R>) -> Response<R> {
    let headers = response.headers_mut();
    let is_page = headers.get(CONTENT_TYPE).is_some_and(|type_| type_.as_bytes().starts_with(b"text/html"));
    if is_page {
        // Added to what the page says itself: browsers obey every policy.
        headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, response::Html, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn answer(method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let pages = Router::new()
            .route("/page", get(async || ([(CONTENT_SECURITY_POLICY, "default-src 'self'")], Html("<p>a page</p>"))))
            .route("/text", get(async || "text").post(async || "changed"));
        let guarded = Guard::new(Hosts::of("127.0.0.1:8080".parse().unwrap(), [])).layer(pages);
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guarded.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_refused_is_answered_with_a_sentence() {
        let response = answer("POST", "/text", &[("origin", "http://evil.example")]).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(
            &body[..],
            b"a web page of \"http://evil.example\" must not send this: only pages of this server may\n"
        );
        assert_eq!(answer("POST", "/text", &[]).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn pages_cannot_be_framed_and_keep_their_own_policy() {
        let headers = answer("GET", "/page", &[]).await.headers().clone();
        let policies: Vec<_> = headers.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(policies, ["default-src 'self'", "frame-ancestors 'none'"]);
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        let text = answer("GET", "/text", &[]).await;
        assert!(text.headers().get(X_FRAME_OPTIONS).is_none());
    }
}
