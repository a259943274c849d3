//! How many sockets there are, and whose: nobody takes all of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::per_caller::{OfCaller, PerCaller};

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
    callers: PerCaller,
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
    caller: Option<OfCaller>,
    callers: PerCaller,
}

impl Default for Places {
    fn default() -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        let callers = PerCaller::new(MAX_OF_CALLER);
        Self { all: semaphore(MAX_SOCKETS), strangers: semaphore(MAX_STRANGERS), callers }
    }
}

impl Places {
    /// A place for who has not said yet who they are.
    pub(super) fn of_stranger(&self) -> Result<Place, Full> {
        let one = self.all.clone().try_acquire_owned().map_err(|_| Full::All)?;
        let stranger = self.strangers.clone().try_acquire_owned().map_err(|_| Full::Strangers)?;
        Ok(Place { _one: one, stranger: Some(stranger), caller: None, callers: self.callers.clone() })
    }
}

impl Place {
    /// It is that caller's, if they have a place left.
    pub(super) fn take_as(&mut self, caller: &str) -> Result<(), Full> {
        let place = self.callers.take(caller).ok_or_else(|| Full::OfCaller(caller.to_owned()))?;
        self.caller = Some(place);
        self.stranger = None;
        Ok(())
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
