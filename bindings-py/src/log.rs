//! The engine's log, for Python's `logging`.
//!
//! Who logs may hold a lock of the engine, and must not wait for the GIL with it: whoever has the GIL may be waiting for
//! that lock. So lines go into a queue, and a thread of their own hands them over.

use std::{
    fmt::{self, Write as _},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pyo3::prelude::*;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};

use crate::runtime::is_forked;

/// So many lines wait for Python before new ones are lost: a drain of 100 nodes at once logs some thousands in a burst.
const QUEUE: usize = 10_000;
/// So many are handed over at once; in between, others get the GIL.
const BATCH: usize = 100;
/// At the end of the process, Python may take so long to take the last ones.
const FAREWELL: Duration = Duration::from_secs(1);

static QUEUED: OnceLock<SyncSender<Entry>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Entry {
    Line(Line),
    /// Everything before it has been handed over.
    Flush(SyncSender<()>),
    /// The same, and nothing more is.
    End(SyncSender<()>),
}

/// What Python makes a `LogRecord` of.
struct Line {
    level: Level,
    target: &'static str,
    file: &'static str,
    number: u32,
    time: f64,
    message: String,
}

/// Starts to hand over what the engine logs. A second call does nothing.
pub(crate) fn start() {
    let (sender, receiver) = sync_channel(QUEUE);
    let spawned = std::thread::Builder::new().name("careen-log".to_owned()).spawn(move || hand_over(&receiver));
    // Without a thread there is no log; everything else works.
    if spawned.is_ok() && QUEUED.set(sender).is_ok() {
        tracing::subscriber::set_global_default(ToPython).ok();
    }
}

fn hand_over(entries: &Receiver<Entry>) {
    while let Ok(first) = entries.recv() {
        let mut batch = std::iter::once(first).chain(entries.try_iter().take(BATCH - 1));
        // Nothing is left of an interpreter that has ended, and nobody to tell about an error in a handler.
        let handed_over = Python::try_attach(|py| batch.find_map(|entry| deliver(py, entry)));
        match handed_over {
            Some(None) => {}
            // Told only now that the GIL is released: who ends the interpreter must find nobody in it.
            Some(Some(ended)) => {
                ended.send(()).ok();
                return;
            }
            None => return,
        }
    }
}

/// Hands one over; `Some`: it was the last one, and that is whom to tell.
fn deliver(py: Python<'_>, entry: Entry) -> Option<SyncSender<()>> {
    match entry {
        Entry::End(done) => return Some(done),
        Entry::Flush(done) => {
            done.send(()).ok();
        }
        Entry::Line(Line { level, target, file, number, time, message }) => {
            let lost = LOST.swap(0, Ordering::Relaxed);
            let level = level.as_str();
            let told = py
                .import("careen._logging")
                .and_then(|module| module.getattr("deliver"))
                .and_then(|deliver| deliver.call1((level, target, file, number, time, message, lost)));
            if let Err(error) = told {
                error.write_unraisable(py, None);
            }
        }
    }
    None
}

/// Waits until Python has what was logged until now.
#[pyfunction]
fn flush_log(py: Python<'_>) {
    send_and_wait(py, Entry::Flush);
}

/// The same at the end of the process; what is logged later is lost. A thread that comes back from a handler of Python's
/// while the interpreter ends would end the process with an error.
#[pyfunction]
fn end_log(py: Python<'_>) {
    send_and_wait(py, Entry::End);
}

fn send_and_wait(py: Python<'_>, entry: fn(SyncSender<()>) -> Entry) {
    let Some(queue) = QUEUED.get() else { return };
    // Nobody is there to hand anything over.
    if is_forked() {
        return;
    }
    py.detach(|| {
        let (done, is_done) = sync_channel(1);
        if queue.try_send(entry(done)).is_ok() {
            is_done.recv_timeout(FAREWELL).ok();
        }
    });
}

/// Takes what Careen's crates log; what others do is in what they answer.
struct ToPython;

impl Subscriber for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // `_careen` is this crate.
        let is_ours = ["careen", "_careen"].iter().any(|prefix| metadata.target().starts_with(prefix));
        metadata.is_event() && *metadata.level() <= Level::DEBUG && is_ours
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line {
            level: *metadata.level(),
            target: metadata.target(),
            file: metadata.file().unwrap_or_default(),
            number: metadata.line().unwrap_or_default(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            message: text.message + &text.fields,
        };
        let queued = QUEUED.get().map(|queue| queue.try_send(Entry::Line(line)));
        if !matches!(queued, Some(Ok(()))) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }

    // Nothing of ours has spans.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The message, and ` name=value` for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a String does not fail.
        if field.name() == "message" {
            write!(self.message, "{value:?}").ok();
        } else {
            write!(self.fields, " {}={value:?}", field.name()).ok();
        }
    }
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: flush_log, end_log);
    Ok(())
}
