//! What was written just now, until the watch shows it.

use std::{collections::BTreeSet, sync::Arc};

/// The answer to our own last write of an object. It stands in for the cached object as long as that is one that we
/// know to be older: the one that was written from, or an earlier write of ours. Whatever else the watch brings counts.
#[derive(Clone, Debug)]
pub(super) struct Overlay<T> {
    written: Option<Written<T>>,
}

#[derive(Clone, Debug)]
struct Written<T> {
    /// The resourceVersions that are older.
    older: BTreeSet<String>,
    version: String,
    object: Arc<T>,
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        Self { written: None }
    }
}

impl<T: Clone> Overlay<T> {
    /// Takes up the answer to a write that was made while the cache showed that resourceVersion.
    pub(super) fn wrote(&mut self, cached_version: &str, version: &str, object: T) {
        let before = self.written.take().filter(|before| before.older.contains(cached_version));
        let mut older = before.map_or_else(BTreeSet::new, |mut before| {
            before.older.insert(before.version);
            before.older
        });
        older.insert(cached_version.to_owned());
        self.written = Some(Written { older, version: version.to_owned(), object: Arc::new(object) });
    }

    /// Whether that is our own last write, or what is known to be older.
    pub(super) fn has_been(&self, version: &str) -> bool {
        self.written.as_ref().is_some_and(|written| written.version == version || written.older.contains(version))
    }

    /// The object as it is best known; `cached_version` is the resourceVersion of the cached one.
    pub(super) fn over(&mut self, cached_version: &str) -> Option<&Arc<T>> {
        self.written.take_if(|written| !written.older.contains(cached_version));
        self.written.as_ref().map(|written| &written.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_write_counts_until_the_watch_shows_it_or_what_came_after_it() {
        let mut overlay = Overlay::default();
        assert_eq!(overlay.over("1"), None);
        overlay.wrote("1", "2", "ours");
        assert_eq!(overlay.over("1").map(|object| **object), Some("ours"));
        assert_eq!(overlay.over("2"), None, "the watch shows it");
        assert_eq!(overlay.over("1"), None, "and it does not come back");
        overlay.wrote("2", "3", "ours");
        assert_eq!(overlay.over("4"), None, "somebody else has written since");
    }

    #[test]
    fn a_watch_that_shows_the_first_of_two_writes_while_the_second_is_made_is_known_to_be_behind() {
        let mut overlay = Overlay::default();
        overlay.wrote("1", "2", "first");
        assert!(overlay.has_been("1") && overlay.has_been("2") && !overlay.has_been("3"));
        overlay.wrote("2", "3", "second");
        assert_eq!(overlay.over("2").map(|object| **object), Some("second"));
    }

    #[test]
    fn the_first_of_two_writes_does_not_hide_the_second() {
        let mut overlay = Overlay::default();
        overlay.wrote("1", "2", "first");
        overlay.wrote("1", "3", "second");
        assert_eq!(overlay.over("1").map(|object| **object), Some("second"));
        assert_eq!(overlay.over("2").map(|object| **object), Some("second"), "the watch shows the first");
        assert_eq!(overlay.over("3"), None);
        // What is older is forgotten with the write.
        overlay.wrote("3", "4", "third");
        assert_eq!(overlay.over("1"), None);
    }
}
