//! Delivers what the status of one maintenance notes for others: in its order, each until it is delivered or too old,
//! and marks there what was.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    call_back::{CallBack, Delivery, Undelivered},
    context::Context,
    requests::{self, WriteError},
};
use crate::{
    clock::{Backoff, later},
    maintenance::{Notice, Notices},
    metrics::{CallBackLabels, CallBackOutcome},
    model::{NodeMaintenance, Uid},
};

/// A receiver has this time for its answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What was to be told so long ago is repeated no more.
const TELL_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// Waits before a repeat: from one second, doubling, to five minutes.
const REPEAT: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
/// The same once the maintenance ends: its object waits for the last notice.
const REPEAT_AT_THE_END: Backoff = Backoff { longest: Duration::from_secs(2), ..REPEAT };
/// A replica that stops waits so long for an answer that is under way. What it misses the next leader repeats.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Tells others of one maintenance for as long as its object exists.
pub(super) struct Courier {
    context: Context,
    delivery: Delivery,
    name: String,
    uid: Uid,
    /// The number up to which everything is done with.
    delivered: i64,
    /// The number up to which the object says so.
    marked: i64,
    /// The version of the object that the last mark was written over: it does not show that mark yet.
    marked_over: Option<String>,
    /// Of delivering the first notice that waits.
    tries: Tries,
    /// Of marking what is done with.
    mark_tries: Tries,
    /// The object as it was last seen.
    last_seen: Option<Arc<NodeMaintenance>>,
}

/// How often something was tried in vain, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tries {
    failures: u32,
    last: Option<Timestamp>,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    /// Nothing, until something is noted.
    Nothing,
    /// Nothing before that time.
    At(Timestamp),
    /// To deliver this.
    Deliver(Notice),
    /// To give up on what waits up to that number: so many notices.
    GiveUp { until: i64, count: i64 },
}

impl Tries {
    fn failed(&mut self, now: Timestamp) {
        *self = Self { failures: self.failures.saturating_add(1), last: Some(now) };
    }

    /// When it may be tried again.
    fn again_at(self, is_ending: bool) -> Option<Timestamp> {
        let repeat = if is_ending { REPEAT_AT_THE_END } else { REPEAT };
        self.last.map(|last| later(last, repeat.after(self.failures.saturating_sub(1))))
    }
}

/// What is to be done about what is noted.
fn due(notices: &Notices, delivered: i64, tries: Tries, is_ending: bool, now: Timestamp) -> Due {
    let Some(first) = notices.waiting(delivered).next() else { return Due::Nothing };
    let missing = first.number - delivered.max(notices.delivered) - 1;
    // There were more than are kept.
    if missing > 0 {
        return Due::GiveUp { until: first.number - 1, count: missing };
    }
    // Each gets an attempt: it may be old because the one before it was never taken, or because nobody led.
    if tries.failures > 0 && now.duration_since(first.time) > TELL_WITHIN {
        return Due::GiveUp { until: first.number, count: 1 };
    }
    match tries.again_at(is_ending) {
        Some(at) if at > now => Due::At(at),
        _ => Due::Deliver(first.clone()),
    }
}

impl Courier {
    pub(super) fn new(context: Context, delivery: Delivery, object: &NodeMaintenance) -> Self {
        Self {
            context,
            delivery,
            name: object.name().to_owned(),
            uid: object.uid(),
            delivered: 0,
            marked: 0,
            marked_over: None,
            tries: Tries::default(),
            mark_tries: Tries::default(),
            last_seen: None,
        }
    }

    /// Tells until the object is gone or this replica stops. `wake` tells of changes.
    pub(super) async fn run(mut self, wake: Arc<Notify>, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            let Some(object) = self.look() else { return self.leave_off() };
            let until = self.proceed(&object, &mut stopping).await;
            let (clock, due_now) = (self.context.clock, until.is_some_and(|at| at <= self.context.clock.now()));
            if due_now {
                continue;
            }
            tokio::select! {
                biased;
                () = clock.sleep_until(until.unwrap_or(Timestamp::MAX)), if until.is_some() => {}
                () = wake.notified() => {}
                _ = stopping.changed() => {}
            }
        }
    }

    fn look(&mut self) -> Option<Arc<NodeMaintenance>> {
        let object = self.context.cluster.snapshot().maintenance(&self.name).cloned();
        let object = object.filter(|object| object.uid() == self.uid)?;
        let marked = notices(&object).delivered;
        if marked < self.marked && object.metadata.resource_version != self.marked_over {
            // Somebody has replaced the status: what is noted now is counted anew.
            (self.marked, self.delivered) = (marked, marked);
            self.tries = Tries::default();
        }
        self.marked = self.marked.max(marked);
        self.delivered = self.delivered.max(marked);
        self.last_seen = Some(object.clone());
        Some(object)
    }

    /// Does what is due; returns when to look again, if nothing changes before.
    async fn proceed(&mut self, object: &NodeMaintenance, stopping: &mut watch::Receiver<bool>) -> Option<Timestamp> {
        let now = self.context.clock.now();
        let is_ending = object.is_stopping();
        if self.marked < self.delivered {
            return match self.mark_tries.again_at(is_ending).filter(|at| *at > now) {
                Some(at) => Some(at),
                None => self.mark(object).await,
            };
        }
        match due(&notices(object), self.delivered, self.tries, is_ending, now) {
            Due::Nothing => None,
            Due::At(at) => Some(at),
            Due::Deliver(notice) => self.attempt(object, &notice, stopping).await,
            Due::GiveUp { until, count } => {
                self.gave_up(count, "it could not be delivered for too long");
                self.done_with(until);
                Some(now)
            }
        }
    }

    async fn attempt(
        &mut self,
        object: &NodeMaintenance,
        notice: &Notice,
        stopping: &mut watch::Receiver<bool>,
    ) -> Option<Timestamp> {
        let call_back = CallBack::of(object, notice);
        let (id, event) = (call_back.id.clone(), notice.event.as_str());
        let attempt = async {
            let answered = timeout(ANSWER_WITHIN, self.delivery.deliver(call_back)).await;
            answered.unwrap_or(Err(Undelivered::TimedOut(ANSWER_WITHIN.as_secs())))
        };
        let stops = async {
            // A sender that is gone stops everything that listens.
            drop(stopping.wait_for(|stop| *stop).await);
            tokio::time::sleep(LAST_ANSWER_WITHIN).await;
        };
        let result = tokio::select! {
            biased;
            result = attempt => result,
            () = stops => return None,
        };
        match result {
            Ok(()) => {
                tracing::info!(maintenance = self.name, event, id, "told");
                self.count(CallBackOutcome::Delivered, 1);
                self.done_with(notice.number);
                return match self.look() {
                    Some(object) => self.mark(&object).await,
                    None => Some(self.context.clock.now()),
                };
            }
            Err(error) => {
                tracing::warn!(maintenance = self.name, event, id, %error, "a call-back was not delivered; it is repeated");
                self.count(CallBackOutcome::Failed, 1);
                self.tries.failed(self.context.clock.now());
            }
        }
        Some(self.context.clock.now())
    }

    fn done_with(&mut self, number: i64) {
        self.delivered = number;
        self.tries = Tries::default();
    }

    /// Marks on the object what is done with.
    async fn mark(&mut self, object: &NodeMaintenance) -> Option<Timestamp> {
        match requests::mark_delivered(self.context.cluster.client(), object, self.delivered).await {
            Ok(()) => {
                self.marked = self.delivered;
                self.marked_over.clone_from(&object.metadata.resource_version);
                self.mark_tries = Tries::default();
                return Some(self.context.clock.now());
            }
            // The watch brings what is there now.
            Err(WriteError::Changed(_)) => {}
            Err(error) => tracing::warn!(maintenance = self.name, %error, "what was told could not be marked yet"),
        }
        self.mark_tries.failed(self.context.clock.now());
        self.mark_tries.again_at(true)
    }

    /// The object has gone: what still waits cannot be told any more.
    fn leave_off(&self) {
        let Some(object) = &self.last_seen else { return };
        let notices = notices(object);
        let last = notices.last.last().map_or(0, |notice| notice.number);
        if last > self.delivered {
            self.gave_up(last - self.delivered, "its object has gone");
        }
    }

    fn gave_up(&self, count: i64, why: &str) {
        tracing::error!(maintenance = self.name, count, why, "call-backs were given up");
        self.count(CallBackOutcome::GivenUp, u64::try_from(count).unwrap_or(0));
    }

    fn count(&self, outcome: CallBackOutcome, count: u64) {
        self.context.cluster.metrics().call_backs.get_or_create(&CallBackLabels { outcome }).inc_by(count);
    }
}

fn notices(object: &NodeMaintenance) -> Notices {
    object.status.as_ref().and_then(|status| status.notices.clone()).unwrap_or_default()
}
