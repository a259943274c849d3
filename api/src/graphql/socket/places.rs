//! How many sockets there are, and whose: nobody takes all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many WebSockets are open at once.
const MAX_SOCKETS: usize = 1000;
/// So many of them have not said yet who they are. They have ten seconds for it.
const MAX_STRANGERS: usize = 100;
/// So many are one caller's: each has a place for fifty subscriptions.
const MAX_OF_CALLER: usize = 20;

/// The places for sockets. Cloning shares them.
#[derive(Clone, Debug)]
pub(in crate::graphql) struct Places {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    callers: Arc<Mutex<HashMap<String, usize>>>,
}

/// Why there is no place.
#[derive(Debug, thiserror::Error)]
pub(super) enum Full {
    #[error("as many WebSockets are open as there may be")]
    All,
    #[error("as many WebSockets as there may be have not said yet who they are")]
    Strangers,
    #[error("{0:?} has {MAX_OF_CALLER} WebSockets open, which is as many as one caller may")]
    OfCaller(String),
}

/// The place of one socket, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _one: OwnedSemaphorePermit,
    stranger: Option<OwnedSemaphorePermit>,
    caller: Option<String>,
    places: Places,
}

impl Default for Places {
    fn default() -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { all: semaphore(MAX_SOCKETS), strangers: semaphore(MAX_STRANGERS), callers: Arc::default() }
    }
}

impl Places {
    /// A place for who has not said yet who they are.
    pub(super) fn of_stranger(&self) -> Result<Place, Full> {
        let one = self.all.clone().try_acquire_owned().map_err(|_| Full::All)?;
        let stranger = self.strangers.clone().try_acquire_owned().map_err(|_| Full::Strangers)?;
        Ok(Place { _one: one, stranger: Some(stranger), caller: None, places: self.clone() })
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<String, usize>) -> T) -> T {
        // Nobody panics while holding it.
        change(&mut self.callers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Place {
    /// It is that caller's, if they have a place left.
    pub(super) fn take_as(&mut self, caller: &str) -> Result<(), Full> {
        let is_taken = self.places.with(|callers| {
            let open = callers.entry(caller.to_owned()).or_default();
            let is_free = *open < MAX_OF_CALLER;
            *open += usize::from(is_free);
            is_free
        });
        if !is_taken {
            return Err(Full::OfCaller(caller.to_owned()));
        }
        self.caller = Some(caller.to_owned());
        self.stranger = None;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(caller) = self.caller.take() else { return };
        self.places.with(|callers| {
            if let Some(open) = callers.get_mut(&caller) {
                *open -= 1;
                if *open == 0 {
                    callers.remove(&caller);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places() {
        let places = Places::default();
        let mut open: Vec<Place> = Vec::new();
        for _ in 0..MAX_OF_CALLER {
            let mut place = places.of_stranger().unwrap();
            place.take_as("ann").unwrap();
            open.push(place);
        }
        let mut one_more = places.of_stranger().unwrap();
        assert!(matches!(one_more.take_as("ann"), Err(Full::OfCaller(_))));
        one_more.take_as("bob").unwrap();
        open.pop();
        places.of_stranger().unwrap().take_as("ann").unwrap();
        // A place that was given back was counted back, and who has none is forgotten.
        drop(one_more);
        drop(open);
        assert_eq!(places.with(|callers| callers.len()), 0);
    }

    #[test]
    fn strangers_leave_places_for_those_who_are_known() {
        let places = Places::default();
        let strangers: Vec<Place> = (0..MAX_STRANGERS).map(|_| places.of_stranger().unwrap()).collect();
        assert!(matches!(places.of_stranger(), Err(Full::Strangers)));
        drop(strangers);
        let known = |number: usize| {
            let mut place = places.of_stranger().unwrap();
            place.take_as(&(number / MAX_OF_CALLER).to_string()).unwrap();
            place
        };
        let all: Vec<Place> = (0..MAX_SOCKETS).map(known).collect();
        assert!(matches!(places.of_stranger(), Err(Full::All)));
        drop(all);
    }
}
