//! Who comes in: so many at once, and only who says something. It stands before everything that answers.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// So many connections are open at the same time: the 1,000 streams of events, the 512 requests that are answered at
/// once, and as many again of browsers and proxies that keep theirs open. Beyond it, a new one is closed at once.
const MAX_CONNECTIONS: usize = 4096;

/// With these bytes HTTP/2 begins (RFC 9113, 3.4). Which version is spoken is known with the first byte that differs,
/// or at their end; hyper waits for that without a limit.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts connections as another does, within these limits.
#[derive(Clone, Debug)]
pub(super) struct Reception<A> {
    inner: A,
    places: Arc<Semaphore>,
    greet_within: Duration,
}

impl<A> Reception<A> {
    /// Whoever comes in has to say within this time which HTTP it speaks; over TLS, from the end of the handshake.
    pub(super) fn new(inner: A, greet_within: Duration) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)), greet_within }
    }
}

impl<A, I, S> Accept<I, S> for Reception<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
    A::Stream: Send + 'static,
    A::Service: Send + 'static,
{
    type Stream = Visitor<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            tracing::debug!(open = MAX_CONNECTIONS, "a connection was closed: there are as many as may be");
            return ready(Err(io::ErrorKind::QuotaExceeded.into())).boxed();
        };
        let (accepted, within) = (self.inner.accept(stream, service), self.greet_within);
        let came_in = async move {
            let (stream, service) = accepted.await?;
            Ok((Visitor { stream, greeting: Some(Greeting::new(within)), _place: place }, service))
        };
        came_in.boxed()
    }
}

/// A connection that came in. It keeps its place until it is dropped, also as a WebSocket.
#[derive(Debug)]
pub(super) struct Visitor<I> {
    stream: I,
    /// Until it is known which HTTP is spoken.
    greeting: Option<Greeting>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Greeting {
    /// What was said so far: so many bytes of [`HTTP2`].
    said: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Greeting {
    fn new(within: Duration) -> Self {
        Self { said: 0, deadline: Box::pin(sleep(within)) }
    }

    /// Whether these further bytes leave open which HTTP is spoken. None at all are the end of the connection.
    fn goes_on(&mut self, further: &[u8]) -> bool {
        let is_still_http2 = HTTP2[self.said..].starts_with(further);
        self.said += further.len();
        is_still_http2 && !further.is_empty() && self.said < HTTP2.len()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Visitor<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some(greeting) = &mut this.greeting else { return read };
        match read {
            Poll::Pending if greeting.deadline.as_mut().poll(context).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                if !greeting.goes_on(&buffer.filled()[before..]) {
                    this.greeting = None;
                }
                Poll::Ready(read)
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Visitor<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum_server::accept::DefaultAcceptor;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, timeout},
    };

    use super::*;

    const WITHIN: Duration = Duration::from_secs(15);

    /// A connection that came in, and its other end.
    async fn visitor(reception: &Reception<DefaultAcceptor>) -> io::Result<(Visitor<DuplexStream>, DuplexStream)> {
        let (here, there) = duplex(1024);
        let (visitor, ()) = reception.accept(here, ()).await?;
        Ok((visitor, there))
    }

    /// Reads until it fails, or for an hour.
    async fn read(visitor: &mut Visitor<DuplexStream>) -> Option<io::ErrorKind> {
        let mut bytes = Vec::new();
        let read = timeout(Duration::from_secs(3600), visitor.read_to_end(&mut bytes)).await.ok()?;
        Some(read.unwrap_err().kind())
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_say_which_http_it_speaks_is_not_waited_for() {
        let reception = Reception::new(DefaultAcceptor::new(), WITHIN);
        for said in [&b""[..], b"P", &HTTP2[..23]] {
            let (mut visitor, mut there) = visitor(&reception).await.unwrap();
            there.write_all(said).await.unwrap();
            let begun = Instant::now();
            assert_eq!(read(&mut visitor).await, Some(io::ErrorKind::TimedOut), "{said:?}");
            assert_eq!(begun.elapsed().as_secs(), WITHIN.as_secs());
        }
        for said in [&b"G"[..], b"POST /api/v1/maintenances HTTP/1.1\r\n", HTTP2] {
            let (mut visitor, mut there) = visitor(&reception).await.unwrap();
            there.write_all(said).await.unwrap();
            assert_eq!(read(&mut visitor).await, None, "{said:?}: others have limits for what comes now");
        }
    }

    #[tokio::test]
    async fn so_many_connections_are_open_at_once() {
        let mut reception = Reception::new(DefaultAcceptor::new(), WITHIN);
        reception.places = Arc::new(Semaphore::new(2));
        let first = visitor(&reception).await.unwrap();
        let _second = visitor(&reception).await.unwrap();
        assert_eq!(visitor(&reception).await.unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        drop(first);
        visitor(&reception).await.unwrap();
    }
}
