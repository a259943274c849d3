//! A file of the page.

use std::io::Read;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;

use crate::{
    auth::Digest,
    rest::{Problem, is_known},
};

pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const STYLE: &str = "text/css; charset=utf-8";

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) type_: &'static str,
    pub(super) content: Content,
}

/// What is in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// As it is.
    Text(&'static str),
    /// Compressed once and for all: megabytes are not compressed again for each who asks.
    #[cfg_attr(not(any(graphiql, test)), expect(dead_code, reason = "only GraphiQL is large"))]
    Gzip(&'static [u8]),
}

impl Part {
    /// Names what is in it (weak, as all tags here: it may be sent compressed and not).
    pub(super) fn tag(&self) -> String {
        let bytes = match self.content {
            Content::Text(text) => text.as_bytes(),
            Content::Gzip(bytes) => bytes,
        };
        format!("W/\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Digest::of(bytes).as_bytes()[..16]))
    }

    /// The answer to who asks for it with these headers. A browser keeps it and asks each time whether it is still
    /// that: the next version of the server has another under the same name.
    pub(super) fn answer(&self, tag: &str, asked: &HeaderMap) -> Response {
        let kept = [(header::CACHE_CONTROL, "no-cache"), (header::ETAG, tag)];
        if is_known(asked.get_all(header::IF_NONE_MATCH), tag) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        let type_ = [(header::CONTENT_TYPE, self.type_)];
        match self.content {
            // The frame compresses it.
            Content::Text(text) => (kept, type_, text).into_response(),
            Content::Gzip(bytes) => {
                let vary = [(header::VARY, "accept-encoding")];
                if takes_gzip(asked) {
                    return (kept, type_, vary, [(header::CONTENT_ENCODING, "gzip")], bytes).into_response();
                }
                let mut plain = Vec::new();
                match GzDecoder::new(bytes).read_to_end(&mut plain) {
                    Ok(_) => (kept, type_, vary, plain).into_response(),
                    Err(error) => Problem::internal(error).into_response(),
                }
            }
        }
    }
}

/// Whether who asks says that it can unpack gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && weight.is_some_and(|weight| weight > 0.0)
    })
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

    #[test]
    fn who_can_unpack_says_so() {
        for (value, takes) in [
            ("gzip", true),
            ("br, gzip", true),
            ("gzip;q=0.5", true),
            ("identity, *", true),
            ("", false),
            ("br", false),
            ("gzip; q=0", false),
            ("gzip;q=much", false),
            ("gzipped", false),
        ] {
            assert_eq!(takes_gzip(&headers(header::ACCEPT_ENCODING, value)), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_is_kept_compressed_is_unpacked_for_who_cannot() {
        let part = Part { name: "hull.txt", type_: "text/plain", content: Content::Gzip(HULL) };
        let tag = part.tag();
        let packed = part.answer(&tag, &headers(header::ACCEPT_ENCODING, "gzip"));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(to_bytes(packed.into_body(), 100).await.unwrap(), HULL);
        let plain = part.answer(&tag, &HeaderMap::new());
        assert_eq!(plain.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(plain.headers()[header::VARY], "accept-encoding");
        assert_eq!(to_bytes(plain.into_body(), 100).await.unwrap(), "hull\n");
    }

    #[tokio::test]
    async fn who_has_it_gets_nothing_again() {
        let part = Part { name: "a.js", type_: SCRIPT, content: Content::Text("a") };
        let other = Part { content: Content::Text("b"), ..part };
        assert_ne!(part.tag(), other.tag());
        let again = part.answer(&part.tag(), &headers(header::IF_NONE_MATCH, &part.tag()));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::ETAG], part.tag());
        assert_eq!(part.answer(&part.tag(), &headers(header::IF_NONE_MATCH, &other.tag())).status(), StatusCode::OK);
    }
}
