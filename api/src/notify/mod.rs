//! Call-backs: what becomes of maintenances is told to a receiver that the administrator names.
//!
//! | file | holds |
//! |---|---|
//! | `receiver` | where it is, and what of that may be said aloud |
//! | `secret` | the secrets that are shared with it, from a file |
//! | `signature` | the headers of the Standard Webhooks scheme |
//! | `event` | the body: a CloudEvent, structured JSON |
//!
//! When, in which order and how often is the engine's business ([`careen_core::controller::Deliver`]).

mod event;
mod receiver;
mod secret;
mod signature;

use std::{io, path::Path, sync::Arc};

use axum::http::{Method, Request, header};
use careen_core::{
    clock::Clock,
    controller::{CallBack, Deliver, Delivery, Undelivered},
};
use futures::{FutureExt, future::BoxFuture};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::args::NotifyArgs;
use receiver::{InvalidReceiver, Receiver};
use secret::{SecretError, Secrets};

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    /// The URL is none, or not one that things are told to.
    #[error("--notify-url: {0}")]
    Receiver(#[from] InvalidReceiver),
    /// The file of the secret is of no use.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The system has no root certificates.
    #[error("--notify-url: no root certificates of this system can be read: {0}; SSL_CERT_FILE names a file of them")]
    Roots(#[source] io::Error),
    /// The TLS library does not like its own defaults.
    #[error("--notify-url: no TLS: {0}; this is a fault of Careen")]
    Tls(#[source] rustls::Error),
}

/// Who is told, if anybody is.
pub(crate) fn open(args: &NotifyArgs) -> Result<Option<Delivery>, NotifyError> {
    let (Some(url), Some(secret)) = (&args.notify_url, &args.notify_secret_file) else { return Ok(None) };
    Ok(Some(Arc::new(Notifier::open(url, secret, Clock::system())?)))
}

/// Posts what is to be told.
struct Notifier {
    receiver: Receiver,
    secrets: Secrets,
    clock: Clock,
    client: Client<HttpsConnector<HttpConnector>, Full<axum::body::Bytes>>,
}

impl Notifier {
    /// Tells that URL, and signs with what is in that file.
    fn open(url: &str, secret_file: &Path, clock: Clock) -> Result<Self, NotifyError> {
        let receiver: Receiver = url.parse()?;
        let secrets = Secrets::read(secret_file)?;
        let connector = connector(&receiver)?;
        tracing::info!(%receiver, "what becomes of maintenances is told");
        Ok(Self { receiver, secrets, clock, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    async fn post(&self, call_back: CallBack) -> Result<(), Undelivered> {
        let unwritable = |error: &dyn std::fmt::Display| Undelivered::Unwritable(error.to_string());
        let body = event::body(&call_back).map_err(|error| unwritable(&error))?;
        let signed = signature::headers(&self.secrets, &call_back.id, self.clock.wall().as_second(), &body);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.receiver.uri())
            .header(header::CONTENT_TYPE, event::CONTENT_TYPE)
            .header(header::USER_AGENT, concat!("careen/", env!("CARGO_PKG_VERSION")));
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Full::from(body)).map_err(|error| unwritable(&error))?;
        let answer = self.client.request(request).await.map_err(|error| Undelivered::Unreachable(innermost(&error)))?;
        // A redirect is an answer like any other: what is told goes where the administrator said, and nowhere else.
        if answer.status().is_success() { Ok(()) } else { Err(Undelivered::Answered(answer.status().as_u16())) }
    }
}

/// Plain HTTP leads to this machine: [`Receiver`] takes no other. It needs no certificates of anybody.
fn connector(receiver: &Receiver) -> Result<HttpsConnector<HttpConnector>, NotifyError> {
    let (builder, provider) = (HttpsConnectorBuilder::new(), ring::default_provider());
    let builder = if receiver.is_plain() {
        let versions = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let trusts_nobody = versions.map_err(NotifyError::Tls)?.with_root_certificates(RootCertStore::empty());
        builder.with_tls_config(trusts_nobody.with_no_client_auth())
    } else {
        builder.with_provider_and_native_roots(provider).map_err(NotifyError::Roots)?
    };
    Ok(builder.https_or_http().enable_http1().build())
}

impl Deliver for Notifier {
    fn deliver(&self, call_back: CallBack) -> BoxFuture<'_, Result<(), Undelivered>> {
        self.post(call_back).boxed()
    }
}

/// The innermost cause says what happened. None of them knows the URL.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests;
