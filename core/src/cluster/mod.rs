//! One connection to a cluster, and what is known of it.

mod apply;
mod snapshot;

pub use apply::{Concerned, Kept};
pub use snapshot::{Snapshot, View};
