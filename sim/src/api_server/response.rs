//! Answers as they go over the wire.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};

use super::{audit::Record, refusal::Refusal, watch::Watch};

/// What is answered: at once, or, for a watch, a line for each event until it ends.
#[derive(Debug)]
pub struct ResponseBody(Content);

enum Content {
    Bytes(Option<Bytes>),
    Watch(Box<Watch>, Option<Box<Record>>),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.as_ref().map(Bytes::len)).finish(),
            Self::Watch(watch, _) => watch.fmt(f),
        }
    }
}

impl ResponseBody {
    pub(super) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Content::Bytes(Some(bytes.into())))
    }

    pub(super) fn watch(watch: Box<Watch>, record: Option<Record>) -> Self {
        Self(Content::Watch(watch, record.map(Box::new)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.0 {
            Content::Bytes(bytes) => Poll::Ready(bytes.take()),
            Content::Watch(watch, record) => {
                let line = watch.poll_line(cx);
                if matches!(line, Poll::Ready(None)) {
                    drop(record.take());
                }
                line
            }
        };
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Bytes(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Content::Watch(..) => SizeHint::default(),
        }
    }
}

/// An answer with a body that is there.
pub(super) fn response(code: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::bytes(bytes));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A refusal.
pub(super) fn refused(refusal: &Refusal) -> Response<ResponseBody> {
    if refusal.is_plain {
        return response(refusal.code, "text/plain; charset=utf-8", refusal.message.clone());
    }
    let mut response = response(refusal.code, "application/json", refusal.to_json().to_string());
    if let Some(seconds) = refusal.details.get("retryAfterSeconds").and_then(serde_json::Value::as_u64) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds `Warning: 299 - "…"`.
pub(super) fn warn(response: &mut Response<ResponseBody>, warnings: &[String]) {
    for warning in warnings {
        let warning = warning.replace(['\n', '\r'], " ").replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{warning}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
