//! A receiver of call-backs, over HTTPS on loopback.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{careen::Options, objects::text, tls};

/// It answers the first attempt of all with 500, and takes all others.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    certificate: PathBuf,
    secret: PathBuf,
    attempts: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    /// Starts it; what `careen serve` has to know of it is in that folder.
    pub async fn start(folder: &Path) -> Self {
        let (acceptor, pem) = tls::acceptor(&["localhost"]);
        let (certificate, secret) = (folder.join("receiver.pem"), folder.join("notify-secret"));
        std::fs::write(&certificate, pem).unwrap();
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let attempts = Arc::<Mutex<Vec<Value>>>::default();
        let all = attempts.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, all) = (acceptor.clone(), all.clone());
                tokio::spawn(async move {
                    let Ok(connection) = acceptor.accept(connection).await else { return };
                    let take = service_fn(|request| take(request, &all));
                    http1::Builder::new().serve_connection(TokioIo::new(connection), take).await.ok();
                });
            }
        });
        Self { port, certificate, secret, attempts }
    }

    /// What `careen serve` is started with to tell it.
    #[must_use]
    pub fn options(&self) -> Options {
        let url = format!("https://localhost:{}/hooks", self.port);
        let secret = self.secret.display().to_string();
        let arguments = ["--notify-url", &url, "--notify-secret-file", &secret].map(str::to_owned).to_vec();
        let environment = vec![("SSL_CERT_FILE".to_owned(), self.certificate.display().to_string())];
        Options { arguments, environment }
    }

    /// What came about that node, repeats left out: the id shows them.
    #[must_use]
    pub fn told_of(&self, node: &str) -> Vec<Value> {
        let mut told: Vec<Value> = Vec::new();
        for event in self.attempts.lock().unwrap().iter().filter(|event| text(event, "/subject") == node) {
            if told.iter().all(|before| before["id"] != event["id"]) {
                told.push(event.clone());
            }
        }
        told
    }

    /// How many requests came in all.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }
}

async fn take(
    request: http::Request<Incoming>,
    attempts: &Mutex<Vec<Value>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let is_signed = request.headers().contains_key("webhook-signature");
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let event = serde_json::from_slice(&body).unwrap_or_default();
    let mut attempts = attempts.lock().unwrap();
    attempts.push(event);
    let code = match (is_signed, attempts.len()) {
        (false, _) => 401,
        (true, 1) => 500,
        (true, _) => 204,
    };
    Ok(Response::builder().status(code).body(Empty::new()).unwrap())
}
