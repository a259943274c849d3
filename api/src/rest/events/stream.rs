//! One client's stream.
//!
//! It is pulled by the connection: while the client does not read, nothing is read from the log for it.

use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use super::{
    log::{EventLog, Next, Position},
    reader::{MAX_FOR_EACH, Reader},
};
use crate::{
    per_caller::{OfCaller, PerCaller},
    rest::{HttpMetrics, frame::Counted, problem::Problem, reason::Reason},
    shutdown::Shutdown,
};

/// A comment goes out after so long without an event: proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Who reads, and whether they still may, is asked again so often. The answers are kept for ten seconds, so that a
/// token or a right that is gone ends a stream within twenty.
const ASKS_EVERY: Duration = Duration::from_secs(10);
/// A stream ends after so long, and the client comes again: perhaps to a replica that has more room.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// The client waits so long before it comes again.
const RETRY: Duration = Duration::from_secs(2);
/// What clients are told when the server stops.
const STOPS: &str = "the server stops: come again";
/// So many streams are open at once.
const MAX_STREAMS: usize = 1000;

/// What the streams of all clients share.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    permits: Arc<Semaphore>,
    readers: PerCaller,
    metrics: HttpMetrics,
    shutdown: Shutdown,
}

/// What a stream shows.
pub(crate) trait Source: Send + 'static {
    /// What is in the log.
    type Payload: Send + Sync + 'static;

    /// The event as the client gets it, without its id.
    fn show(&self, payload: &Self::Payload) -> Shown;
    /// All that this stream is about, as it is now, without a name: for a client that has just come, or has missed
    /// something.
    fn snapshot(&self) -> Shown;
}

/// What a stream makes of something that has happened.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Nothing: it is not about that.
    Nothing,
    /// An event.
    Event(Event),
    /// The last event: nothing can come after it.
    Last(Event),
}

impl Streams {
    /// No streams yet.
    pub(crate) fn new(metrics: HttpMetrics, shutdown: Shutdown) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_STREAMS)),
            readers: PerCaller::new(MAX_FOR_EACH),
            metrics,
            shutdown,
        }
    }

    /// The stream of a client with these headers, as long as it may read it. A client without `Last-Event-ID` is sent
    /// `snapshot` first; one whose place in the log is gone, or is of another replica, `resync`.
    pub(crate) fn open<S: Source>(
        &self,
        log: &EventLog<S::Payload>,
        source: S,
        reader: impl Reader,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| too_many())?;
        let place = self.readers.take(reader.name()).ok_or_else(|| too_many_of(reader.name()))?;
        let (last, resumed) = (last_event_id(headers), resumed(log, headers));
        let first = match (&resumed, last) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("resync"),
            (None, None) => Some("snapshot"),
        };
        let follower = Follower {
            // Before the snapshot: what happens in between is shown twice, and not never.
            position: resumed.unwrap_or_else(|| log.now()),
            first,
            log: log.clone(),
            source,
            reader,
            asks: Instant::now() + ASKS_EVERY,
            shutdown: Box::pin(self.shutdown.requested()),
            heartbeat: Instant::now() + HEARTBEAT,
            ends: Instant::now() + LASTS,
            _counted: self.metrics.stream(),
            _permit: permit,
            _place: place,
        };
        let mut response = Sse::new(follower.stream()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would gather the events.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// The id of the last event that the client has seen, as it says.
fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default())
}

/// Where the client goes on, if that is still in the log.
pub(super) fn resumed<T>(log: &EventLog<T>, headers: &HeaderMap) -> Option<Position> {
    last_event_id(headers).and_then(|id| log.position(id))
}

fn too_many() -> Problem {
    let sentence = format!("{MAX_STREAMS} streams of events are open, and there may be no more");
    Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(Duration::from_secs(30))
}

fn too_many_of(reader: &str) -> Problem {
    let sentence = format!("{reader:?} has {MAX_FOR_EACH} streams of events open, and one caller may have no more");
    Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(Duration::from_secs(30))
}

struct Follower<S: Source, R> {
    log: EventLog<S::Payload>,
    position: Position,
    /// The name of the event that everything begins with.
    first: Option<&'static str>,
    source: S,
    reader: R,
    /// When it is asked whether the reader still may.
    asks: Instant,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    heartbeat: Instant,
    ends: Instant,
    _counted: Counted,
    _permit: OwnedSemaphorePermit,
    _place: OfCaller,
}

impl<S: Source, R: Reader> Follower<S, R> {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(Some(self), async |follower| {
            let mut follower = follower?;
            let (event, ends) = follower.next().await;
            Some((Ok(event), (!ends).then_some(follower)))
        })
    }

    /// The next event, and whether it is the last one.
    async fn next(&mut self) -> (Event, bool) {
        loop {
            if self.asks <= Instant::now()
                && let Some(goodbye) = self.not_any_more().await
            {
                return (goodbye, true);
            }
            if let Some(name) = self.first.take()
                && let Some((event, is_last)) = self.numbered(self.all(name))
            {
                return (event.retry(RETRY), is_last);
            }
            tokio::select! {
                biased;
                () = &mut self.shutdown => return (self.goodbye(STOPS), true),
                () = sleep_until(self.ends) => {
                    return (self.goodbye("the stream has lasted long enough: come again"), true);
                }
                // Before the next event: it is not for who may not see it any more.
                () = sleep_until(self.asks) => {}
                next = self.log.next(&mut self.position) => {
                    let shown = match next {
                        Next::Event(payload) => self.source.show(&payload),
                        Next::Missed => self.all("resync"),
                    };
                    if let Some(event) = self.numbered(shown) {
                        self.heartbeat = Instant::now() + HEARTBEAT;
                        return event;
                    }
                }
                () = sleep_until(self.heartbeat) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    // An id without data moves the client's place without an event: what its stream is not about is no
                    // gap.
                    return (Event::default().comment("").id(self.id()), false);
                }
            }
        }
    }

    /// What a reader is told who may not read any more.
    async fn not_any_more(&mut self) -> Option<Event> {
        let verdict = tokio::select! {
            biased;
            () = &mut self.shutdown => return Some(self.goodbye(STOPS)),
            verdict = self.reader.still_may() => verdict,
        };
        self.asks = Instant::now() + ASKS_EVERY;
        match verdict {
            Err(problem) if [Reason::UNAUTHORIZED, Reason::FORBIDDEN].contains(&problem.reason()) => {
                Some(self.goodbye(problem.detail()))
            }
            // While Kubernetes cannot be asked nobody is taken for a stranger.
            _ => None,
        }
    }

    fn id(&self) -> String {
        self.log.id(&self.position)
    }

    fn all(&self, name: &str) -> Shown {
        match self.source.snapshot() {
            Shown::Nothing => Shown::Nothing,
            Shown::Event(event) => Shown::Event(event.event(name)),
            Shown::Last(event) => Shown::Last(event.event(name)),
        }
    }

    /// The event with its id, and whether it is the last one.
    fn numbered(&self, shown: Shown) -> Option<(Event, bool)> {
        match shown {
            Shown::Nothing => None,
            Shown::Event(event) => Some((event.id(self.id()), false)),
            Shown::Last(event) => Some((event.id(self.id()), true)),
        }
    }

    fn goodbye(&self, why: &str) -> Event {
        let data = serde_json::json!({ "detail": why }).to_string();
        Event::default().event("goodbye").data(data).id(self.id()).retry(RETRY)
    }
}
