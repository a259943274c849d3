//! Server-sent events: a client follows what happens, and goes on where it was after a break.
//!
//! | file | holds |
//! |---|---|
//! | `log` | the latest events, shared by all readers |
//! | `stream` | one client's stream: resume, resync, heartbeat, end |

mod log;
mod stream;
#[cfg(test)]
mod tests;

#[allow(unused_imports, reason = "the resources with events come next")]
pub(crate) use log::EventLog;
#[allow(unused_imports, reason = "the resources with events come next")]
pub(crate) use stream::{Source, Streams};
