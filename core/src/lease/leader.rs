//! The leader Lease: one replica at a time carries orders out.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    contender::{Contender, Expiry, GiveAway, Outcome},
    fields::Claimant,
    leadership::Leadership,
    request::LeaseError,
};
use crate::{clock::Clock, model::ObjectKey};

/// Where nothing changes until somebody grants a right or makes a namespace.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How leaders are elected.
#[derive(Clone, Debug)]
pub struct ElectionSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are; different for each replica and each start of it.
    pub identity: String,
    /// How long others wait for a leader that is silent.
    pub duration: Duration,
    /// How long a leader leads without renewing. Shorter than `duration` by more than a request may take.
    pub renew_deadline: Duration,
    /// How often the Lease is renewed, or looked at.
    pub retry_period: Duration,
}

impl ElectionSettings {
    /// With the usual times: a silent leader stops after 15 s, another may begin after 30 s, and the 15 s between cover
    /// a request on its way (12 s).
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(30),
            renew_deadline: Duration::from_secs(15),
            retry_period: Duration::from_secs(3),
        }
    }
}

/// This replica's part in the election, in a task of its own. If it is dropped, the Lease is released at once: better
/// [`stop`](Self::stop) it and finish what is under way.
#[derive(Debug)]
pub struct LeaderElection {
    leadership: watch::Receiver<Leadership>,
    commands: mpsc::Sender<Resign>,
}

impl LeaderElection {
    /// Stands for election. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(client: Client, clock: Clock, settings: ElectionSettings) -> Self {
        let (publisher, leadership) = watch::channel(Leadership::Standby { holder: None });
        let (commands, orders) = mpsc::channel(1);
        let key = ObjectKey::new(&settings.namespace, &settings.name);
        let claimant = Claimant { holder: settings.identity.clone(), duration: settings.duration, owner: None };
        let contender = Contender::new(client, clock, key, claimant);
        let candidate = Candidate {
            contender,
            settings,
            leadership: publisher,
            resting_until: None,
            error: None,
            next: Instant::now(),
            pause: Duration::ZERO,
        };
        tokio::spawn(candidate.run(orders));
        Self { leadership, commands }
    }

    /// Whether this replica leads, now and from now on. A change is signalled when leadership passes, not when the
    /// Lease is renewed. When the sender is gone, the election has been stopped.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Whether this replica may act at this moment.
    #[must_use]
    pub fn is_mine(&self) -> bool {
        self.leadership.borrow().is_mine(Instant::now())
    }

    /// Gives the Lease away and does not stand again for that long. When this returns, we lead no longer; the Lease
    /// passes on when [`Handover::release`] is called.
    pub async fn step_down(&self, rest: Duration) -> Handover {
        self.resign(Some(rest)).await
    }

    /// Ends our part in the election. When this returns, we lead no longer; the Lease passes on when
    /// [`Handover::release`] is called.
    pub async fn stop(self) -> Handover {
        self.resign(None).await
    }

    async fn resign(&self, rest: Option<Duration>) -> Handover {
        let (resigned, deadline) = oneshot::channel();
        let (release, may_release) = oneshot::channel();
        let (done, released) = oneshot::channel();
        let resign = Resign { rest, resigned, may_release, done };
        // A candidate that is gone (its runtime is shutting down) does not lead.
        let deadline = match self.commands.send(resign).await {
            Ok(()) => deadline.await.unwrap_or_default(),
            Err(_) => None,
        };
        Handover { deadline, release, released }
    }
}

/// We lead no longer, but nobody else does yet: the time to finish what is under way. Dropped, it releases the Lease
/// too.
#[derive(Debug)]
pub struct Handover {
    deadline: Option<Instant>,
    release: oneshot::Sender<()>,
    released: oneshot::Receiver<Result<(), LeaseError>>,
}

impl Handover {
    /// When somebody else may lead even if the Lease is not released; `None` if we did not lead.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Releases the Lease, so that another replica can take it at once. If that fails, the Lease passes on by itself at
    /// the [`deadline`](Self::deadline).
    pub async fn release(self) -> Result<(), LeaseError> {
        drop(self.release);
        self.released.await.unwrap_or(Ok(()))
    }
}

#[derive(Debug)]
struct Resign {
    /// `None` is for ever.
    rest: Option<Duration>,
    resigned: oneshot::Sender<Option<Instant>>,
    /// Ends when the other side is dropped.
    may_release: oneshot::Receiver<()>,
    done: oneshot::Sender<Result<(), LeaseError>>,
}

struct Candidate {
    contender: Contender,
    settings: ElectionSettings,
    leadership: watch::Sender<Leadership>,
    /// Until then we do not stand.
    resting_until: Option<Instant>,
    /// What was wrong at the last attempt.
    error: Option<Arc<LeaseError>>,
    /// When to try next.
    next: Instant,
    /// The last pause after a refusal.
    pause: Duration,
}

enum Event {
    Resign(Option<Resign>),
    /// The Lease could not be renewed in time.
    Expired,
    Attempted(Result<Leadership, LeaseError>),
}

impl Candidate {
    async fn run(mut self, mut orders: mpsc::Receiver<Resign>) {
        loop {
            let expiry = self.expiry();
            let event = tokio::select! {
                // In this order: who is told to stop, or has run out of time, does not wait for a request.
                biased;
                resign = orders.recv() => Event::Resign(resign),
                () = sleep_until(expiry.unwrap_or(self.next)), if expiry.is_some() => Event::Expired,
                outcome = self.attempt() => Event::Attempted(outcome),
            };
            match event {
                Event::Expired => self.expire(),
                Event::Attempted(Ok(leadership)) => self.succeed(leadership),
                Event::Attempted(Err(error)) => self.fail(error),
                Event::Resign(resign) => {
                    let stands_again = resign.as_ref().is_some_and(|resign| resign.rest.is_some());
                    self.resign(resign).await;
                    if !stands_again {
                        return;
                    }
                }
            }
        }
    }

    /// When our leadership ends unless it is renewed.
    fn expiry(&self) -> Option<Instant> {
        match *self.leadership.borrow() {
            Leadership::Leading { until } => Some(until),
            _ => None,
        }
    }

    async fn attempt(&mut self) -> Result<Leadership, LeaseError> {
        sleep_until(self.next).await;
        if self.resting_until.is_some_and(|end| Instant::now() < end) {
            return self.rest().await;
        }
        Ok(match self.contender.attempt(Expiry::Observed).await? {
            Outcome::Mine { sent } => Leadership::Leading { until: sent + self.settings.renew_deadline },
            Outcome::HeldBy { holder, expires_in } => {
                self.next = Instant::now() + expires_in.min(self.settings.retry_period);
                Leadership::Standby { holder: Some(holder) }
            }
        })
    }

    /// Only looks who leads. If it is still us, giving the Lease away had failed.
    async fn rest(&mut self) -> Result<Leadership, LeaseError> {
        let mut holder = self.contender.look().await?.map(str::to_owned);
        if self.contender.is_mine() {
            holder = self.contender.give_away(GiveAway::Vacate).await?;
        }
        Ok(Leadership::Standby { holder })
    }

    fn succeed(&mut self, leadership: Leadership) {
        let now = Instant::now();
        if self.next <= now {
            self.next = now + self.settings.retry_period;
        }
        self.pause = Duration::ZERO;
        self.error = None;
        self.publish(leadership);
    }

    /// A leader goes on until its time is over; anybody else says what is wrong.
    fn fail(&mut self, error: LeaseError) {
        let is_leading = self.expiry().is_some();
        self.pause = if error.is_refusal() && !is_leading {
            (self.pause * 2).clamp(self.settings.retry_period, LONGEST_PAUSE)
        } else {
            self.settings.retry_period
        };
        self.next = Instant::now() + self.pause;

        let error = Arc::new(error);
        if !is_leading {
            self.publish(Leadership::Unavailable { error: error.clone() });
        } else if self.error.is_none() {
            tracing::warn!(lease = %self.contender.key(), "the leader Lease is not renewed: {error}");
        }
        self.error = Some(error);
    }

    fn expire(&mut self) {
        let error = self.error.clone().unwrap_or_else(|| {
            Arc::new(LeaseError::Timeout {
                verb: "update",
                object: format!("the Lease {}", self.contender.key()),
                after: self.settings.renew_deadline,
            })
        });
        self.publish(Leadership::Unavailable { error });
    }

    /// First the claim ends, then the caller finishes, then the Lease is released.
    async fn resign(&mut self, resign: Option<Resign>) {
        let margin = self.settings.duration.saturating_sub(self.settings.renew_deadline);
        let deadline = self.expiry().map(|until| until + margin);
        self.publish(Leadership::Standby { holder: None });
        let Some(Resign { rest, resigned, may_release, done }) = resign else {
            self.release().await.unwrap_or_else(|error| self.warn_of_lapse(&error));
            return;
        };

        let caller_waits = resigned.send(deadline).is_ok();
        if let Some(deadline) = deadline.filter(|_| caller_waits)
            && timeout_at(deadline, may_release).await.is_err()
        {
            tracing::warn!(
                lease = %self.contender.key(),
                "what was under way was not finished before the leader Lease could pass on"
            );
        }
        let result = self.release().await;
        self.resting_until = rest.map(|rest| Instant::now() + rest);
        self.next = Instant::now() + self.settings.retry_period;
        // Whoever dropped the handover does not want to know, so it is said here.
        if let Err(Err(error)) = done.send(result) {
            self.warn_of_lapse(&error);
        }
    }

    async fn release(&mut self) -> Result<(), LeaseError> {
        self.contender.give_away(GiveAway::Vacate).await.map(drop)
    }

    fn warn_of_lapse(&self, error: &LeaseError) {
        tracing::warn!(
            lease = %self.contender.key(),
            "the leader Lease is not released and passes on only when it expires: {error}"
        );
    }

    fn publish(&self, leadership: Leadership) {
        self.leadership.send_if_modified(|published| {
            let is_news = !published.says_the_same_as(&leadership);
            if is_news {
                log(&self.settings, &leadership);
            }
            *published = leadership;
            is_news
        });
    }
}

fn log(settings: &ElectionSettings, leadership: &Leadership) {
    let ElectionSettings { namespace, name, identity, .. } = settings;
    match leadership {
        Leadership::Leading { .. } => tracing::info!(namespace, name, identity, "this replica leads"),
        Leadership::Standby { holder: Some(holder) } => {
            tracing::info!(namespace, name, identity, holder, "another replica leads");
        }
        Leadership::Standby { holder: None } => tracing::info!(namespace, name, identity, "this replica does not lead"),
        Leadership::Unavailable { error } => {
            tracing::warn!(namespace, name, identity, "this replica does not lead: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
