//! Runs actors on an API server: watches feed the view, each actor is asked what to do, and its writes are carried out in
//! order. One task, one loop: the same seed and the same cluster give the same writes.

mod again;
mod send;
mod watches;

use std::{collections::BTreeSet, fmt, time::Duration};

use jiff::Timestamp;
use kube::Client;

use self::{again::Failures, send::Outcome, watches::Watches};
use super::{
    actor::{Actor, Write},
    mirror::Mirror,
    view::Kind,
};
use crate::clock::Clock;

/// An actor that wants to be asked again at once is, after so long: the others, and the watches, get their turn.
const SOONEST: Duration = Duration::from_millis(10);

/// One write, as it was carried out.
#[derive(Clone, Debug)]
pub struct Done<'a> {
    /// When it was sent.
    pub at: Timestamp,
    /// Who wanted it.
    pub actor: &'static str,
    /// What was wanted.
    pub write: &'a Write,
    /// The HTTP status; none where there was no answer.
    pub code: Option<u16>,
}

type Record = Box<dyn FnMut(&Done<'_>) + Send>;

/// The actors, and what they act on.
pub struct Driver {
    client: Client,
    clock: Clock,
    random: fastrand::Rng,
    players: Vec<Player>,
    mirror: Mirror,
    failures: Failures,
    record: Option<Record>,
}

struct Player {
    actor: Box<dyn Actor>,
    watches: BTreeSet<Kind>,
    /// Whether it is to be asked.
    due: bool,
    again_at: Option<Timestamp>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.players.iter().map(|player| player.actor.name()).collect();
        f.debug_struct("Driver").field("actors", &names).finish_non_exhaustive()
    }
}

impl Driver {
    /// With no actor yet. The client must not repeat requests by itself (`Config::default_retry`).
    #[must_use]
    pub fn new(client: Client, clock: Clock, random: fastrand::Rng) -> Self {
        Self {
            client,
            clock,
            random,
            players: Vec::new(),
            mirror: Mirror::default(),
            failures: Failures::default(),
            record: None,
        }
    }

    /// One more; it is asked after those that came before.
    #[must_use]
    pub fn with(self, actor: impl Actor + 'static) -> Self {
        self.with_all([Box::new(actor) as Box<dyn Actor>])
    }

    /// More of them, in that order.
    #[must_use]
    pub fn with_all(mut self, actors: impl IntoIterator<Item = Box<dyn Actor>>) -> Self {
        self.players.extend(actors.into_iter().map(|actor| {
            let watches = actor.watches().into_iter().collect();
            Player { actor, watches, due: true, again_at: None }
        }));
        self
    }

    /// Every write is told, in the order in which they are carried out.
    #[must_use]
    pub fn recording(mut self, record: impl FnMut(&Done<'_>) + Send + 'static) -> Self {
        self.record = Some(Box::new(record));
        self
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let kinds: BTreeSet<Kind> = self.players.iter().flat_map(|player| player.watches.iter().copied()).collect();
        let mut watches = Watches::new(&self.client, self.clock, kinds);
        // Who decides on half of the objects takes the others for gone.
        while !watches.have_listed() {
            watches.changed(&mut self.mirror).await;
        }
        loop {
            self.ask_all().await;
            let next = self.next_time();
            tokio::select! {
                biased;
                () = watches.changed(&mut self.mirror) => {}
                () = until(self.clock, next) => {}
            }
        }
    }

    /// Asks those who have a reason to look, until none has.
    async fn ask_all(&mut self) {
        self.mark_due();
        for index in 0..self.players.len() {
            let Some(player) = self.players.get_mut(index).filter(|player| player.due) else { continue };
            let now = self.clock.now();
            let turn = player.actor.act(self.mirror.view(), now, &mut self.random);
            player.due = false;
            player.again_at = turn.again_at.map(|at| at.max(now.saturating_add(SOONEST).unwrap_or(now)));
            for write in turn.writes {
                self.carry_out(index, write).await;
            }
            self.mark_due();
        }
    }

    /// Who watches what has changed, and whose time has come.
    fn mark_due(&mut self) {
        let (changed, now) = (self.mirror.take_changed(), self.clock.now());
        for player in &mut self.players {
            let waited = player.again_at.is_some_and(|at| at <= now);
            player.due |= waited || player.watches.iter().any(|kind| changed.contains(kind));
        }
    }

    fn next_time(&self) -> Option<Timestamp> {
        if self.players.iter().any(|player| player.due) {
            return Some(self.clock.now());
        }
        self.players.iter().filter_map(|player| player.again_at).min()
    }

    async fn carry_out(&mut self, index: usize, write: Write) {
        let Some(player) = self.players.get_mut(index) else { return };
        let name = player.actor.name();
        let now = self.clock.now();
        let mut again = |at: Timestamp| player.again_at = Some(player.again_at.map_or(at, |other| other.min(at)));
        if let Some(at) = self.failures.not_before(name, &write).filter(|at| *at > now) {
            again(at);
            return;
        }
        let outcome = send::send(&self.client, name, &write).await;
        if let Some(record) = &mut self.record {
            record(&Done { at: now, actor: name, write: &write, code: outcome.code() });
        }
        match outcome {
            Outcome::Done(answer) => {
                self.failures.succeeded(name, &write);
                send::take_up(&mut self.mirror, &write, answer);
            }
            Outcome::Failed { why, .. } => {
                tracing::debug!(actor = name, %why, "a write failed: {write:?}");
                again(self.failures.failed(name, &write, self.clock.now()));
            }
        }
    }
}

async fn until(clock: Clock, time: Option<Timestamp>) {
    match time {
        Some(time) => clock.sleep_until(time).await,
        None => std::future::pending().await,
    }
}
