//! The latest events, shared by all readers.
//!
//! A reader has a position and nothing else, so one that does not read costs nothing; what it has missed is gone when
//! it comes back, and it is told so.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// So many events are kept: minutes of a busy cluster, and more than a client misses while it reconnects.
const MAX_EVENTS: usize = 4096;
/// So many bytes are kept at most, whatever the events hold.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// An event costs so much besides its payload.
const OVERHEAD: usize = 128;

/// A log of events, bounded in number and size. Cloning shares it.
#[derive(Debug)]
pub(crate) struct EventLog<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    /// Tells the events of this process from those of another replica, or of an earlier start.
    epoch: String,
    ring: Mutex<Ring<T>>,
    /// The number of the next event.
    head: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring<T> {
    events: VecDeque<(Arc<T>, usize)>,
    /// The number of the first one.
    first: u64,
    bytes: usize,
}

/// A place in the log, between two events: what a client has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    next: u64,
}

/// What comes next at a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// An event; the position is behind it now.
    Event(Arc<T>),
    /// Events that are gone; the position is behind the latest now.
    Missed,
}

impl<T> Clone for EventLog<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> EventLog<T> {
    /// An empty log.
    pub(crate) fn new() -> Self {
        let ring = Mutex::new(Ring { events: VecDeque::new(), first: 0, bytes: 0 });
        Self(Arc::new(Inner { epoch: format!("{:08x}", fastrand::u32(..)), ring, head: watch::Sender::new(0) }))
    }

    /// Adds an event, whose payload has that size in bytes; old ones make room.
    pub(crate) fn append(&self, event: T, size: usize) {
        let cost = size + OVERHEAD;
        let head = {
            let mut ring = self.ring();
            ring.events.push_back((Arc::new(event), cost));
            ring.bytes += cost;
            while ring.events.len() > MAX_EVENTS || (ring.bytes > MAX_BYTES && ring.events.len() > 1) {
                if let Some((_, gone)) = ring.events.pop_front() {
                    ring.bytes -= gone;
                    ring.first += 1;
                }
            }
            ring.head()
        };
        self.0.head.send_replace(head);
    }

    /// Behind the latest event.
    pub(crate) fn now(&self) -> Position {
        Position { next: self.ring().head() }
    }

    /// The name of a position: the id of the event before it.
    pub(crate) fn id(&self, position: &Position) -> String {
        format!("{}-{}", self.0.epoch, position.next)
    }

    /// The position of that name; `None` if it is not one of this log.
    pub(crate) fn position(&self, id: &str) -> Option<Position> {
        let (epoch, next) = id.rsplit_once('-')?;
        let next = next.parse().ok()?;
        (epoch == self.0.epoch && next <= self.ring().head()).then_some(Position { next })
    }

    /// Waits for what comes next, and moves the position.
    pub(crate) async fn next(&self, position: &mut Position) -> Next<T> {
        let mut head = self.0.head.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        head.wait_for(|head| *head > position.next).await.ok();
        let ring = self.ring();
        let found = position.next.checked_sub(ring.first).and_then(|index| usize::try_from(index).ok());
        if let Some((event, _)) = found.and_then(|index| ring.events.get(index)) {
            position.next += 1;
            Next::Event(event.clone())
        } else {
            position.next = ring.head();
            Next::Missed
        }
    }

    /// What is kept, in bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.ring().bytes
    }

    fn ring(&self) -> MutexGuard<'_, Ring<T>> {
        // Nobody panics while holding it.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Ring<T> {
    fn head(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}
