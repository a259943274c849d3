//! The bearer token, and Kubernetes' word on whose it is. Tokens are never logged, and kept under their SHA-256 only.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use careen_core::clock::Clock;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::{Api, Client, api::PostParams};
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use super::{Caller, Digest, REVIEW_WITHIN, acquaintances::Acquaintances, fresh::Fresh};
use crate::rest::{Problem, Reason};

/// A token that was good is taken to be good for so long: what a revoked one may still read.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// One that was not, for so long: a token may be sent a moment before the API server knows its ServiceAccount.
const BAD_FOR: Duration = Duration::from_secs(2);
/// So many reviews run at once of tokens that are not known, and as many of those that are. Whoever sends made-up ones
/// keeps the former busy: not the API server, and nobody else.
const MAX_REVIEWS: usize = 16;
/// So many requests wait for reviews of tokens that are not known: half of all that are answered at the same time, and
/// more than one caller may send at once.
const MAX_STRANGERS: usize = 256;
/// Longer than any token that Kubernetes issues (those of a ServiceAccount have about 1,200 characters).
const MAX_TOKEN: usize = 8 * 1024;

/// Kubernetes' word on tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    reviews: Api<TokenReview>,
    audiences: Vec<String>,
    clock: Clock,
    known: Fresh<Digest, Result<Arc<Caller>, &'static str>>,
    acquaintances: Acquaintances,
    /// Of requests whose token is not known.
    strangers: Semaphore,
    reviews_of_strangers: Semaphore,
    reviews_of_acquaintances: Semaphore,
}

impl Tokens {
    pub(super) fn new(client: Client, audiences: Vec<String>, clock: Clock) -> Self {
        Self {
            reviews: Api::all(client),
            audiences,
            clock,
            known: Fresh::new(),
            acquaintances: Acquaintances::default(),
            strangers: Semaphore::new(MAX_STRANGERS),
            reviews_of_strangers: Semaphore::new(MAX_REVIEWS),
            reviews_of_acquaintances: Semaphore::new(MAX_REVIEWS),
        }
    }

    /// Whose token is in this header.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let token = bearer_token(headers).map_err(unauthorized)?;
        let key = Digest::of(token.as_bytes());
        let (_place, permits) = if self.acquaintances.has(&key) {
            (None, &self.reviews_of_acquaintances)
        } else {
            let place = self.strangers.try_acquire().map_err(|_| too_many_strangers())?;
            (Some(place), &self.reviews_of_strangers)
        };
        // Whoever waits for somebody else's question waits no longer than for its own.
        let verdict = timeout(REVIEW_WITHIN, self.known.get(key, self.review(token, key, permits))).await;
        verdict.map_err(|_| not_reviewed("it does not answer"))??.map_err(unauthorized)
    }

    async fn review(
        &self,
        token: &str,
        key: Digest,
        permits: &Semaphore,
    ) -> Result<(Result<Arc<Caller>, &'static str>, Duration), Problem> {
        let permit = permits.acquire().await;
        let user = self.known_user(token).await.map_err(|error| not_reviewed(&error.to_string()))?;
        drop(permit);
        let (verdict, good_for) = self.verdict(token, user);
        match verdict {
            Ok(_) => self.acquaintances.add(key),
            Err(_) => self.acquaintances.remove(&key),
        }
        Ok((verdict, good_for))
    }

    /// Who it is, or why they are not let in, and for how long that holds.
    fn verdict(&self, token: &str, user: Option<UserInfo>) -> (Result<Arc<Caller>, &'static str>, Duration) {
        let Some(user) = user else {
            return (Err("Kubernetes does not know the token, or it has run out"), BAD_FOR);
        };
        let good_for = match expiry(token) {
            Some(expiry) => Duration::try_from(expiry.duration_since(self.clock.wall())).unwrap_or_default(),
            None => GOOD_FOR,
        };
        let caller = Caller::from(user);
        if caller.user.is_empty() || caller.user == "system:anonymous" {
            return (Err("Kubernetes does not say whose the token is"), BAD_FOR);
        }
        (Ok(Arc::new(caller)), good_for.min(GOOD_FOR))
    }

    /// Whose token it is: one for the API server's audience, or for one of the further ones.
    async fn known_user(&self, token: &str) -> kube::Result<Option<UserInfo>> {
        if !self.audiences.is_empty() {
            let status = self.ask(token, Some(self.audiences.clone())).await?;
            // An authenticator that does not know audiences answers with none, and has not looked at them.
            let meant = status.audiences.unwrap_or_default();
            if status.authenticated == Some(true) && meant.iter().any(|audience| self.audiences.contains(audience)) {
                return Ok(Some(status.user.unwrap_or_default()));
            }
        }
        let status = self.ask(token, None).await?;
        Ok((status.authenticated == Some(true)).then(|| status.user.unwrap_or_default()))
    }

    async fn ask(&self, token: &str, audiences: Option<Vec<String>>) -> kube::Result<TokenReviewStatus> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences };
        let question = TokenReview { spec, ..TokenReview::default() };
        let answered = self.reviews.create(&PostParams::default(), &question).await?;
        Ok(answered.status.unwrap_or_default())
    }
}

/// The token of `Authorization: Bearer …`, or why there is none.
fn bearer_token(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err("there is no bearer token: send Authorization: Bearer TOKEN"),
        (Some(_), Some(_)) => return Err("there is more than one Authorization header"),
        (Some(value), None) => value.to_str().map_err(|_| "the Authorization header is no text")?,
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the Authorization header is none of a bearer token: send Authorization: Bearer TOKEN");
    }
    let token = token.trim();
    // RFC 6750, section 2.1.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    match token {
        "" => Err("the bearer token is empty"),
        token if token.len() > MAX_TOKEN => Err("the bearer token is too long"),
        token if !token.bytes().all(allowed) => Err("the bearer token has characters that no token has"),
        token => Ok(token),
    }
}

fn unauthorized(why: &'static str) -> Problem {
    // RFC 6750, section 3.
    Problem::new(Reason::UNAUTHORIZED, why).header("www-authenticate", "Bearer realm=\"careen\"")
}

fn too_many_strangers() -> Problem {
    let sentence = "Kubernetes is being asked about as many tokens as may be: try again";
    Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(Duration::from_secs(1))
}

fn not_reviewed(error: &str) -> Problem {
    tracing::warn!(error, "a token could not be reviewed");
    Problem::unavailable("whose the token is cannot be asked: the API server does not answer, or refuses to")
}

/// When a JSON Web Token runs out. It was found to be good: what it says of itself is so.
fn expiry(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }

    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and a fraction of a second is of no matter")]
    Timestamp::from_second(claims.exp as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_a_token_is_refused_with_the_reason() {
        let token = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::AUTHORIZATION, line.parse().unwrap());
            }
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(token(&["Bearer abc.DEF-_~+/="]).unwrap(), "abc.DEF-_~+/=");
        assert_eq!(token(&["bearer  abc"]).unwrap(), "abc");
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
        for (lines, why) in [
            (&[][..], "no bearer token"),
            (&["Basic YTpi"], "none of a bearer token"),
            (&["Bearer"], "empty"),
            (&["Bearer "], "empty"),
            (&["Bearer a b"], "characters"),
            (&[&long], "too long"),
            (&["Bearer a", "Bearer b"], "more than one"),
        ] {
            assert!(token(lines).unwrap_err().contains(why), "{lines:?}");
        }
    }

    #[test]
    fn the_expiry_of_a_token_is_read_from_it() {
        let jwt = |claims: &str| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(expiry(&jwt(r#"{"exp": 1700000000}"#)), Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(expiry(&jwt(r#"{"exp": 1700000000.5}"#)), Timestamp::from_second(1_700_000_000).ok());
        for other in ["opaque", "a.b.c", &jwt("{}"), &jwt(r#"{"exp": "soon"}"#), &jwt(r#"{"exp": 1e300}"#)] {
            assert_eq!(expiry(other), None, "{other}");
        }
    }
}
