//! Why the server ends a socket.

use std::time::Duration;

use axum::extract::ws::CloseFrame;

use crate::rest::{Problem, Reason};

/// Why the server ends a socket.
#[derive(Clone, Debug)]
pub(super) struct Goodbye {
    code: u16,
    reason: String,
}

/// Come again: clients do, after a while (RFC 6455, section 7.4, and its registry).
const COME_AGAIN: u16 = 1013;

impl Goodbye {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The server stops.
    pub(super) fn stops() -> Self {
        Self::new(1001, "the server stops: come again")
    }

    /// Who calls is not known, or cannot be asked for now.
    pub(super) fn of_stranger(problem: &Problem) -> Self {
        let is_stranger = problem.reason() == Reason::UNAUTHORIZED;
        Self::new(if is_stranger { 4401 } else { COME_AGAIN }, problem.detail())
    }

    /// The token is good no more: the client comes again, with a new one.
    pub(super) fn good_no_more(reason: impl Into<String>) -> Self {
        Self::new(4403, reason)
    }

    /// Something cannot be known for now, or there is no place for now.
    pub(super) fn for_now(reason: impl Into<String>) -> Self {
        Self::new(COME_AGAIN, reason)
    }

    /// Nothing was heard for so long.
    pub(super) fn silent(time: Duration) -> Self {
        Self::new(COME_AGAIN, format!("nothing was heard for {} s", time.as_secs()))
    }

    /// There was no `connection_init` in time.
    pub(super) fn no_introduction() -> Self {
        Self::new(4408, "there was no connection_init in time")
    }

    /// Something was asked for before the `connection_ack`.
    pub(super) fn not_introduced() -> Self {
        Self::new(4401, "connection_init comes first")
    }

    /// A second `connection_init`.
    pub(super) fn introduced_twice() -> Self {
        Self::new(4429, "there is one connection_init")
    }

    /// What was said is no message of the protocol.
    pub(super) fn not_understood(why: impl std::fmt::Display) -> Self {
        Self::new(4400, format!("this is no message of the protocol: {why}"))
    }

    /// The id is that of a subscription that goes on.
    pub(super) fn id_is_taken(id: &str) -> Self {
        Self::new(4409, format!("there is a subscription {id:?} already"))
    }

    pub(super) fn into_frame(self) -> CloseFrame {
        // A reason has at most 123 bytes (RFC 6455, section 5.5).
        let mut reason = self.reason;
        while reason.len() > 123 {
            reason.pop();
        }
        CloseFrame { code: self.code, reason: reason.into() }
    }
}
