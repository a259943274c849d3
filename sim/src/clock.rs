//! Time, as an argument.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A clock that never goes back: the wall clock of the moment when it was made, carried on by tokio's monotonic one. With
/// tokio's paused time it is virtual, and hours pass in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that starts at the present.
    #[must_use]
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that starts at that time.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now() }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall.checked_add(self.start.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// Waits until that time; returns at once if it has passed.
    pub async fn sleep_until(&self, time: Timestamp) {
        let left = time.duration_since(self.now());
        tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
    }
}
