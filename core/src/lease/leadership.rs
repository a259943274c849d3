//! Who leads, as far as this replica knows.

use std::sync::Arc;

use tokio::time::Instant;

use super::request::LeaseError;

/// Whether this replica leads. Check it at the moment of use, and again after every wait.
#[derive(Clone, Debug)]
pub enum Leadership {
    /// Another replica leads, or none yet.
    Standby {
        /// Who holds the Lease, if anybody.
        holder: Option<String>,
    },
    /// This one, until then.
    Leading {
        /// If the Lease cannot be renewed before, this is the end: well before it can pass on.
        until: Instant,
    },
    /// The Lease cannot be read or written, so this replica does not lead.
    Unavailable {
        /// What is wrong, in a sentence.
        error: Arc<LeaseError>,
    },
}

impl Leadership {
    /// Whether this replica may act at that moment.
    #[must_use]
    pub fn is_mine(&self, now: Instant) -> bool {
        matches!(self, Self::Leading { until } if now < *until)
    }

    /// Whether it says the same, apart from the time of the next renewal.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Standby { holder }, Self::Standby { holder: other }) => holder == other,
            (Self::Leading { .. }, Self::Leading { .. }) => true,
            (Self::Unavailable { error }, Self::Unavailable { error: other }) => error.to_string() == other.to_string(),
            _ => false,
        }
    }
}
