//! The objects, and what changes them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde_json::{Value, json};

use super::{
    history::{Change, History, Key},
    kinds::Kinds,
    plugin::Plugins,
    resource_type::ResourceType,
    service_account_token::Tokens,
    watchers::Watchers,
};
use crate::clock::Clock;

/// Everything that the server knows.
#[derive(Debug)]
pub(super) struct Store {
    clock: Clock,
    random: fastrand::Rng,
    /// For what is not stored: who only reads changes no name that is made later.
    passing: fastrand::Rng,
    version: u64,
    objects: BTreeMap<String, BTreeMap<Key, Arc<Value>>>,
    pub(super) kinds: Kinds,
    pub(super) history: History,
    pub(super) watchers: Watchers,
    pub(super) tokens: Tokens,
    pub(super) plugins: Plugins,
}

/// `2026-11-24T01:42:52Z`: Kubernetes keeps whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    PRINTER.timestamp_to_string(&time)
}

/// `2026-11-24T01:42:52.123456Z`.
pub(super) fn microseconds(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    PRINTER.timestamp_to_string(&time)
}

/// Namespace and name of an object.
pub(super) fn key_of(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Key(text("namespace"), text("name"))
}

/// Of version 4.
fn uuid(random: &mut fastrand::Rng) -> String {
    let bits = random.u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl Store {
    pub(super) fn new(clock: Clock, seed: u64, kept: usize) -> Self {
        Self {
            clock,
            random: fastrand::Rng::with_seed(seed),
            passing: fastrand::Rng::with_seed(!seed),
            version: 1,
            objects: BTreeMap::new(),
            kinds: Kinds::builtin(),
            history: History::new(kept),
            watchers: Watchers::default(),
            tokens: Tokens::new(),
            plugins: Plugins::default(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A random UUID from the seed, for an object.
    pub(super) fn new_uid(&mut self) -> String {
        uuid(&mut self.random)
    }

    /// The same, for a request.
    pub(super) fn passing_uid(&mut self) -> String {
        uuid(&mut self.passing)
    }

    /// What is put behind `generateName`: five letters and digits that make no words.
    pub(super) fn new_suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(ALPHABET[self.random.usize(..ALPHABET.len())])).collect()
    }

    /// A whole number below that, for an object.
    pub(super) fn random_below(&mut self, limit: u64) -> u64 {
        self.random.u64(..limit)
    }

    /// The same, for a request.
    pub(super) fn passing_below(&mut self, limit: u64) -> u64 {
        self.passing.u64(..limit)
    }

    pub(super) fn get(&self, storage: &str, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(storage)?.get(key)
    }

    /// All of a kind, or those in one namespace, in the order of their keys.
    pub(super) fn all<'a>(
        &'a self,
        storage: &str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let first = Key(namespace.to_owned(), String::new());
        let objects = self.objects.get(storage).into_iter().flat_map(move |objects| objects.range(first.clone()..));
        objects.take_while(move |(Key(of, _), _)| namespace.is_empty() || of == namespace)
    }

    /// All of a kind as they were at that version; none if that is not known any more.
    pub(super) fn all_at(&self, storage: &str, version: u64) -> Option<BTreeMap<Key, Arc<Value>>> {
        let mut objects = self.objects.get(storage).cloned().unwrap_or_default();
        for change in self.history.since(version)?.rev().filter(|change| *change.storage == *storage) {
            match &change.old {
                Some(old) => objects.insert(change.key.clone(), old.clone()),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }

    /// Where objects are.
    pub(super) fn storages(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    /// Writes an object as it is, with a new resourceVersion, and tells who watches.
    pub(super) fn put(&mut self, resource: &ResourceType, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.as_ref().into();
        let object = Arc::new(object);
        let storage = resource.storage();
        let key = key_of(&object);
        let old = self.objects.entry(storage.clone()).or_default().insert(key.clone(), object.clone());
        self.changed(&storage, key, old, Some(object.clone()));
        object
    }

    /// Removes an object, and tells who watches.
    pub(super) fn remove(&mut self, storage: &str, key: &Key) -> Option<Arc<Value>> {
        let old = self.objects.get_mut(storage)?.remove(key)?;
        self.version += 1;
        self.changed(storage, key.clone(), Some(old.clone()), None);
        Some(old)
    }

    fn changed(&mut self, storage: &str, key: Key, old: Option<Arc<Value>>, new: Option<Arc<Value>>) {
        let change = Change { version: self.version, storage: storage.into(), key, old, new };
        self.watchers.tell(&change);
        self.history.push(change);
    }
}
