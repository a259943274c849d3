//! Where HTTP is answered: an address, the names by which it is called, and TLS.

mod reception;

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use axum_server::{Handle, Server, accept::DefaultAcceptor, tls_rustls::RustlsAcceptor};
use hyper_util::{rt::TokioTimer, server::conn::auto::Builder};
use tokio::{net::TcpListener, time::sleep};
use tower::Layer;

use crate::{
    error::Error,
    guard::{Guard, Hosts},
    rest::Frame,
    shutdown::Shutdown,
    tls::Tls,
};
use reception::Reception;

/// The header of a request is there within this time, or its connection is closed. So is one on which nothing is said.
const HEADER_WITHIN: Duration = Duration::from_secs(15);
/// The buffer of a connection, and so the most that one costs before anything is refused: the frame's limit on headers
/// is a quarter of it and is answered with a problem; beyond this there is only the status 431.
const BUFFER: usize = 64 * 1024;

/// When all connections are closed, changes that nobody waits for any more have this time to be made, and told. The
/// whole of the server has 15 s to stop.
const CHANGES_END_WITHIN: Duration = Duration::from_secs(8);

/// Where HTTP is answered, and by which names.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    /// The address that was taken.
    pub(crate) address: SocketAddr,
    hosts: Hosts,
    tls: Option<Tls>,
}

impl Door {
    /// Takes the address.
    pub(crate) async fn open(
        listen: SocketAddr,
        allowed_hosts: impl IntoIterator<Item = String>,
    ) -> Result<Self, Error> {
        let no_listener = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(no_listener)?;
        let address = listener.local_addr().map_err(no_listener)?;
        Ok(Self { listener, address, hosts: Hosts::of(address, allowed_hosts), tls: None })
    }

    /// The same, spoken to over TLS if there is a certificate.
    pub(crate) fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The URL that leads here.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers until the server is told to stop; what is being answered then has so long to finish. Nothing that a
    /// foreign web page could have sent comes through.
    pub(crate) async fn answer(self, router: Router, shutdown: Shutdown, finish_within: Duration) {
        let guarded = guarded(&self.hosts, router);
        self.run(guarded, shutdown, finish_within).await;
    }

    /// The same, within the frame: what the guard refuses is told as everything else.
    pub(crate) async fn answer_in(self, frame: Frame, router: Router, shutdown: Shutdown, finish_within: Duration) {
        let framed = frame.around(guarded(&self.hosts, router));
        self.run(framed, shutdown, finish_within).await;
        frame.changes_end(CHANGES_END_WITHIN).await;
    }

    async fn run(self, all: Router, shutdown: Shutdown, finish_within: Duration) {
        let handle = Handle::<SocketAddr>::new();
        let stop = {
            let handle = handle.clone();
            async move {
                shutdown.requested().await;
                handle.graceful_shutdown(None);
                sleep(finish_within).await;
                let open = handle.connection_count();
                handle.shutdown();
                open
            }
        };
        let mut server = Server::from_listener(self.listener).handle(handle);
        limit(server.http_builder());
        let all = all.into_make_service();
        let answered = async {
            match self.tls {
                None => server.acceptor(Reception::new(DefaultAcceptor::new(), HEADER_WITHIN)).serve(all).await,
                Some(tls) => {
                    let tls_acceptor = RustlsAcceptor::new(tls.config());
                    let server = server.acceptor(Reception::new(tls_acceptor, HEADER_WITHIN));
                    tokio::select! {
                        ended = server.serve(all) => ended,
                        () = tls.keep_up() => Ok(()),
                    }
                }
            }
        };
        tokio::select! {
            // It never fails: a connection that cannot be accepted is tried again.
            ended = answered => ended.unwrap_or_else(|error| tracing::error!(%error, "the HTTP server ended")),
            open = stop => {
                let within = finish_within.as_secs();
                if !finish_within.is_zero() {
                    tracing::warn!(connections = open, "requests were cut off that had not been answered in {within} s");
                }
            }
        }
    }
}

/// Around the router, not a layer of it: what no route answers is guarded too.
fn guarded(hosts: &Hosts, router: Router) -> Router {
    Router::new().fallback_service(Guard::new(hosts.clone()).layer(router))
}

fn limit(builder: &mut Builder<hyper_util::rt::TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WITHIN).max_buf_size(BUFFER);
    let header = u32::try_from(BUFFER).unwrap_or(u32::MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(header).keep_alive_interval(HEADER_WITHIN);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{io::AsyncReadExt, net::TcpStream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed() {
        let door = Door::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), []).await.unwrap();
        let address = door.address;
        let answers = tokio::spawn(door.answer(Router::new(), Shutdown::default(), Duration::ZERO));
        let mut silent = TcpStream::connect(address).await.unwrap();
        // The clock goes on by itself while everybody waits.
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
        answers.abort();
    }
}
