//! What every request goes through, from the outside in:
//!
//! | file | holds |
//! |---|---|
//! | `encoding` | what is compressed: what the layers within say too |
//! | `observe` | a request id, the time-out, a panic's answer; changes go on when their caller goes away |
//! | `account` | what is known of one request as it comes to light |
//! | `tell` | what is told at its end: access log, audit lines, numbers |
//! | `metrics` | what is counted |
//! | `audit` | what the audit log says of changes |
//! | `render` | every answer that is no success becomes a problem with the request id |
//! | `size` | size of header and body, JSON only |
//! | `rate` | requests of one caller |
//! | `etag` | `ETag` and `If-None-Match` |
//! | `admit` | who calls, how often, and whether they may: before the handler runs |
//! | `known` | only what the operation knows is in the query and in the body |

mod account;
mod admit;
mod audit;
mod encoding;
mod etag;
mod known;
mod metrics;
mod observe;
mod rate;
mod render;
mod size;
mod tell;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state, map_request},
};
use serde_json::Value;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;
use tower_http::compression::CompressionLayer;

pub(crate) use account::Account;
pub(crate) use admit::Admission;
pub(crate) use audit::{Note, Touched};
pub(super) use encoding::takes_gzip;
pub(super) use etag::{is_known, weak_tag};
pub(crate) use metrics::Counted;
pub use metrics::HttpMetrics;

use crate::auth::Auth;
use known::Known;
use rate::Rates;

/// What is allowed to one caller, and to all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many requests are answered at the same time. Streams of events are counted apart, and probes not at all.
    pub(crate) concurrent: usize,
    /// How often one caller may call, in the long run.
    pub(crate) interval: Duration,
    /// How many calls may come at once.
    pub(crate) burst: u32,
    /// How long an answer may take: what may wait (`?wait=60s`) waits a little less.
    pub(crate) within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Reads take microseconds of one core; this many wait for the API server at the same time.
            concurrent: 512,
            // 50 in a second: a console that shows 20 nodes asks for less, a loop without a pause for more.
            interval: Duration::from_millis(20),
            burst: 200,
            within: Duration::from_secs(75),
        }
    }
}

/// The frame around the routes. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    auth: Auth,
    metrics: HttpMetrics,
    limits: Limits,
    rates: Rates,
    permits: Arc<Semaphore>,
    /// Those that are being made, whether or not somebody still waits for their answers.
    changes: TaskTracker,
}

impl Frame {
    /// A frame.
    pub(crate) fn new(auth: Auth, metrics: HttpMetrics, limits: Limits) -> Self {
        let rates = Rates::new(limits.interval, limits.burst);
        let permits = Arc::new(Semaphore::new(limits.concurrent));
        Self(Arc::new(Inner { auth, metrics, limits, rates, permits, changes: TaskTracker::new() }))
    }

    /// Waits until all changes that are being made have come to their end, and their audit lines are written; for so
    /// long at most. Nothing new comes in any more.
    pub(crate) async fn changes_end(&self, within: Duration) {
        self.0.changes.close();
        if timeout(within, self.0.changes.wait()).await.is_err() {
            tracing::warn!(changes = self.0.changes.len(), "the server stops in the middle of changes");
        }
    }

    /// Counts a WebSocket until it is dropped.
    pub(crate) fn socket(&self) -> Counted {
        self.0.metrics.socket()
    }

    /// Puts the doorkeeper before the routes of this contract: nothing of them runs for who may not, nor with what they
    /// do not know.
    pub(crate) fn before_operations(&self, routes: Router, contract: &Value) -> Router {
        routes
            .route_layer(from_fn_with_state(Known::of(contract), known::check))
            .route_layer(from_fn_with_state(self.clone(), admit::admit))
    }

    /// Puts the frame around everything that the server answers.
    pub(crate) fn around(&self, all: Router) -> Router {
        all.layer(from_fn(etag::etag))
            .layer(from_fn_with_state(self.clone(), observe::observe))
            // Around what reads the sentences of refusals.
            .layer(CompressionLayer::new())
            .layer(map_request(encoding::settle))
    }
}
