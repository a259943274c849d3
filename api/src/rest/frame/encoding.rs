//! What a client takes: compressed answers, or not.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
};

/// Says `gzip` or nothing, in place of all that the client has said. The layer that compresses would otherwise answer
/// 406 to who takes neither, after everything has been done: they get the answer as it is, which RFC 9110 (12.5.3)
/// allows.
pub(super) async fn settle(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if takes_gzip(headers) {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    } else {
        headers.remove(header::ACCEPT_ENCODING);
    }
    request
}

/// Whether who sends these headers takes gzip, and would not rather have none.
pub(in crate::rest) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for (coding, weight) in values.flat_map(|value| value.split(',')).map(weighed) {
        let known = match coding.as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        known.get_or_insert(weight);
    }
    let (gzip, identity) = (gzip.or(any).unwrap_or(0.0), identity.or(any).unwrap_or(0.0));
    gzip > 0.0 && gzip >= identity
}

/// A coding and its weight. One that cannot be read is none.
fn weighed(item: &str) -> (String, f32) {
    let (coding, parameters) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight = parameters.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    let weight = weight.and_then(|weight| weight.trim().parse().ok()).filter(|weight| (0.0..=1.0).contains(weight));
    (coding.trim().to_ascii_lowercase(), weight.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_who_takes_it_and_would_not_rather_have_none() {
        let takes = |sent: &[&str]| {
            let fields = sent.iter().map(|value| (header::ACCEPT_ENCODING, value.parse().unwrap()));
            takes_gzip(&fields.collect())
        };
        for sent in ["gzip", "br, GZip;q=0.1", "*", "gzip, identity", "identity;q=0.5, gzip ; q=0.5", "br;q=1, *;q=0.2"]
        {
            assert!(takes(&[sent]), "{sent}");
        }
        assert!(takes(&["br", "gzip"]));
        for sent in
            ["", "br", "identity;q=0", "br, *;q=0", "gzip;q=0", "gzip;q=0, *", "identity, gzip;q=0.5", "gzip;q=a"]
        {
            assert!(!takes(&[sent]), "{sent}");
        }
        assert!(!takes(&[]));
    }
}
