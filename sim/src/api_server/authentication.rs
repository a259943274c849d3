//! Who asks: by bearer token.

use http::{HeaderMap, header};

use super::{refusal::Refusal, server::ApiServer, service_account_token, user::User};

/// Whom a token belongs to.
#[must_use]
pub(super) fn user_of(server: &ApiServer, token: &str) -> Option<User> {
    let known = server.options().tokens.get(token).cloned();
    known.or_else(|| service_account_token::user_of(&server.store(), token))
}

/// Who sent these headers.
pub(super) fn authenticate(headers: &HeaderMap, server: &ApiServer) -> Result<User, Refusal> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = header.splitn(2, ' ');
    let is_bearer = parts.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"));
    let token = parts.next().unwrap_or_default().trim();
    if !is_bearer || token.is_empty() {
        return Ok(server.options().without_token.clone());
    }
    user_of(server, token).ok_or_else(Refusal::unauthorized)
}
