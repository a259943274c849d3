//! Server-sent events: a client follows what happens, and goes on where it was after a break.
//!
//! | file | holds |
//! |---|---|
//! | `happening` | what happens, as clients get it; the cluster's snapshots become a log of it |
//! | `source` | what the stream of one resource shows |
//! | `log` | the latest events, shared by all readers |
//! | `stream` | one client's stream: resume, resync, heartbeat, end |
//! | `reader` | who reads: so many streams for each, and whether they still may |

mod happening;
mod log;
mod reader;
mod source;
mod stream;
#[cfg(test)]
mod tests;

use axum::{http::HeaderMap, response::Response};
use careen_core::{clock::Clock, cluster::Cluster};
use tokio::time::timeout;

use self::{
    happening::{Happening, TOLD_WITHIN, follow},
    log::{EventLog, Next},
    stream::{Shown, Source, Streams, resumed},
};
use super::{HttpMetrics, frame::Admission, problem::Problem};
use crate::shutdown::Shutdown;

pub(super) use source::{Everything, OfDrain, OfMaintenance};

/// What happens, and who follows it. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    log: EventLog<Happening>,
    streams: Streams,
}

impl Events {
    /// Nothing has happened yet.
    pub(crate) fn new(metrics: HttpMetrics, shutdown: Shutdown) -> Self {
        Self { log: EventLog::new(), streams: Streams::new(metrics, shutdown) }
    }

    /// Tells what happens in that cluster, as long as this runs.
    pub(crate) async fn follow(self, cluster: Cluster, clock: Clock) {
        follow(cluster, clock, self.log).await;
    }

    /// The stream of a client that was let in with that, and has these headers.
    pub(super) fn open(
        &self,
        source: impl Source<Payload = Happening>,
        admission: Admission,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        self.streams.open(&self.log, source, admission, headers)
    }

    /// Whether a client with these headers goes on where it was.
    pub(super) fn resumes(&self, headers: &HeaderMap) -> bool {
        resumed(&self.log, headers).is_some()
    }

    /// Whether something has happened since the client with these headers was here that its stream is about.
    ///
    /// Caches are ahead of the log: that something is gone is seen a moment before its end can be told.
    pub(super) async fn has_news(&self, source: &impl Source<Payload = Happening>, headers: &HeaderMap) -> bool {
        let Some(mut position) = resumed(&self.log, headers) else { return false };
        let news = async {
            loop {
                match self.log.next(&mut position).await {
                    Next::Event(happening) if matches!(source.show(&happening), Shown::Nothing) => {}
                    // What is gone may have been some.
                    Next::Event(_) | Next::Missed => return,
                }
            }
        };
        timeout(TOLD_WITHIN, news).await.is_ok()
    }
}
