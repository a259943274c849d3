//! One connection to a cluster, and what is known of it.
//!
//! | file | holds |
//! |---|---|
//! | `caches` | a connection with its watch caches; news of changes |
//! | `connect`, `discreet` | how a client is made, and that nothing secret is said when it fails |
//! | `count_requests`, `answer_timeout` | what every request of a client is subject to |
//! | `snapshot` | the consistent view that pure code gets |
//! | `apply` | how a snapshot takes up what the watches bring |
//! | `kept` | the kinds that it holds |
//! | `watch` | one watch of one kind |
//! | `failures` | a watch that fails: when it is tried again, and what is said of it |
//! | `whole`, `nodes` | which watches there are, by the scope of the connection |
//! | `shared` | what the watches write and everybody reads |

mod answer_timeout;
mod apply;
mod caches;
mod connect;
mod count_requests;
mod discreet;
mod failures;
mod kept;
mod nodes;
mod shared;
mod snapshot;
mod watch;
mod whole;

pub use apply::{Concerned, Kept, Part};
pub use caches::{Changes, Cluster};
pub use connect::{Address, ConnectError, Connection, client_on};
pub use shared::WatchState;
pub use snapshot::{Snapshot, View};

#[cfg(test)]
mod tests;
