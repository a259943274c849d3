//! The lists and watches of the API server in memory.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Uri;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::store::{Answer, DEFINITIONS, Reply, Store};

/// A path of several objects, and which of them are meant.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    /// `/api/v1`, `/apis/policy/v1`.
    group: String,
    namespace: Option<String>,
    plural: String,
    /// `metadata.name=node02`.
    fields: Option<(String, String)>,
}

/// The segments behind group and version.
fn split(path: &str) -> Option<(String, Vec<&str>)> {
    let mut segments = path.trim_start_matches('/').split('/');
    let depth = if segments.next()? == "api" { 2 } else { 3 };
    let all: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    (all.len() > depth).then(|| (format!("/{}", all[..depth].join("/")), all[depth..].to_vec()))
}

fn pairs(uri: &Uri) -> impl Iterator<Item = (&str, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key, value.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/")))
}

pub(super) fn is_watch(uri: &Uri) -> bool {
    pairs(uri).any(|(key, value)| key == "watch" && value == "true")
}

pub(super) fn selectors(uri: &Uri) -> impl Iterator<Item = (&str, String)> {
    pairs(uri).filter(|(key, _)| key.ends_with("Selector"))
}

impl Collection {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let (group, segments) = split(uri.path())?;
        let (namespace, plural) = match segments.as_slice() {
            [plural] => (None, plural),
            ["namespaces", namespace, plural] => (Some((*namespace).to_owned()), plural),
            _ => return None,
        };
        let fields = pairs(uri).find(|(key, _)| *key == "fieldSelector").and_then(|(_, selector)| {
            selector.split_once('=').map(|(field, value)| (field.to_owned(), value.to_owned()))
        });
        Some(Self { group, namespace, plural: (*plural).to_owned(), fields })
    }

    fn has(&self, path: &str, object: &Value) -> bool {
        let Some((group, segments)) = split(path) else { return false };
        let (namespace, plural) = match segments.as_slice() {
            [plural, _] => (None, plural),
            ["namespaces", namespace, plural, _] => (Some((*namespace).to_owned()), plural),
            _ => return false,
        };
        let selected = self.fields.as_ref().is_none_or(|(field, value)| {
            object.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_str) == Some(value)
        });
        group == self.group
            && *plural == self.plural
            && (self.namespace.is_none() || self.namespace == namespace)
            && selected
    }
}

/// What happened, and who wants to know.
#[derive(Default)]
pub(super) struct Watches {
    history: Vec<Change>,
    forgotten: u64,
    /// A collection whose watches tell nothing for now, and since which version.
    held: Option<(String, u64)>,
    open: Vec<(Collection, mpsc::UnboundedSender<Bytes>)>,
}

struct Change {
    version: u64,
    path: String,
    old: Option<Value>,
    new: Option<Value>,
}

impl Change {
    /// The line that a watch of that collection gets, if it is concerned.
    fn line(&self, collection: &Collection) -> Option<Bytes> {
        let had = self.old.as_ref().filter(|old| collection.has(&self.path, old));
        let has = self.new.as_ref().filter(|new| collection.has(&self.path, new));
        let (type_, object) = match (had, has) {
            (None, None) => return None,
            (None, Some(new)) => ("ADDED", new.clone()),
            (Some(_), Some(new)) => ("MODIFIED", new.clone()),
            (Some(old), None) => {
                let mut object = old.clone();
                object["metadata"]["resourceVersion"] = json!(self.version.to_string());
                ("DELETED", object)
            }
        };
        Some(line(type_, &object))
    }
}

fn line(type_: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({ "type": type_, "object": object })))
}

impl Watches {
    pub(super) fn changed(&mut self, version: u64, path: &str, old: Option<Value>, new: Option<Value>) {
        let change = Change { version, path: path.to_owned(), old, new };
        let is_held = |collection: &Collection| self.held.as_ref().is_some_and(|held| held.0 == collection.plural);
        self.open.retain(|(collection, lines)| match change.line(collection).filter(|_| !is_held(collection)) {
            Some(line) => lines.send(line).is_ok(),
            None => !lines.is_closed(),
        });
        self.history.push(change);
    }

    pub(super) fn hold(&mut self, plural: &str, since: u64) {
        self.held = Some((plural.to_owned(), since));
    }

    pub(super) fn release(&mut self) {
        let Some((plural, since)) = self.held.take() else { return };
        for (collection, lines) in self.open.iter().filter(|(collection, _)| collection.plural == plural) {
            let missed = self.history.iter().filter(|change| change.version > since);
            missed.filter_map(|change| change.line(collection)).for_each(|line| drop(lines.send(line)));
        }
    }

    pub(super) fn close(&mut self, plural: &str) {
        self.open.retain(|(collection, _)| collection.plural != plural);
    }

    /// Every version of that object since the server was made; `None`: it was gone.
    pub(super) fn versions(&self, path: &str) -> Vec<Option<Value>> {
        self.history.iter().filter(|change| change.path == path).map(|change| change.new.clone()).collect()
    }

    pub(super) fn forget_until(&mut self, version: u64) {
        self.forgotten = version;
    }
}

impl Store {
    pub(super) fn list(&self, collection: &Collection) -> Answer {
        let items = self.objects.iter().filter(|(path, object)| collection.has(path, object));
        let items: Vec<_> = items.map(|(_, object)| object.clone()).collect();
        let version = self.version.max(1).to_string();
        (200, json!({ "kind": "List", "metadata": { "resourceVersion": version }, "items": items }))
    }

    pub(super) fn watch(&mut self, collection: Collection, uri: &Uri) -> Reply {
        let from = pairs(uri).find(|(key, _)| *key == "resourceVersion").map(|(_, version)| version);
        let from: u64 = from.and_then(|version| version.parse().ok()).unwrap_or(0);
        let (sender, receiver) = mpsc::unbounded_channel();
        if from < self.watches.forgotten {
            let gone = json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version" });
            sender.send(line("ERROR", &gone)).unwrap();
            return Reply::Stream(ReplyBody::Lines(receiver));
        }
        for change in self.watches.history.iter().filter(|change| change.version > from) {
            if let Some(line) = change.line(&collection) {
                sender.send(line).unwrap();
            }
        }
        self.watches.open.push((collection, sender));
        Reply::Stream(ReplyBody::Lines(receiver))
    }

    /// Whether anybody serves that path: custom resources need their definition.
    pub(super) fn serves(&self, path: &str) -> bool {
        let Some((group, segments)) = split(path) else { return true };
        let group = group.trim_start_matches("/apis/").split('/').next().unwrap_or_default().to_owned();
        let (["namespaces", _, plural, ..] | [plural, ..]) = segments.as_slice() else { return true };
        !group.ends_with("kubevirt.io") || self.objects.contains_key(&format!("{DEFINITIONS}/{plural}.{group}"))
    }

    pub(super) fn groups(&self) -> Answer {
        let names = self.objects.keys().filter_map(|path| path.strip_prefix(DEFINITIONS)?.split_once('.'));
        let groups = names.map(|(_, group)| {
            let version = json!({ "groupVersion": format!("{group}/v1"), "version": "v1" });
            json!({ "name": group, "versions": [version], "preferredVersion": version })
        });
        (200, json!({ "kind": "APIGroupList", "groups": groups.collect::<Vec<_>>() }))
    }
}

/// What is answered: a text at once, or, for a watch, a line for each event until the server closes it.
pub(crate) enum ReplyBody {
    Text(Option<Bytes>),
    Lines(mpsc::UnboundedReceiver<Bytes>),
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = match &mut *self {
            Self::Text(text) => Poll::Ready(text.take()),
            Self::Lines(lines) => lines.poll_recv(cx),
        };
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}
