//! The server, and what tests do past its API.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::{
    aggregation::Aggregated,
    audit::Sink,
    authorization::{self, Authorization},
    connection::Connection,
    fault::Faults,
    history::Key,
    namespaces,
    refusal::Refusal,
    request::Request,
    resource_type::ResourceType,
    store::{Store, key_of},
    user::User,
    webhook::Webhooks,
    write::effects,
};
use crate::clock::Clock;

/// How a server is to be.
#[derive(Clone)]
pub struct Options {
    /// Its time.
    pub clock: Clock,
    /// Decides UIDs and generated names.
    pub seed: u64,
    /// Who has which bearer token.
    pub tokens: BTreeMap<String, User>,
    /// Who comes without a token.
    pub without_token: User,
    /// Who may do what.
    pub authorization: Authorization,
    /// Where the audit log goes.
    pub audit: Option<Sink>,
    /// How many changes are kept for watches and pages that go on from an earlier version.
    pub history: usize,
    /// How many events may wait for a client before its watch is closed.
    pub watch_buffer: usize,
}

impl Options {
    /// Nobody needs a token, and everybody may do everything.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            seed,
            tokens: BTreeMap::new(),
            without_token: User::administrator(),
            authorization: Authorization::AllowAll,
            audit: None,
            history: 10_000,
            watch_buffer: 4096,
        }
    }
}

impl fmt::Debug for Options {
    // Tokens are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The Kubernetes API in memory. Clones are the same server.
#[derive(Clone)]
pub struct ApiServer(Arc<Inner>);

struct Inner {
    options: Options,
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    webhooks: Mutex<Webhooks>,
    aggregated: Mutex<Vec<Aggregated>>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("version", &self.store().version()).finish_non_exhaustive()
    }
}

// What a request does to the store is done before anything in it can fail, so a poisoned lock guards no half-done work.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ApiServer {
    /// A new cluster: it has its first namespaces, and its first roles if roles count.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut store = Store::new(options.clock, options.seed, options.history);
        namespaces::make_first(&mut store);
        if options.authorization == Authorization::Rbac {
            authorization::make_first_roles(&mut store);
        }
        Self(Arc::new(Inner {
            options,
            store: Mutex::new(store),
            faults: Mutex::default(),
            webhooks: Mutex::default(),
            aggregated: Mutex::default(),
        }))
    }

    /// The service of clients that log in as that user: for `kube::Client::new`.
    #[must_use]
    pub fn as_user(&self, user: User) -> Connection {
        Connection::new(self.clone(), Some(user))
    }

    /// The service of clients that log in with a bearer token, or without.
    #[must_use]
    pub fn by_token(&self) -> Connection {
        Connection::new(self.clone(), None)
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.0.store)
    }

    pub(super) fn webhooks(&self) -> MutexGuard<'_, Webhooks> {
        locked(&self.0.webhooks)
    }

    pub(super) fn aggregated(&self) -> MutexGuard<'_, Vec<Aggregated>> {
        locked(&self.0.aggregated)
    }

    pub(super) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(super) fn watch_buffer(&self) -> usize {
        self.0.options.watch_buffer
    }

    /// The server's time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.options.clock
    }

    /// What is to go wrong.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.0.faults)
    }

    /// The resourceVersion of the last change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.store().version()
    }

    /// An object, past the API. `resource` is `pods`, `deployments.apps`; the namespace is empty for none.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.store().get(resource, &key(namespace, name)).cloned()
    }

    /// All objects of a resource, in order, past the API.
    #[must_use]
    pub fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        self.store().all(resource, "").map(|(_, object)| object.clone()).collect()
    }

    /// Writes an object past all checks: as it is, but for a new resourceVersion and what it needs to be an object (a UID,
    /// a time of creation). Watches are told.
    pub fn put(&self, resource: &str, mut object: Value) -> Result<Arc<Value>, Refusal> {
        let mut store = self.store();
        let kind = stored_in(&store, resource)?;
        let old = store.get(resource, &key_of(&object)).cloned();
        let metadata = |field: &str| old.as_ref().map(|old| old["metadata"][field].clone()).unwrap_or_default();
        for field in ["uid", "creationTimestamp"] {
            if object["metadata"][field].is_null() {
                object["metadata"][field] = metadata(field);
            }
        }
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = store.new_uid().into();
        }
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = super::store::seconds(store.now()).into();
        }
        Ok(effects::put(&mut store, &kind, object))
    }

    /// Changes an object past all checks; watches are told.
    pub fn edit(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Refusal> {
        let mut store = self.store();
        let kind = stored_in(&store, resource)?;
        let old = store.get(resource, &key(namespace, name)).cloned();
        let old = old.ok_or_else(|| Refusal::not_found(&kind, name))?;
        let mut object = Value::clone(&old);
        edit(&mut object);
        Ok(effects::put_or_let_go(&mut store, &kind, &old, object))
    }

    /// Removes an object past all checks; watches are told. A definition takes its objects with it. Gives what was there.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let mut store = self.store();
        if resource == super::definitions::STORAGE {
            let keys: Vec<Key> = store.all(name, "").map(|(key, _)| key.clone()).collect();
            for key in &keys {
                effects::remove(&mut store, name, key);
            }
        }
        effects::remove(&mut store, resource, &key(namespace, name))
    }

    /// Forgets what happened until now: watches and pages that go on from there are told `410 Expired`.
    pub fn forget_history(&self) {
        let mut store = self.store();
        let version = store.version();
        store.history.forget_until(version);
    }

    /// Closes the open watches of a resource (`pods`, `deployments.apps`), as a server does that is being replaced.
    pub fn close_watches(&self, resource: &str) {
        self.store().watchers.close(resource);
    }

    /// Closes all open watches.
    pub fn close_all_watches(&self) {
        self.store().watchers.close_all();
    }

    /// Tells these watches, open ones and later ones, nothing, until [`Self::release_watches`].
    pub fn hold_watches(&self, is_held: impl Fn(&Request) -> bool + Send + 'static) {
        self.store().watchers.hold(Box::new(is_held));
    }

    /// Tells watches that were held back everything.
    pub fn release_watches(&self) {
        self.store().watchers.release();
    }
}

fn key(namespace: &str, name: &str) -> Key {
    Key(namespace.to_owned(), name.to_owned())
}

fn stored_in(store: &Store, resource: &str) -> Result<Arc<ResourceType>, Refusal> {
    store.kinds.stored_in(resource).ok_or_else(Refusal::no_such_resource)
}
