//! No request waits for ever: a connection that was silently dropped answers nothing, and says nothing either.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use tower::{BoxError, Layer, Service};

/// An answer begins within this time (that of a watch, too), or not at all: the API server itself gives up after a
/// minute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A tower layer that bounds the time until an answer begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerTimeout;

impl<S> Layer<S> for AnswerTimeout {
    type Service = TimedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimedService { inner }
    }
}

/// The service that [`AnswerTimeout`] makes.
#[derive(Clone, Debug)]
pub(super) struct TimedService<S> {
    inner: S,
}

impl<S, Q> Service<Request<Q>> for TimedService<S>
where
    S: Service<Request<Q>, Error: Into<BoxError>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move {
            match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(format!("no answer from the API server in {} s", ANSWER_TIMEOUT.as_secs()).into()),
            }
        })
    }
}
