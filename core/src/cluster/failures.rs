//! A watch that fails: when it is tried again, and what is said of it.

use std::time::Duration;

use kube::{
    core::Status,
    runtime::watcher::{self, DefaultBackoff},
};
use tokio::time::{Instant, sleep};

/// The longest pause: whoever grants a missing right does not wait longer than this for its effect.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The same failure is logged again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// A watch that works need not bring anything; one that has not failed again for so long works. Longer than the longest
/// pause and the time after which a request without an answer has failed: silence may be that.
const OVER_AFTER: Duration = Duration::from_secs(75);
/// What is known is called old when its watch has failed for so long.
const OLD_AFTER: Duration = Duration::from_secs(60);

/// Paces the attempts of a watch. (kube's `default_backoff` does not: the `Init` before each list resets it, so that a
/// list that is refused is tried about once a second for ever.)
#[derive(Default)]
pub(super) struct Failures {
    pauses: DefaultBackoff,
    told: Option<(String, Instant)>,
    since: Option<Instant>,
}

impl Failures {
    /// The watch brought something.
    pub(super) fn are_over(&mut self, kind: &'static str) {
        if self.told.is_some() {
            tracing::info!(kind, "the watch works again");
            *self = Self::default();
        }
    }

    /// If the watch brings nothing for so long, neither an object nor a failure, it works again.
    pub(super) fn over_after(&self) -> Duration {
        self.since.map_or(Duration::MAX, |_| OVER_AFTER)
    }

    /// The watch failed; says whether it has for so long that what is known is old.
    pub(super) fn last_long(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now).elapsed() >= OLD_AFTER
    }

    /// The watch failed: says so, unless it just has, and waits until it is to be tried again.
    pub(super) async fn pause(&mut self, kind: &'static str, failure: &str) {
        let told = self.told.as_ref().is_some_and(|(said, when)| said == failure && when.elapsed() < AGAIN);
        if !told {
            tracing::warn!(kind, failure, "a watch failed and is tried again");
            self.told = Some((failure.to_owned(), Instant::now()));
        }
        sleep(self.pauses.next().map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))).await;
    }
}

/// What went wrong, in the API server's own words where there are any.
pub(super) fn sentence(error: &watcher::Error) -> String {
    answer(error).map_or_else(|| error.to_string(), |status| status.message.clone())
}

/// The code of the API server's answer, if it gave one.
pub(super) fn code(error: &watcher::Error) -> Option<u16> {
    answer(error).map(|status| status.code)
}

fn answer(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_fails_again_and_again_is_tried_ever_more_seldom() {
        let mut failures = Failures::default();
        let started = Instant::now();
        for _ in 0..10 {
            failures.pause("Pod", "pods is forbidden").await;
        }
        assert!(started.elapsed() > Duration::from_secs(50), "{:?}", started.elapsed());
        failures.are_over("Pod");
        let again = Instant::now();
        failures.pause("Pod", "pods is forbidden").await;
        assert!(again.elapsed() < Duration::from_secs(2), "{:?}", again.elapsed());
    }
}
