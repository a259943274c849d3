//! The audit log: the honest counter of requests. Every line is written before its request is answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::Deserialize;

/// The user that `careen serve` logs in as.
pub const CAREEN: &str = "system:serviceaccount:careen:careen";

/// The audit log of a control plane.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One finished request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// What was asked for, as it was written.
    #[serde(rename = "requestURI")]
    pub uri: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default, rename = "objectRef")]
    /// The object that it was about.
    pub object: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    /// When it arrived.
    #[serde(rename = "requestReceivedTimestamp")]
    pub received: Timestamp,
}

/// The object that a request was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Its API group; empty for the core's.
    pub api_group: String,
    /// Its resource (plural).
    pub resource: String,
    /// Its subresource.
    pub subresource: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name; empty for requests about many.
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl AuditLog {
    /// The log in that file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()))
    }

    /// The very beginning.
    #[must_use]
    pub fn beginning(&self) -> Mark {
        Mark(0)
    }

    /// All that was finished since then.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Requests {
        let mut text = String::new();
        let mut file = File::open(&self.path).expect("the audit log");
        file.seek(SeekFrom::Start(mark.0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        // A line that is being written at this moment is not over yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Requests(whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

impl Request {
    /// Whether Careen sent it.
    #[must_use]
    pub fn is_careens(&self) -> bool {
        self.user_agent.starts_with("careen")
    }

    /// Whether Careen's own account sent it.
    #[must_use]
    pub fn is_by_careens_account(&self) -> bool {
        self.user.username == CAREEN
    }

    /// The answer.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.response_status.code
    }

    /// `pods`, `pods/eviction`.
    #[must_use]
    pub fn resource(&self) -> String {
        let ObjectRef { resource, subresource, .. } = &self.object;
        if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") }
    }

    /// Whether it was that verb on that resource (with its subresource).
    #[must_use]
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource() == resource
    }

    /// Whether it may have changed something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:7} {} {}", self.received, self.verb, self.uri, self.code())
    }
}

/// A list of requests.
#[derive(Clone, Debug, Default)]
pub struct Requests(pub Vec<Request>);

impl Requests {
    /// Those for which it is so.
    #[must_use]
    pub fn that(self, mut is_so: impl FnMut(&Request) -> bool) -> Self {
        Self(self.0.into_iter().filter(|request| is_so(request)).collect())
    }

    /// Careen's own.
    #[must_use]
    pub fn of_careen(self) -> Self {
        self.that(Request::is_careens)
    }

    /// Those that a budget of requests counts: not watches, not the leader Lease, and of a node Lease only the first
    /// write (the others renew it).
    #[must_use]
    pub fn counted(self) -> Self {
        let mut held = BTreeSet::new();
        self.that(|request| {
            let is_lease = request.object.resource == "leases";
            let is_node_lease = is_lease && request.object.namespace == "medik8s-leases";
            let renews = is_node_lease
                && matches!(request.verb.as_str(), "update" | "patch")
                && !held.insert(request.object.name.clone());
            if is_node_lease && request.verb == "create" {
                held.insert(request.object.name.clone());
            }
            request.verb != "watch" && (!is_lease || is_node_lease) && !renews
        })
    }

    /// Careen's evictions of pods for which it is so, by answer.
    #[must_use]
    pub fn evictions(self, mut of: impl FnMut(&ObjectRef) -> bool) -> Evictions {
        let mut evictions = Evictions::default();
        for request in self.of_careen().0 {
            // A dry run evicts nobody.
            if request.is("create", "pods/eviction") && !request.uri.contains("dryRun") && of(&request.object) {
                let key = format!("{}/{}", request.object.namespace, request.object.name);
                evictions.0.entry(key).or_default().push(request.code());
            }
        }
        evictions
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many of each verb, resource and answer.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for request in &self.0 {
            let kind = format!("{} {} {}", request.verb, request.resource(), request.code());
            *counts.entry(kind).or_default() += 1;
        }
        let lines: Vec<String> = counts.into_iter().map(|(kind, count)| format!("  {count:4}  {kind}")).collect();
        lines.join("\n")
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|request| writeln!(f, "{request}"))
    }
}

/// The answers to evictions, by pod (`namespace/name`).
#[derive(Clone, Debug, Default)]
pub struct Evictions(pub BTreeMap<String, Vec<u16>>);

impl Evictions {
    /// How many had that answer.
    #[must_use]
    pub fn answered(&self, code: u16) -> usize {
        self.0.values().flatten().filter(|answer| **answer == code).count()
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.values().flatten().count()
    }

    /// Every pod's eviction was accepted at most once.
    pub fn assert_none_accepted_twice(&self) {
        for (pod, answers) in &self.0 {
            let accepted = answers.iter().filter(|answer| **answer == 201).count();
            assert!(accepted <= 1, "{pod} was evicted {accepted} times: {answers:?}");
        }
    }
}
