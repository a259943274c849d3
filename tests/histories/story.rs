//! What happened in a history: every request that could change something, and what it changed.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use careen_sim::api_server::{ApiServer, audit::Sink};
use jiff::Timestamp;
use serde_json::Value;

use crate::plan::Plan;

/// Resource (`pods`, `nodemaintenances.nodemaintenance.kubevirt.io`), namespace and name.
pub type Key = (String, String, String);

/// The objects of the cluster.
pub type World = BTreeMap<Key, Arc<Value>>;

/// The account of Careen.
pub const CAREEN: &str = "system:serviceaccount:careen:careen";

/// `NodeMaintenance`s, as keys name them.
pub const MAINTENANCES: &str = "nodemaintenances.nodemaintenance.kubevirt.io";
/// `VirtualMachineInstance`s, as keys name them.
pub const INSTANCES: &str = "virtualmachineinstances.kubevirt.io";

/// One request that was answered.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When it was answered.
    pub at: Timestamp,
    /// The user, and the user agent.
    pub who: (String, String),
    /// `create`, `patch`, `list`, ….
    pub verb: String,
    /// As it was sent.
    pub uri: String,
    /// What it was about.
    pub key: Key,
    /// `eviction`; empty for the object itself.
    pub subresource: String,
    /// The answer, whether or not it arrived.
    pub code: u64,
    /// The object before it.
    pub before: Option<Arc<Value>>,
    /// The object after it.
    pub after: Option<Arc<Value>>,
}

/// One request of Careen's, as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `POST`.
    pub method: String,
    /// The path and the query.
    pub uri: String,
    /// What was sent; null for nothing.
    pub body: Value,
}

/// What happened, from the moment on when all objects had been created.
#[derive(Debug)]
pub struct Story {
    /// What had been planned.
    pub plan: Plan,
    /// What was there at the beginning.
    pub beginning: World,
    /// What happened then.
    pub moments: Vec<Moment>,
    /// All that Careen sent.
    pub sent: Vec<Sent>,
    /// What people did, and what they saw in the end.
    pub notes: Vec<(Timestamp, String)>,
    /// What was wrong with how it ended.
    pub unsettled: Vec<String>,
}

impl Moment {
    /// Whether it was one of Careen's requests.
    pub fn is_careens(&self) -> bool {
        self.who.0 == CAREEN
    }

    /// Whether it was carried out.
    pub fn is_done(&self) -> bool {
        self.code < 400
    }

    /// Whether it was an eviction that was carried out.
    pub fn is_accepted_eviction(&self) -> bool {
        self.subresource == "eviction" && self.code == 201
    }

    /// Whether it removed an object or marked it for removal.
    pub fn ends(&self) -> bool {
        let is_marked = |object: &Arc<Value>| !object["metadata"]["deletionTimestamp"].is_null();
        self.before.as_ref().is_some_and(|before| !is_marked(before)) && self.after.as_ref().is_none_or(is_marked)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.is_careens() { "CAREEN" } else { &self.who.1 };
        write!(f, "{} {:24} {:8} {} {}", self.at, who, self.verb, self.uri, self.code)
    }
}

impl Story {
    /// Tells it again: what was there before each moment, and the moment.
    pub fn replay(&self, mut tell: impl FnMut(&World, &Moment)) {
        let mut world = self.beginning.clone();
        for moment in &self.moments {
            tell(&world, moment);
            match &moment.after {
                Some(after) => world.insert(moment.key.clone(), after.clone()),
                None => world.remove(&moment.key),
            };
        }
    }

    /// What a person reads who wants to know what went wrong: what people did, and what Careen did.
    pub fn trace(&self) -> String {
        let is_told = |moment: &&Moment| {
            let is_of_vm = moment.key.0.ends_with("kubevirt.io") && moment.key.0 != MAINTENANCES;
            (moment.is_careens() && moment.key.0 != "leases.coordination.k8s.io" && !moment.key.0.starts_with("events"))
                || (moment.is_done() && (is_of_vm || (moment.key.0 == "pods" && moment.subresource != "status")))
        };
        let mut lines: Vec<(Timestamp, String)> =
            self.moments.iter().filter(is_told).map(|moment| (moment.at, told(moment))).collect();
        lines.extend(self.notes.iter().map(|(at, note)| (*at, format!("{at} ------ {note}"))));
        lines.sort_by_key(|(at, _)| *at);
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        lines.join("\n")
    }

    /// A hash of everything that was written: by whom, when, and what came of it. Careen's Events carry the time of the
    /// machine that it runs on (kube's recorder reads it), so of these only the request counts.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |text: &str| {
            for byte in text.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for moment in &self.moments {
            take(&line_of(moment));
        }
        hash
    }
}

/// What of a moment has to be the same whenever its seed is lived again.
pub fn line_of(moment: &Moment) -> String {
    let Moment { at, who, verb, uri, key, code, after, .. } = moment;
    if key.0.starts_with("events") {
        return format!("{at} {who:?} {verb} an Event {code}");
    }
    let after = after.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{at} {who:?} {verb} {uri} {code} {after}")
}

fn told(moment: &Moment) -> String {
    let after = moment.after.as_deref().unwrap_or(&Value::Null);
    let status = &after["status"];
    let what = match moment.key.0.as_str() {
        "pods" => after["spec"]["nodeName"].as_str().unwrap_or("no node").to_owned(),
        INSTANCES => format!("{} on {} mark {}", status["phase"], status["nodeName"], status["evacuationNodeName"]),
        MAINTENANCES => {
            let of = |entry: &Value| format!("{}: {}", entry["name"], entry["reason"]);
            let blocking: Vec<String> = status["blocking"].as_array().into_iter().flatten().map(of).collect();
            format!("{} {} {blocking:?} {}", status["phase"], status["pendingPods"], status["lastError"])
        }
        "nodes" => after["spec"].to_string(),
        _ => return moment.to_string(),
    };
    format!("{moment} [{what}]")
}

/// Writes the story down while it happens: it hears of every request before its answer is sent.
#[derive(Default)]
pub struct Scribe {
    server: OnceLock<ApiServer>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    world: World,
    moments: Vec<Moment>,
}

impl Scribe {
    /// For the API server's options.
    pub fn sink(self: &Arc<Self>) -> Sink {
        let scribe = self.clone();
        Arc::new(move |event: &Value| scribe.hear(event))
    }

    /// Begins; returns what is there.
    pub fn begin(&self, server: &ApiServer, resources: &[&str]) -> World {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in resources {
            for object in server.all(resource) {
                book.world.insert(key_of(resource, &object), object);
            }
        }
        let world = book.world.clone();
        drop(book);
        self.server.set(server.clone()).unwrap_or_else(|_| panic!("a story begins once"));
        world
    }

    /// All that happened.
    pub fn moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner).moments)
    }

    fn hear(&self, event: &Value) {
        let Some(server) = self.server.get() else { return };
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (user, verb) = (text("/user/username"), text("/verb"));
        let reads = matches!(verb.as_str(), "get" | "list" | "watch");
        if verb == "watch" || (reads && user != CAREEN) {
            return;
        }
        let (plural, group) = (text("/objectRef/resource"), text("/objectRef/apiGroup"));
        let resource = if group.is_empty() { plural } else { format!("{plural}.{group}") };
        let key = (resource, text("/objectRef/namespace"), text("/objectRef/name"));
        let after = server.get(&key.0, &key.1, &key.2);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &after {
            Some(after) => book.world.insert(key.clone(), after.clone()),
            None => book.world.remove(&key),
        };
        book.moments.push(Moment {
            at: server.clock().now(),
            who: (user, text("/userAgent")),
            verb,
            uri: text("/requestURI"),
            key,
            subresource: text("/objectRef/subresource"),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            before,
            after,
        });
    }
}

/// The key of an object.
pub fn key_of(resource: &str, object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (resource.to_owned(), text("namespace"), text("name"))
}
