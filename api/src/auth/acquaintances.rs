//! Tokens that were good lately. Whoever sends one is no stranger: they do not wait behind who sends made-up ones.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Digest;

/// For so long after it was last found to be good. It is asked about all the same.
const LATELY: Duration = Duration::from_secs(3600);
/// So many are kept. One is some fifty bytes.
const MAX: usize = 10_000;

/// The tokens, by their SHA-256, and when each was found to be good. Only good ones are added: made-up ones push none
/// out.
#[derive(Debug, Default)]
pub(super) struct Acquaintances(Mutex<HashMap<Digest, Instant>>);

impl Acquaintances {
    /// Whether that token was good lately.
    pub(super) fn has(&self, token: &Digest) -> bool {
        self.tokens().get(token).is_some_and(|good_at| good_at.elapsed() < LATELY)
    }

    /// It is good now.
    pub(super) fn add(&self, token: Digest) {
        let mut tokens = self.tokens();
        if tokens.len() >= MAX {
            tokens.retain(|_, good_at| good_at.elapsed() < LATELY);
        }
        if tokens.len() < MAX || tokens.contains_key(&token) {
            tokens.insert(token, Instant::now());
        }
    }

    /// It is good no more.
    pub(super) fn remove(&self, token: &Digest) {
        self.tokens().remove(token);
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        // Nobody panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_known_for_an_hour_and_not_too_many_are() {
        let known = Acquaintances::default();
        let token = |number: usize| Digest::of(number.to_string().as_bytes());
        known.add(token(0));
        assert!(known.has(&token(0)) && !known.has(&token(1)));
        known.remove(&token(0));
        assert!(!known.has(&token(0)));
        for number in 0..MAX + 10 {
            known.add(token(number));
        }
        assert!(known.has(&token(MAX - 1)) && !known.has(&token(MAX)));
        advance(LATELY).await;
        assert!(!known.has(&token(0)));
        known.add(token(MAX));
        assert_eq!(known.tokens().len(), 1);
    }
}
