//! Who reads streams: so many at once for each, and whether they still may.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::rest::{frame::Admission, problem::Problem, reason::Reason};

/// So many streams one caller has at once: a console that follows ten nodes, in two windows. Fifty callers fill the server.
const MAX_FOR_EACH: usize = 20;

/// Who reads a stream.
pub(crate) trait Reader: Send + Sync + 'static {
    /// Their name.
    fn name(&self) -> &str;
    /// Whether they may still see what it shows.
    fn still_may(&self) -> impl Future<Output = Result<(), Problem>> + Send;
}

impl Reader for Admission {
    fn name(&self) -> &str {
        self.user()
    }

    async fn still_may(&self) -> Result<(), Problem> {
        self.still_holds().await
    }
}

/// How many streams each reader has. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Readers(Arc<Mutex<HashMap<String, usize>>>);

/// The place of one stream, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    readers: Readers,
    name: String,
}

impl Readers {
    /// A place for one stream more.
    pub(super) fn take(&self, name: &str) -> Result<Place, Problem> {
        let mut open = self.open();
        let count = open.get(name).copied().unwrap_or_default();
        if count >= MAX_FOR_EACH {
            let sentence = format!("{name:?} has {count} streams of events open, and one caller may have no more");
            return Err(Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(Duration::from_secs(30)));
        }
        open.insert(name.to_owned(), count + 1);
        Ok(Place { readers: self.clone(), name: name.to_owned() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Nobody panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.readers.open();
        match open.get_mut(&self.name) {
            Some(count) if *count > 1 => *count -= 1,
            // Who has none is forgotten: there may be many callers in the course of time.
            _ => drop(open.remove(&self.name)),
        }
    }
}
