//! Who watches, and what they are told.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{field_selector::FieldSelector, history::Change, history::Key, request::Request};
use crate::selector::LabelSelector;

/// What a watch is told.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) type_: &'static str,
    pub(super) object: Arc<Value>,
}

/// Which objects a list or a watch is about.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) storage: String,
    /// Empty for all.
    pub(super) namespace: String,
    pub(super) labels: Option<LabelSelector>,
    pub(super) fields: Option<FieldSelector>,
}

impl Filter {
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels.matches(&object["metadata"]["labels"]))
            && self.fields.as_ref().is_none_or(|fields| fields.matches(object))
    }

    /// Whether it asks for more than a namespace.
    pub(super) fn selects(&self) -> bool {
        self.labels.is_some() || self.fields.is_some()
    }

    fn covers(&self, key: &Key) -> bool {
        self.namespace.is_empty() || self.namespace == key.0
    }

    /// What a watch is told of that change, if it concerns it.
    pub(super) fn event(&self, change: &Change) -> Option<Event> {
        if *change.storage != *self.storage || !self.covers(&change.key) {
            return None;
        }
        let had = change.old.as_ref().filter(|old| self.matches(old));
        let has = change.new.as_ref().filter(|new| self.matches(new));
        let (type_, object) = match (had, has) {
            (None, None) => return None,
            (None, Some(new)) => ("ADDED", new.clone()),
            (Some(_), Some(new)) => ("MODIFIED", new.clone()),
            (Some(old), None) => {
                let mut object = Value::clone(old);
                object["metadata"]["resourceVersion"] = json!(change.version.to_string());
                ("DELETED", Arc::new(object))
            }
        };
        Some(Event { type_, object })
    }
}

/// Which watches are held back.
pub type IsHeld = Box<dyn Fn(&Request) -> bool + Send>;

/// The open watches.
#[derive(Default)]
pub(super) struct Watchers {
    open: Vec<Watcher>,
    next: u64,
    held: Option<IsHeld>,
}

struct Watcher {
    id: u64,
    request: Request,
    filter: Filter,
    sender: mpsc::Sender<Event>,
    /// What it is not told yet, if it is held back.
    backlog: Option<Vec<Event>>,
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Watchers {
    /// A new watch; it can have that many events waiting before it is closed for being slow.
    pub(super) fn open(&mut self, request: &Request, filter: Filter, buffer: usize) -> (u64, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(buffer);
        self.next += 1;
        let backlog = self.held.as_ref().is_some_and(|is_held| is_held(request)).then(Vec::new);
        self.open.push(Watcher { id: self.next, request: request.clone(), filter, sender, backlog });
        (self.next, receiver)
    }

    /// Passes a change on. A watch that does not keep up is closed: it will begin again.
    pub(super) fn tell(&mut self, change: &Change) {
        self.open.retain_mut(|watcher| match watcher.filter.event(change) {
            None => !watcher.sender.is_closed(),
            Some(event) => match &mut watcher.backlog {
                Some(backlog) => {
                    backlog.push(event);
                    !watcher.sender.is_closed()
                }
                None => watcher.sender.try_send(event).is_ok(),
            },
        });
    }

    /// Whether that watch has been told everything so far.
    pub(super) fn is_up_to_date(&self, id: u64) -> bool {
        self.open.iter().any(|watcher| watcher.id == id && watcher.backlog.is_none())
    }

    /// Closes the watches of a kind.
    pub(super) fn close(&mut self, storage: &str) {
        self.open.retain(|watcher| watcher.filter.storage != storage);
    }

    /// Closes all watches.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Tells these watches, open ones and later ones, nothing until they are released.
    pub(super) fn hold(&mut self, is_held: IsHeld) {
        for watcher in self.open.iter_mut().filter(|watcher| is_held(&watcher.request)) {
            watcher.backlog.get_or_insert_default();
        }
        self.held = Some(is_held);
    }

    /// Tells them everything.
    pub(super) fn release(&mut self) {
        self.held = None;
        self.open.retain_mut(|watcher| {
            let backlog = watcher.backlog.take().unwrap_or_default();
            backlog.into_iter().all(|event| watcher.sender.try_send(event).is_ok())
        });
    }
}
