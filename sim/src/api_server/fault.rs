//! Requests that go wrong because a test wants it.

use std::{fmt, time::Duration};

use super::{refusal::Refusal, request::Request};

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Effect {
    /// It is refused; nothing is done.
    Refuse(Refusal),
    /// It waits for so long and is then served.
    Delay(Duration),
    /// It is never answered; nothing is done.
    Hang,
    /// The connection breaks before it is served; nothing is done.
    DropConnection,
    /// It is served, and the connection breaks before the answer is there.
    LoseAnswer,
    /// It is served, and never answered.
    HangAfterwards,
}

type IsMeant = Box<dyn Fn(&Request) -> bool + Send>;

/// Names a fault, so that it can be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

struct Fault {
    id: FaultId,
    is_meant: IsMeant,
    effect: Effect,
    /// None: until it is ended.
    times: Option<u32>,
}

/// What is to go wrong. The first fault that means a request decides.
#[derive(Default)]
pub struct Faults {
    faults: Vec<Fault>,
    next: u64,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.faults.iter().map(|fault| &fault.effect)).finish()
    }
}

impl Faults {
    /// From now on, for requests that are meant.
    pub fn add(&mut self, is_meant: impl Fn(&Request) -> bool + Send + 'static, effect: Effect) -> FaultId {
        self.insert(Box::new(is_meant), effect, None)
    }

    /// For the next requests that are meant, that many.
    pub fn add_times(
        &mut self,
        times: u32,
        is_meant: impl Fn(&Request) -> bool + Send + 'static,
        effect: Effect,
    ) -> FaultId {
        self.insert(Box::new(is_meant), effect, Some(times))
    }

    fn insert(&mut self, is_meant: IsMeant, effect: Effect, times: Option<u32>) -> FaultId {
        self.next += 1;
        let id = FaultId(self.next);
        self.faults.push(Fault { id, is_meant, effect, times });
        id
    }

    /// Ends one.
    pub fn remove(&mut self, id: FaultId) {
        self.faults.retain(|fault| fault.id != id);
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// What goes wrong with that request; it counts.
    pub(super) fn strike(&mut self, request: &Request) -> Option<Effect> {
        let fault = self.faults.iter_mut().find(|fault| fault.times != Some(0) && (fault.is_meant)(request))?;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.effect.clone())
    }
}
