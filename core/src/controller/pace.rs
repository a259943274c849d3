//! When a status may be written.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Backoff, later};

/// At most one status write in this time for each object.
const PERIOD: Duration = Duration::from_secs(2);
/// Waits after a write that failed: from that time, doubling, to about a minute.
const BACKOFF: Backoff = Backoff { first: PERIOD, longest: Duration::from_secs(64) };
/// Mere progress is gathered for so long: pods end in bursts (110 with a grace of 30 s within two seconds or so), and a
/// write in the middle would keep the news that the last has gone back for two more.
const GATHER: Duration = Duration::from_secs(3);

/// When the status of one object may be written.
#[derive(Default)]
pub(super) struct Pace {
    due: Option<Timestamp>,
    /// Writes that failed in a row.
    failures: u32,
    /// Since when there is progress that the status does not show yet.
    unshown_since: Option<Timestamp>,
}

impl Pace {
    /// There is nothing to write.
    pub(super) fn is_up_to_date(&mut self) {
        self.unshown_since = None;
    }

    /// When what is new may be written; if that is now, it is to be written.
    pub(super) fn begin(&mut self, mere_progress: bool, now: Timestamp) -> Option<Timestamp> {
        let mut due = self.due.unwrap_or(now);
        if mere_progress {
            due = due.max(later(*self.unshown_since.get_or_insert(now), GATHER));
        }
        if due > now {
            return Some(due);
        }
        self.unshown_since = None;
        self.due = Some(later(now, PERIOD));
        None
    }

    pub(super) fn wrote(&mut self) {
        self.failures = 0;
    }

    /// When to look again after somebody else was faster.
    pub(super) fn again_at(&self) -> Option<Timestamp> {
        self.due
    }

    /// When to try again after a failure.
    pub(super) fn failed(&mut self, now: Timestamp) -> Option<Timestamp> {
        let wait = BACKOFF.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(later(now, wait));
        self.due
    }
}
