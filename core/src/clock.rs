//! Time, as an argument.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A clock that never goes back: the wall clock of the moment when it was made, carried on by tokio's monotonic one.
/// With tokio's paused time it is virtual, so whatever takes its time from here can be tested in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
    is_system: bool,
}

impl Clock {
    /// A clock that starts at the present.
    #[must_use]
    pub fn system() -> Self {
        Self { is_system: true, ..Self::starting_at(Timestamp::now()) }
    }

    /// A clock that starts at that time.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now(), is_system: false }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall.checked_add(self.start.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// What hosts compare with each other (the times in Leases): the system's wall clock, which is corrected while the
    /// process runs, and may go back.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        if self.is_system { Timestamp::now() } else { self.now() }
    }

    /// Waits until that time; returns at once if it has passed.
    pub async fn sleep_until(&self, time: Timestamp) {
        let left = time.duration_since(self.now());
        tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
    }
}

/// That much later. Durations come from people and other programs: what lies beyond the calendar is its end, and no
/// panic.
#[must_use]
pub fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Waits after failures in a row, each twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The wait after a failure that so many came before.
    pub(crate) fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(self.longest)
    }
}

/// Kubernetes' times in a status are of whole seconds.
pub(crate) fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
