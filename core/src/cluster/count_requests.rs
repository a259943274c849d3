//! Counts the requests to the API server by verb and code.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service};

use crate::metrics::{ApiRequestLabels, Metrics};

/// A tower layer that counts.
#[derive(Clone, Debug)]
pub(super) struct CountRequests {
    metrics: Metrics,
}

impl CountRequests {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = CountingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountingService { inner, metrics: self.metrics.clone() }
    }
}

/// The service that [`CountRequests`] makes.
#[derive(Clone, Debug)]
pub(super) struct CountingService<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, Q, R> Service<Request<Q>> for CountingService<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let sent = Sent { metrics: self.metrics.clone(), verb: verb(&request), code: 0 };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            sent.answered(answer.as_ref().map_or(0, |response| response.status().as_u16()));
            answer
        })
    }
}

/// A request that was sent. It counts when it is over, also if nobody waited for its end.
struct Sent {
    metrics: Metrics,
    verb: &'static str,
    /// 0 until an answer comes.
    code: u16,
}

impl Sent {
    fn answered(mut self, code: u16) {
        self.code = code;
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let labels = ApiRequestLabels { verb: self.verb, code: self.code };
        self.metrics.api_requests.get_or_create(&labels).inc();
    }
}

fn verb<Q>(request: &Request<Q>) -> &'static str {
    let watches = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    match request.method().as_str() {
        "GET" if watches => "WATCH",
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "OTHER",
    }
}
