//! Watches: what happens to the objects of a list, as it happens.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep},
};

use super::{
    content::Shape,
    list::parse_version,
    query::{forbidden, invalid_options},
    refusal::{Cause, Refusal},
    reply::{Style, in_version},
    request::Request,
    resource_type::ResourceType,
    server::ApiServer,
    store::Store,
    watchers::{Event, Filter},
};

/// As often as a real API server sends bookmarks.
const BETWEEN_BOOKMARKS: Duration = Duration::from_secs(60);
/// A watch without `timeoutSeconds` ends after a random time between this and twice this (`--min-request-timeout`).
const SHORTEST: u64 = 1800;

/// What a watch wants.
struct Options {
    /// None: what there is now, and then what happens.
    from: Option<u64>,
    /// The end of what there is is marked.
    marks_initial_events: bool,
    sends_bookmarks: bool,
    timeout: Duration,
}

fn options(request: &Request, store: &mut Store) -> Result<Options, Refusal> {
    let query = &request.query;
    let asks_for_initial = query.has("sendInitialEvents");
    let match_ = query.get("resourceVersionMatch");
    let mut causes = Vec::new();
    if asks_for_initial && match_ != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(forbidden("resourceVersionMatch", why));
    }
    if !match_.is_empty() && !asks_for_initial {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(forbidden("resourceVersionMatch", why));
    }
    if !match_.is_empty() && match_ != "NotOlderThan" {
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {match_:?}: supported values: \"NotOlderThan\""),
            field: "resourceVersionMatch".into(),
        });
    }
    if !causes.is_empty() {
        return Err(invalid_options("ListOptions", &causes));
    }
    // A real one calls this its own fault.
    let version = parse_version(query.get("resourceVersion")).map_err(|why| Refusal::new(500, "", why))?;
    let sends_initial = query.is_true("sendInitialEvents");
    let seconds = match query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => u64::try_from(seconds).unwrap_or_default(),
        _ => SHORTEST + store.passing_below(SHORTEST),
    };
    let starts_at_version = !sends_initial && version != 0;
    // `sendInitialEvents=false` without a version: what happens from now on.
    let from = match (starts_at_version, asks_for_initial && !sends_initial) {
        (true, _) => Some(version),
        (false, true) => Some(store.version()),
        (false, false) => None,
    };
    Ok(Options {
        from,
        marks_initial_events: sends_initial,
        sends_bookmarks: query.is_true("allowWatchBookmarks"),
        timeout: Duration::from_secs(seconds),
    })
}

/// What a watch sends next.
enum Line {
    Event(Event),
    /// `BOOKMARK`, at that version.
    Bookmark {
        version: u64,
        ends_initial_events: bool,
    },
    /// `ERROR`, and then nothing more.
    Error(Box<Refusal>),
}

/// An open watch.
pub(super) struct Watch {
    server: ApiServer,
    resource: Arc<ResourceType>,
    style: Style,
    id: u64,
    waiting: VecDeque<Line>,
    receiver: mpsc::Receiver<Event>,
    bookmarks: Option<Interval>,
    end: Pin<Box<Sleep>>,
    has_sent_columns: bool,
    has_ended: bool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("resource", &self.resource.qualified()).finish_non_exhaustive()
    }
}

/// `410`, for a version of which nothing is known any more.
pub(super) fn expired(wanted: u64, oldest: u64) -> Refusal {
    Refusal::new(410, "Expired", format!("too old resource version: {wanted} ({oldest})"))
}

impl Watch {
    /// Opens a watch.
    pub(super) fn open(
        server: &ApiServer,
        store: &mut Store,
        request: &Request,
        resource: &Arc<ResourceType>,
        filter: Filter,
        style: Style,
    ) -> Result<Self, Refusal> {
        let options = options(request, store)?;
        let mut waiting = VecDeque::new();
        match options.from {
            None => {
                let there_is = store.all(&filter.storage, &filter.namespace).map(|(_, object)| object);
                let there_is = there_is.filter(|object| filter.matches(object));
                waiting.extend(there_is.map(|object| Line::Event(Event { type_: "ADDED", object: object.clone() })));
            }
            Some(version) if version > store.version() => {
                // A real one waits for that version to come; it comes, or the watch runs into its time-out.
                tracing::debug!(version, "a watch from a version that is not there yet");
            }
            Some(version) => match store.history.since(version) {
                Some(changes) => waiting.extend(changes.filter_map(|change| filter.event(change)).map(Line::Event)),
                None => waiting.push_back(Line::Error(Box::new(expired(version, store.history.oldest())))),
            },
        }
        if options.marks_initial_events && options.sends_bookmarks {
            waiting.push_back(Line::Bookmark { version: store.version(), ends_initial_events: true });
        }
        let (id, receiver) = store.watchers.open(request, filter, server.watch_buffer());
        let bookmarks = options.sends_bookmarks.then(|| {
            let mut interval = interval_at(Instant::now() + BETWEEN_BOOKMARKS, BETWEEN_BOOKMARKS);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Ok(Self {
            server: server.clone(),
            resource: resource.clone(),
            style,
            id,
            waiting,
            receiver,
            bookmarks,
            end: Box::pin(sleep(options.timeout)),
            has_sent_columns: false,
            has_ended: false,
        })
    }

    /// The next line; none when the watch has ended.
    pub(super) fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.has_ended {
                return Poll::Ready(None);
            }
            if let Some(line) = self.waiting.pop_front() {
                return Poll::Ready(Some(self.write(line)));
            }
            match self.receiver.poll_recv(cx) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(self.write(Line::Event(event)))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            if self.end.as_mut().poll(cx).is_ready() {
                self.has_ended = true;
                continue;
            }
            match self.bookmarks.as_mut().map(|bookmarks| bookmarks.poll_tick(cx)) {
                Some(Poll::Ready(_)) => self.bookmark(),
                None | Some(Poll::Pending) => return Poll::Pending,
            }
        }
    }

    /// A bookmark says that everything up to it has been told, so what waits goes first.
    fn bookmark(&mut self) {
        let server = self.server.clone();
        let store = server.store();
        if store.watchers.is_up_to_date(self.id) {
            while let Ok(event) = self.receiver.try_recv() {
                self.waiting.push_back(Line::Event(event));
            }
            self.waiting.push_back(Line::Bookmark { version: store.version(), ends_initial_events: false });
        }
    }

    fn write(&mut self, line: Line) -> Bytes {
        let (type_, object) = match line {
            Line::Event(event) => (event.type_, self.shaped(&event.object)),
            Line::Bookmark { version, ends_initial_events } => {
                ("BOOKMARK", self.bookmark_at(version, ends_initial_events))
            }
            Line::Error(refusal) => {
                self.has_ended = true;
                ("ERROR", Arc::new(refusal.to_json()))
            }
        };
        let mut text = json!({ "type": type_ }).to_string();
        text.pop();
        text.push_str(",\"object\":");
        text.push_str(&object.to_string());
        text.push_str("}\n");
        Bytes::from(text)
    }

    fn shaped(&mut self, object: &Arc<Value>) -> Arc<Value> {
        let mut shaped = self.style.shaped(&self.resource, object, self.server.clock().now());
        if self.style.accepted.shape == Shape::Table {
            let table = Arc::make_mut(&mut shaped);
            table["metadata"] = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
            // The columns are told once.
            if std::mem::replace(&mut self.has_sent_columns, true) {
                table["columnDefinitions"] = Value::Null;
            }
        }
        shaped
    }

    fn bookmark_at(&mut self, version: u64, ends_initial_events: bool) -> Arc<Value> {
        let mut metadata = json!({ "resourceVersion": version.to_string(), "creationTimestamp": null });
        if ends_initial_events {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let bookmark = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata,
        });
        match self.style.accepted.shape {
            Shape::Table => self.shaped(&Arc::new(bookmark)),
            Shape::Metadata => Arc::new(super::reply::metadata_only(&bookmark)),
            Shape::Whole if self.resource.group == "events.k8s.io" => Arc::new(bookmark),
            Shape::Whole => in_version(&self.resource, &Arc::new(bookmark)),
        }
    }
}
