//! What was written just now, until the watch shows it.

use std::sync::Arc;

/// The answer to our own write of an object. It stands in for the cached object as long as that is still the one that was
/// written from; as soon as the watch brings anything newer, that counts.
#[derive(Clone, Debug)]
pub(super) struct Overlay<T> {
    written: Option<(String, Arc<T>)>,
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        Self { written: None }
    }
}

impl<T: Clone> Overlay<T> {
    /// Takes up the answer to a write that was made while the cache showed that resourceVersion.
    pub(super) fn wrote(&mut self, cached_version: &str, object: T) {
        self.written = Some((cached_version.to_owned(), Arc::new(object)));
    }

    /// The object as it is best known; `cached_version` is the resourceVersion of the cached one.
    pub(super) fn over(&mut self, cached_version: &str) -> Option<&Arc<T>> {
        if self.written.as_ref().is_some_and(|(version, _)| version != cached_version) {
            self.written = None;
        }
        self.written.as_ref().map(|(_, object)| object)
    }
}
