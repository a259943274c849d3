//! The API over HTTP, on loopback.

use std::{convert::Infallible, future::Future, pin::pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Service, ServiceExt};

/// Serves until `shutdown` is there; then ends open connections, watches among them.
pub async fn serve<S, B>(listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // The client has gone, or there are too many open files: neither ends the server.
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let service = service.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| service.clone().oneshot(request));
            let mut server = http1::Builder::new();
            // An answer that is dropped on purpose ends its connection, which is what the client is to see.
            if let Err(error) = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    connections.shutdown().await;
}
