//! Who asks: by bearer token.

use std::collections::BTreeMap;

use http::{HeaderMap, header};

use super::{refusal::Refusal, server::Options, user::User};

/// Whom a token belongs to.
#[must_use]
pub fn user_of<'a>(tokens: &'a BTreeMap<String, User>, token: &str) -> Option<&'a User> {
    tokens.get(token)
}

/// Who sent these headers.
pub(super) fn authenticate(headers: &HeaderMap, options: &Options) -> Result<User, Refusal> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = header.splitn(2, ' ');
    let is_bearer = parts.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"));
    let token = parts.next().unwrap_or_default().trim();
    if !is_bearer || token.is_empty() {
        return Ok(options.without_token.clone());
    }
    user_of(&options.tokens, token).cloned().ok_or_else(Refusal::unauthorized)
}
