//! What happened, as far back as it is kept.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use serde_json::Value;

/// Namespace (empty for none) and name, in the order in which lists give their objects: that of `namespace/name`, so
/// `a-b/x` comes before `a/x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(pub String, pub String);

impl Key {
    fn bytes(&self) -> impl Iterator<Item = u8> + use<'_> {
        let separator = if self.0.is_empty() { "" } else { "/" };
        self.0.bytes().chain(separator.bytes()).chain(self.1.bytes())
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 {
            return self.1.cmp(&other.1);
        }
        let common = self.0.len().min(other.0.len());
        // Only where one namespace begins like the other one it matters what follows.
        let namespaces = self.0.as_bytes()[..common].cmp(&other.0.as_bytes()[..common]);
        namespaces.then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One object was made, changed or removed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The resourceVersion that it made.
    pub version: u64,
    /// Where the object is kept.
    pub storage: Arc<str>,
    /// Which object.
    pub key: Key,
    /// None: it was made.
    pub old: Option<Arc<Value>>,
    /// None: it was removed.
    pub new: Option<Arc<Value>>,
}

/// The last changes.
#[derive(Debug)]
pub struct History {
    changes: VecDeque<Change>,
    kept: usize,
    /// Changes up to this version are forgotten.
    forgotten: u64,
}

impl History {
    /// Keeps that many changes.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self { changes: VecDeque::new(), kept, forgotten: 0 }
    }

    /// Takes up a change.
    pub fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        while self.changes.len() > self.kept {
            self.forgotten = self.changes.pop_front().map_or(self.forgotten, |change| change.version);
        }
    }

    /// Forgets everything up to that version.
    pub fn forget_until(&mut self, version: u64) {
        self.changes.retain(|change| change.version > version);
        self.forgotten = self.forgotten.max(version);
    }

    /// The oldest version from which changes are known.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.forgotten
    }

    /// What happened after that version, oldest first; none if that is not known any more.
    #[must_use]
    pub fn since(&self, version: u64) -> Option<impl DoubleEndedIterator<Item = &Change> + use<'_>> {
        let first = self.changes.partition_point(|change| change.version <= version);
        (version >= self.forgotten).then(|| self.changes.range(first..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: u64) -> Change {
        Change { version, storage: "pods".into(), key: Key::default(), old: None, new: None }
    }

    fn versions(history: &History, since: u64) -> Option<Vec<u64>> {
        history.since(since).map(|changes| changes.map(|change| change.version).collect())
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut history = History::new(3);
        (1..=5).for_each(|version| history.push(change(version)));
        assert_eq!(versions(&history, 3), Some(vec![4, 5]));
        assert_eq!(versions(&history, 2), Some(vec![3, 4, 5]));
        assert_eq!(versions(&history, 1), None);
        history.forget_until(5);
        assert_eq!(versions(&history, 4), None);
        assert_eq!(versions(&history, 5), Some(vec![]));
    }
}
