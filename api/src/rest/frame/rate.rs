//! Requests of one caller: so many in the long run, and a burst.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many callers are remembered; beyond that, those who have been quiet are forgotten first.
const MAX_CALLERS: usize = 10_000;

/// What each caller has used up: the generic cell rate algorithm. For each one time is kept, at which they will have
/// all of their burst again.
#[derive(Debug)]
pub(super) struct Rates {
    interval: Duration,
    burst: Duration,
    full_again: Mutex<HashMap<String, Instant>>,
}

impl Rates {
    /// One request for each interval, and that many at once.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst: interval.saturating_mul(burst), full_again: Mutex::default() }
    }

    /// Counts a request of that caller; refused, says how long to wait.
    pub(super) fn take(&self, caller: &str) -> Result<(), Duration> {
        let now = Instant::now();
        // Nobody panics while holding it.
        let mut full_again = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        let used = full_again.get(caller).map_or(Duration::ZERO, |time| time.saturating_duration_since(now));
        let used = used + self.interval;
        if let Some(too_much) = used.checked_sub(self.burst).filter(|too_much| !too_much.is_zero()) {
            return Err(too_much);
        }
        if full_again.len() >= MAX_CALLERS && !full_again.contains_key(caller) {
            full_again.retain(|_, time| *time > now);
        }
        full_again.insert(caller.to_owned(), now + used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_one_for_each_interval() {
        let rates = Rates::new(Duration::from_millis(100), 5);
        for _ in 0..5 {
            assert_eq!(rates.take("a"), Ok(()));
        }
        assert_eq!(rates.take("a"), Err(Duration::from_millis(100)));
        // Another is not concerned, and being refused costs nothing.
        assert_eq!(rates.take("b"), Ok(()));
        advance(Duration::from_millis(99)).await;
        assert_eq!(rates.take("a"), Err(Duration::from_millis(1)));
        advance(Duration::from_millis(1)).await;
        assert_eq!(rates.take("a"), Ok(()));
        assert_eq!(rates.take("a"), Err(Duration::from_millis(100)));
        advance(Duration::from_secs(60)).await;
        assert_eq!((0..6).filter(|_| rates.take("a").is_ok()).count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_have_been_quiet_are_forgotten() {
        let rates = Rates::new(Duration::from_millis(1), 5);
        for caller in 0..3 * MAX_CALLERS {
            rates.take(&caller.to_string()).unwrap();
            if caller % 1000 == 0 {
                advance(Duration::from_millis(1)).await;
            }
        }
        assert!(rates.full_again.lock().unwrap().len() <= MAX_CALLERS);
    }
}
