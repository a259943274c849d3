//! Tells people how a maintenance is doing: the status, Events and metrics.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    NodeMaintenance, NodeMaintenanceStatus, Phase,
    accept::Refused,
    intent::to_restore,
    news::News,
    requests::{self, WriteError, has_finalizer},
    status::{self, Known},
    worker::Worker,
};
use crate::drain::Progress;

/// At most one status write in this time for each resource.
const STATUS_PERIOD: Duration = Duration::from_secs(2);
/// Mere progress is gathered for so long: pods end in bursts (110 with a grace of 30 s within two seconds or so), and a
/// write in the middle would keep the news that the last has gone back for two more.
const GATHER: Duration = Duration::from_secs(3);

impl Worker {
    /// Writes the status if it says something new and it is time to; returns when it has to be written else.
    pub(super) async fn write_status(&mut self) -> Option<Timestamp> {
        let now = self.now();
        let (snapshot, object) = self.look();
        let object = object?;
        if !has_finalizer(&object) && self.trouble.is_none() {
            // Nothing is promised before the object is held.
            return None;
        }
        // Not simply the one on the node: whoever may patch nodes/status can write annotations.
        let record = snapshot.node(&self.accepted.node).and_then(|node| to_restore(&object, node));
        let record = record.or_else(|| object.status.as_ref().and_then(|status| status.record.clone()));
        let known = Known {
            record: record.as_ref(),
            drain: self.last.as_ref().map(|(phase, progress)| (phase, progress)),
            drained_at: self.drained_at,
            trouble: self.trouble.as_ref(),
            lease_errors: self.lease_errors,
            total_pods: i32::try_from(snapshot.pods_on(&self.accepted.node).count()).unwrap_or(i32::MAX),
            stopping: object.metadata.deletion_timestamp.is_some(),
        };
        let wanted = status::of_accepted(&object, &known, now);
        let Some(patch) = status::patch(object.status.as_ref(), &wanted, now) else {
            self.unshown_since = None;
            return None;
        };
        let mut due = self.status_due.unwrap_or(now);
        if object.status.as_ref().is_some_and(|shown| status::differs_in_progress_only(shown, &wanted)) {
            due = due.max(*self.unshown_since.get_or_insert(now) + GATHER);
        }
        if due > now {
            return Some(due);
        }
        self.unshown_since = None;
        self.status_due = Some(now + STATUS_PERIOD);
        let from = self.cached_object_version();
        match requests::write_status(self.context.cluster.client(), &object, patch).await {
            Ok(written) => {
                self.status_failures = 0;
                self.tell(&object, &wanted);
                self.wrote_object(&from, written);
                None
            }
            Err(WriteError::Changed(_)) => self.status_due,
            Err(error) => {
                tracing::warn!(maintenance = self.name, %error, "the status could not be written");
                let wait = STATUS_PERIOD.saturating_mul(1 << self.status_failures.min(5));
                self.status_failures = self.status_failures.saturating_add(1);
                self.status_due = Some(now + wait);
                self.status_due
            }
        }
    }

    /// Takes the acceptance back; whether that is written.
    pub(super) async fn refuse(&mut self, object: &NodeMaintenance, refused: &Refused) -> bool {
        let now = self.now();
        let wanted = status::of_refused(object, refused, now);
        let Some(patch) = status::patch(object.status.as_ref(), &wanted, now) else { return true };
        match requests::write_status(self.context.cluster.client(), object, patch).await {
            Ok(_) => {
                self.context.publisher.of_maintenance(object, News::FailedMaintenance(refused.message.clone()));
                true
            }
            Err(error) => {
                self.failed(error.into());
                false
            }
        }
    }

    /// Tells of what has changed in the status.
    fn tell(&self, object: &NodeMaintenance, new: &NodeMaintenanceStatus) {
        let old = object.status.clone().unwrap_or_default();
        let publisher = &self.context.publisher;
        if new.phase == Some(Phase::Succeeded) && old.phase != Some(Phase::Succeeded) {
            publisher.of_maintenance(object, News::SucceedMaintenance);
            if let (None, Some(started), Some(drained)) = (old.drained_at, new.started_at, new.drained_at) {
                let seconds = drained.duration_since(started).as_secs_f64();
                self.context.cluster.metrics().drain_duration.observe(seconds);
            }
        }
        if new.phase == Some(Phase::Failed) && old.phase != Some(Phase::Failed) {
            let why = new.last_error.clone().unwrap_or_else(|| "spec.drain.timeout is over".to_owned());
            publisher.of_maintenance(object, News::FailedMaintenance(why));
        }
        let stuck = |status: &NodeMaintenanceStatus| {
            let condition = status.conditions.iter().find(|condition| condition.type_ == status::condition::STUCK);
            condition.filter(|condition| condition.status == "True").map(|condition| condition.message.clone())
        };
        match (stuck(&old), stuck(new)) {
            (None, Some(what)) => publisher.of_maintenance(object, News::Stuck(what)),
            (Some(_), None) => publisher.of_maintenance(object, News::NoLongerStuck),
            _ => {}
        }
    }

    /// Shows what blocks this maintenance in the metrics; `None`: nothing any more.
    pub(super) fn show_blocked(&self, progress: Option<&Progress>) {
        self.context.blocked.set(self.context.cluster.metrics(), &self.name, progress);
    }
}
