//! So many at once for each caller: nobody takes all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many each caller has. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct PerCaller {
    most: usize,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OfCaller {
    callers: PerCaller,
    name: String,
}

impl PerCaller {
    /// So many for each; nobody has one yet.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// One more for that caller; `None` if they have as many as they may.
    pub(crate) fn take(&self, name: &str) -> Option<OfCaller> {
        let mut open = self.open();
        let count = open.get(name).copied().unwrap_or_default();
        if count >= self.most {
            return None;
        }
        open.insert(name.to_owned(), count + 1);
        Some(OfCaller { callers: self.clone(), name: name.to_owned() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Nobody panics while holding it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfCaller {
    fn drop(&mut self) {
        let mut open = self.callers.open();
        match open.get_mut(&self.name) {
            Some(count) if *count > 1 => *count -= 1,
            // Who has none is forgotten: there may be many callers in the course of time.
            _ => drop(open.remove(&self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_they_may_and_who_has_none_is_forgotten() {
        let callers = PerCaller::new(2);
        let (one, two) = (callers.take("ann").unwrap(), callers.take("ann").unwrap());
        assert!(callers.take("ann").is_none());
        let of_bob = callers.take("bob").unwrap();
        drop(one);
        let again = callers.take("ann").unwrap();
        drop((two, again, of_bob));
        assert!(callers.open().is_empty());
    }
}
