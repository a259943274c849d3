//! `Idempotency-Key`.

use axum::http::HeaderMap;
use careen_core::operation::{OnceKey, StartMaintenance};
use serde_json::json;

use crate::{auth::Digest, rest::problem::Problem};

/// A key has so many characters at most.
const LONGEST: usize = 255;

/// What the request is known by, if it was sent with a key.
pub(super) fn once_key(headers: &HeaderMap, request: &StartMaintenance) -> Result<Option<OnceKey>, Problem> {
    let mut sent = headers.get_all("idempotency-key").iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > LONGEST || sent.next().is_some() {
        let detail = format!("Idempotency-Key: there is one, of 1 to {LONGEST} visible ASCII characters");
        return Err(Problem::bad_request(detail).field("Idempotency-Key"));
    }
    let StartMaintenance { node, name, reason, ticket, drain, requested_by, .. } = request;
    let asked = json!([node, name, reason, ticket, drain]).to_string();
    Ok(Some(OnceKey {
        key: Digest::of(key.as_bytes()).hex(),
        request: Digest::of(asked.as_bytes()).hex(),
        caller: requested_by.clone().unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use careen_core::operation::IfExists;

    use super::*;

    fn request(reason: &str) -> StartMaintenance {
        StartMaintenance {
            node: "node02".parse().unwrap(),
            name: None,
            reason: Some(reason.to_owned()),
            ticket: None,
            drain: None,
            requested_by: Some("ann".to_owned()),
            if_exists: IfExists::Refuse,
            dry_run: false,
        }
    }

    fn key(values: &[&str], reason: &str) -> Result<Option<OnceKey>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        once_key(&headers, &request(reason))
    }

    #[test]
    fn a_key_is_one_header_of_visible_characters() {
        assert_eq!(key(&[], "a").unwrap(), None);
        assert!(key(&["CHG0031"], "a").unwrap().is_some());
        let long = "a".repeat(256);
        for bad in [&[""][..], &["  "], &[&long], &["\u{e4}"], &["a", "b"]] {
            assert_eq!(key(bad, "a").unwrap_err().status(), 400, "{bad:?}");
        }
    }

    #[test]
    fn the_key_names_the_receipt_and_all_that_is_asked_for_the_request() {
        let one = key(&["CHG0031"], "a").unwrap().unwrap();
        assert_eq!(key(&["CHG0031"], "a").unwrap().unwrap(), one);
        let (other_key, other_request) = (key(&["CHG0032"], "a"), key(&["CHG0031"], "b"));
        let (other_key, other_request) = (other_key.unwrap().unwrap(), other_request.unwrap().unwrap());
        assert_eq!((one.key.len(), one.request == other_key.request, one.key == other_key.key), (64, true, false));
        assert_eq!((one.request == other_request.request, one.key == other_request.key), (false, true));
    }
}
