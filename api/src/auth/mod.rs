//! Who calls, and what they may do: Kubernetes says both.
//!
//! | file | holds |
//! |---|---|
//! | `caller` | who calls |
//! | `token` | the bearer token, and Kubernetes' word on whose it is (`TokenReview`) |
//! | `acquaintances` | tokens that were good lately |
//! | `access` | Kubernetes' word on what a caller may do (`SubjectAccessReview`) |
//! | `permission` | a right in Kubernetes' words, and those that the table names |
//! | `operations` | the table: operation → permissions |
//! | `besides` | what some operations need besides |
//! | `fresh` | answers that are kept for seconds, and asked for once however many want them |
//! | `digest` | SHA-256, under which secrets are kept |

mod access;
mod acquaintances;
pub(crate) mod besides;
mod caller;
mod digest;
mod fresh;
pub(crate) mod operations;
pub(crate) mod permission;
mod token;

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;
use careen_core::clock::Clock;
use kube::Client;

use crate::rest::Problem;
use access::Access;
pub(crate) use caller::Caller;
pub(crate) use digest::Digest;
pub(crate) use operations::Operation;
#[cfg(test)]
pub(crate) use operations::{OPERATIONS, document};
pub(crate) use permission::{Permission, Right};
use token::Tokens;

/// How long one review may take: less than the time-out of any request.
const REVIEW_WITHIN: Duration = Duration::from_secs(10);

/// How old Kubernetes' word on a right may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It is asked for now: for whatever changes something.
    Now,
    /// As old as [`access`] keeps it: for what is only shown.
    MayBeSecondsOld,
}

/// Who calls, and what they may do.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// Kubernetes is asked.
    Kubernetes { tokens: Arc<Tokens>, access: Arc<Access> },
    /// Everybody who can reach the server is this caller, who may do everything: a demo on loopback.
    #[cfg(any(test, feature = "demo"))]
    Everybody(Arc<Caller>),
}

impl Auth {
    /// Kubernetes is asked. Without audiences, a token has to be one for the API server.
    pub(crate) fn by_kubernetes(client: Client, audiences: Vec<String>, clock: Clock) -> Self {
        let tokens = Arc::new(Tokens::new(client.clone(), audiences, clock));
        Self { how: How::Kubernetes { tokens, access: Arc::new(Access::new(client)) } }
    }

    /// Everybody is this caller, and may do everything. Only for a cluster in memory, on loopback.
    #[cfg(any(test, feature = "demo"))]
    pub(crate) fn everybody_is(caller: Caller) -> Self {
        Self { how: How::Everybody(Arc::new(caller)) }
    }

    /// Who sends this.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        match &self.how {
            How::Kubernetes { tokens, .. } => tokens.caller(headers).await,
            #[cfg(any(test, feature = "demo"))]
            How::Everybody(caller) => Ok(caller.clone()),
        }
    }

    /// Whether the caller has all of these rights; else the problem names those that are missing.
    pub(crate) async fn demand(&self, caller: &Caller, rights: &[Right], freshness: Freshness) -> Result<(), Problem> {
        match &self.how {
            How::Kubernetes { access, .. } => access.demand(caller, rights, freshness).await,
            #[cfg(any(test, feature = "demo"))]
            How::Everybody(_) => Ok(()),
        }
    }
}
