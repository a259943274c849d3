//! One who wants a Lease: what it last saw, and the guarded ways to change it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use tokio::time::Instant;

use super::{
    decision::{Decision, Observation, decide, decide_by_wall_clock},
    fields::{self, Claimant},
    request::{LeaseError, LeaseRequests},
};
use crate::{clock::Clock, model::ObjectKey};

/// How often a write is tried that somebody else came before.
const ATTEMPTS: u32 = 3;

#[derive(Debug)]
pub(super) struct Contender {
    requests: LeaseRequests,
    clock: Clock,
    claimant: Claimant,
    known: Option<Observation>,
    /// Whether `known` may be out of date: nothing was read yet, or what became of a write is not known. Set before a
    /// write, so that it holds too if the write is dropped half-way.
    stale: bool,
}

/// When somebody else's Lease may be taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expiry {
    /// Once it has not changed for its duration under our eyes.
    Observed,
    /// Once its time is over by the clock.
    ByWallClock,
    /// Never: ours is only kept.
    Never,
}

/// Whose the Lease is now.
pub(super) enum Outcome {
    /// Ours, by a write that was sent then.
    Mine { sent: Instant },
    /// Somebody else's.
    HeldBy { holder: String, expires_in: Duration },
}

/// What becomes of a Lease that is given away.
#[derive(Clone, Copy, Debug)]
pub(super) enum GiveAway {
    /// It stays, without a holder.
    Vacate,
    /// It is deleted.
    Delete,
}

impl Contender {
    pub(super) fn new(client: Client, clock: Clock, key: ObjectKey, claimant: Claimant) -> Self {
        Self { requests: LeaseRequests::new(client, key), clock, claimant, known: None, stale: true }
    }

    /// Renews the Lease if it is ours, takes it if that is allowed.
    /// One request while it is ours, two otherwise; more only if somebody else writes at the same time.
    pub(super) async fn attempt(&mut self, expiry: Expiry) -> Result<Outcome, LeaseError> {
        for _ in 0..ATTEMPTS {
            if self.stale || !self.is_mine() {
                self.read().await?;
            }
            if let Decision::HeldBy { holder, expires_in } = self.decide(expiry) {
                return Ok(Outcome::HeldBy { holder, expires_in });
            }
            let sent = Instant::now();
            if self.claim().await? {
                return Ok(Outcome::Mine { sent });
            }
        }
        Err(self.contended())
    }

    /// Gives the Lease away if it is ours. Gives its holder, if somebody else has it.
    pub(super) async fn give_away(&mut self, how: GiveAway) -> Result<Option<String>, LeaseError> {
        for _ in 0..ATTEMPTS {
            if self.stale {
                self.read().await?;
            }
            let Some(known) = self.known.clone().filter(|_| self.is_mine()) else {
                return Ok(self.holder().map(str::to_owned));
            };
            self.stale = true;
            let known = match how {
                GiveAway::Vacate => {
                    let vacated = fields::vacated(&known.lease, self.clock.wall());
                    self.requests.replace(&vacated).await?.map(Some)
                }
                GiveAway::Delete => self.requests.delete(&known.lease).await?.map(|()| None),
            };
            if let Some(lease) = known {
                self.know(lease);
                return Ok(None);
            }
        }
        Err(self.contended())
    }

    /// Reads the Lease; gives its holder, if it has one.
    pub(super) async fn look(&mut self) -> Result<Option<&str>, LeaseError> {
        self.read().await?;
        Ok(self.holder())
    }

    /// Whether, as far as we know, the Lease is ours.
    pub(super) fn is_mine(&self) -> bool {
        self.holder() == Some(&self.claimant.holder)
    }

    /// When the Lease expires by its own fields.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.known.as_ref().and_then(|known| fields::expires_at(&known.lease))
    }

    pub(super) fn key(&self) -> &ObjectKey {
        &self.requests.key
    }

    fn holder(&self) -> Option<&str> {
        self.known.as_ref().and_then(|known| fields::holder(&known.lease))
    }

    /// What may be done about the Lease as it was last seen.
    pub(super) fn decide(&self, expiry: Expiry) -> Decision {
        let me = &self.claimant.holder;
        match expiry {
            Expiry::Observed => decide(self.known.as_ref(), me, Instant::now()),
            Expiry::ByWallClock => {
                decide_by_wall_clock(self.known.as_ref().map(|known| &known.lease), me, self.clock.wall())
            }
            Expiry::Never => match self.holder() {
                Some(holder) if holder != me => {
                    Decision::HeldBy { holder: holder.to_owned(), expires_in: Duration::MAX }
                }
                _ => decide(self.known.as_ref(), me, Instant::now()),
            },
        }
    }

    /// `false` if somebody else came before.
    async fn claim(&mut self) -> Result<bool, LeaseError> {
        self.stale = true;
        let now = self.clock.wall();
        let written = if let Some(known) = &self.known {
            self.requests.replace(&self.claimant.claimed(&known.lease, now)).await?
        } else {
            self.requests.create(&self.claimant.created(&self.requests.key, now)).await?
        };
        let is_done = written.is_some();
        if let Some(lease) = written {
            self.know(Some(lease));
        }
        Ok(is_done)
    }

    async fn read(&mut self) -> Result<(), LeaseError> {
        let lease = self.requests.get().await?;
        self.know(lease);
        Ok(())
    }

    fn know(&mut self, lease: Option<Lease>) {
        let now = Instant::now();
        self.known = lease.map(|lease| match &self.known {
            Some(known) => known.read_again(lease, now),
            None => Observation::new(lease, now),
        });
        self.stale = false;
    }

    fn contended(&self) -> LeaseError {
        LeaseError::Contended { object: self.requests.object() }
    }
}
