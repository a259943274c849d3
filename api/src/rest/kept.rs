//! What does not change while the server runs: a page, a script, the contract. It is made once, and so is each of its
//! two forms, compressed or not, when somebody first asks for it.

use std::{
    io::{self, Read, Write},
    sync::OnceLock,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::{
    frame::{is_known, takes_gzip, weak_tag},
    problem::Problem,
};

/// Something that is answered the same each time.
#[derive(Debug)]
pub(crate) struct Kept {
    type_: &'static str,
    /// Weak, as all tags here: it may be sent compressed and not.
    tag: String,
    plain: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

impl Kept {
    /// Of what is there as it is.
    pub(crate) fn plain(type_: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { type_, tag: weak_tag(&bytes), plain: OnceLock::from(bytes), gzip: OnceLock::new() }
    }

    /// Of what is there compressed.
    pub(crate) fn gzip(type_: &'static str, bytes: &'static [u8]) -> Self {
        Self { type_, tag: weak_tag(bytes), plain: OnceLock::new(), gzip: OnceLock::from(Bytes::from_static(bytes)) }
    }

    /// The answer to who asks for it with these headers. A browser keeps it and asks each time whether it is still
    /// that: the next version of the server has another under the same name.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response {
        let kept = [(header::CACHE_CONTROL, "no-cache"), (header::ETAG, &*self.tag), (header::VARY, "accept-encoding")];
        if is_known(asked.get_all(header::IF_NONE_MATCH), &self.tag) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        let type_ = [(header::CONTENT_TYPE, self.type_)];
        let made = if takes_gzip(asked) {
            let coding = [(header::CONTENT_ENCODING, "gzip")];
            made(&self.gzip, || packed(self.plain.get())).map(|bytes| (kept, type_, coding, bytes).into_response())
        } else {
            made(&self.plain, || unpacked(self.gzip.get())).map(|bytes| (kept, type_, bytes).into_response())
        };
        made.unwrap_or_else(|error| Problem::internal(error).into_response())
    }
}

/// What is kept there, and is made if it is not there yet. Two that make it at the same time make the same.
fn made(place: &OnceLock<Bytes>, make: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Bytes> {
    if let Some(bytes) = place.get() {
        return Ok(bytes.clone());
    }
    let bytes = Bytes::from(make()?);
    Ok(place.get_or_init(|| bytes).clone())
}

fn packed(plain: Option<&Bytes>) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain.map_or(&[], |bytes| bytes))?;
    encoder.finish()
}

fn unpacked(gzip: Option<&Bytes>) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(gzip.map_or(&[][..], |bytes| bytes)).read_to_end(&mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// `gzip -n` of "hull\n".
    const HULL: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x28\xcd\xc9\xe1\x02\x00\xce\x64\xd1\x5b\x05\x00\x00\x00";

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    async fn body(response: Response) -> Bytes {
        to_bytes(response.into_body(), 1000).await.unwrap()
    }

    #[tokio::test]
    async fn each_form_is_made_once_and_is_what_is_asked_for() {
        for kept in [Kept::gzip("text/plain", HULL), Kept::plain("text/plain", "hull\n")] {
            let ask = |coding: &str| kept.answer(&headers(header::ACCEPT_ENCODING, coding));
            let packed = ask("gzip");
            assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
            let packed = body(packed).await;
            assert_eq!(unpacked(Some(&packed)).unwrap(), b"hull\n");
            let plain = ask("identity");
            assert_eq!(plain.headers().get(header::CONTENT_ENCODING), None);
            assert_eq!(plain.headers()[header::VARY], "accept-encoding");
            let plain = body(plain).await;
            assert_eq!(plain, "hull\n");
            // The very same bytes, not equal ones.
            assert_eq!(body(ask("gzip")).await.as_ptr(), packed.as_ptr());
            assert_eq!(body(kept.answer(&HeaderMap::new())).await.as_ptr(), plain.as_ptr());
        }
    }

    #[test]
    fn who_has_it_gets_nothing_again() {
        let (kept, other) = (Kept::plain("text/plain", "a"), Kept::plain("text/plain", "b"));
        assert_ne!(kept.tag, other.tag);
        let again = kept.answer(&headers(header::IF_NONE_MATCH, &kept.tag));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::ETAG], kept.tag);
        assert_eq!(kept.answer(&headers(header::IF_NONE_MATCH, &other.tag)).status(), StatusCode::OK);
    }
}
