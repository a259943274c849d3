//! So much at once for each caller: nobody takes all there is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How much each caller has. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct PerCaller {
    most: usize,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// A part of it, until that is dropped.
#[derive(Debug)]
pub(crate) struct OfCaller {
    callers: PerCaller,
    name: String,
    worth: usize,
}

impl PerCaller {
    /// So much for each; nobody has any yet.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// One more for that caller; `None` if they have as many as they may.
    pub(crate) fn take(&self, name: &str) -> Option<OfCaller> {
        self.take_worth(name, 1)
    }

    /// So much more for that caller; `None` if that is more than they may have.
    pub(crate) fn take_worth(&self, name: &str, worth: usize) -> Option<OfCaller> {
        let mut open = self.open();
        let sum = open.get(name).copied().unwrap_or_default().saturating_add(worth);
        if sum > self.most {
            return None;
        }
        open.insert(name.to_owned(), sum);
        Some(OfCaller { callers: self.clone(), name: name.to_owned(), worth })
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
            Some(sum) if *sum > self.worth => *sum -= self.worth,
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

    #[test]
    fn what_is_worth_more_leaves_less() {
        let callers = PerCaller::new(10);
        let (six, four) = (callers.take_worth("ann", 6).unwrap(), callers.take_worth("ann", 4).unwrap());
        assert!(callers.take("ann").is_none() && callers.take_worth("bob", 11).is_none());
        drop(six);
        assert!(callers.take_worth("ann", 7).is_none());
        drop((callers.take_worth("ann", 6).unwrap(), four));
        assert!(callers.open().is_empty());
    }
}
