//! Tells people how a maintenance is doing: the status, Events and metrics.

use jiff::Timestamp;

use super::{
    news::News,
    refusal::write_refusal,
    requests::{self, WriteError, has_finalizer},
    stop::has_ended,
    worker::Worker,
};
use crate::{
    cluster::Snapshot,
    maintenance::{
        intent::to_restore,
        status::{self, Known},
        transition::{self, Reached, Transition},
    },
    model::{NodeMaintenance, NodeMaintenanceStatus},
    plan::Refused,
};

impl Worker {
    /// Writes the status if it says something new and it is time to; returns when it has to be written else.
    pub(super) async fn write_status(&mut self) -> Option<Timestamp> {
        let now = self.acting.now();
        let (snapshot, object) = self.look();
        let object = object?;
        if !has_finalizer(&object) && self.trouble().is_none() {
            // Nothing is promised before the object is held.
            return None;
        }
        let wanted = self.wanted_status(&object, &snapshot, now);
        let Some(patch) = status::patch(object.status.as_ref(), &wanted, now) else {
            self.pace.is_up_to_date();
            return None;
        };
        if self.not_kept.as_ref().is_some_and(|not_kept| status::ask_the_same(not_kept, &patch)) {
            self.pace.is_up_to_date();
            return None;
        }
        let shown = object.status.as_ref();
        let mere_progress = shown.is_some_and(|shown| status::differs_in_progress_only(shown, &wanted));
        if let Some(due) = self.pace.begin(mere_progress, now) {
            return Some(due);
        }
        let from = self.cached_object_version();
        match requests::write_status(self.acting.context.cluster.client(), &object, patch).await {
            Ok(written) => {
                self.pace.wrote();
                self.tell(&object, &wanted);
                self.look_at_what_was_kept(&written, &wanted, now);
                self.wrote_object(&from, written);
                None
            }
            Err(WriteError::Changed(_)) => self.pace.again_at(),
            Err(error) => {
                tracing::warn!(maintenance = self.acting.actor.name, %error, "the status could not be written");
                self.pace.failed(now)
            }
        }
    }

    /// What a definition that is older than this program does not keep is not written again and again.
    fn look_at_what_was_kept(&mut self, written: &NodeMaintenance, wanted: &NodeMaintenanceStatus, now: Timestamp) {
        let not_kept = status::patch(written.status.as_ref(), wanted, now);
        if self.not_kept.is_none()
            && let Some(not_kept) = &not_kept
        {
            tracing::warn!(
                maintenance = written.name(),
                %not_kept,
                "the definition in the cluster is not Careen's: parts of the status are not kept; apply deploy/crd.yaml"
            );
        }
        self.not_kept = not_kept;
    }

    /// What its status should say now, with what that is news of.
    pub(super) fn wanted_status(
        &self,
        object: &NodeMaintenance,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> NodeMaintenanceStatus {
        // Not simply the one on the node: whoever may patch nodes/status can write annotations.
        let record = snapshot.node(&self.accepted.node).and_then(|node| to_restore(object, node));
        let record = record.or_else(|| object.status.as_ref().and_then(|status| status.record.clone()));
        let known = Known {
            record: record.as_ref(),
            drain: self.acting.last.as_ref().map(|(phase, progress)| (phase, progress)),
            drained_at: self.drained_at,
            trouble: self.trouble(),
            lease_errors: self.acting.lease_errors,
            report: Some(self.departures.report()),
            total_pods: i32::try_from(snapshot.pods_on(&self.accepted.node).count()).unwrap_or(i32::MAX),
            stopping: object.is_stopping(),
        };
        let mut wanted = status::of_accepted(object, &known, now);
        match (has_ended(object), known.stopping) {
            // Nothing comes after the end.
            (true, _) => {}
            (false, false) => self.acting.context.note(object.status.as_ref(), &mut wanted),
            // What was reached before, and not said yet, is told by its own reason.
            (false, true) => {
                let mut reached = status::of_accepted(object, &Known { stopping: false, ..known }, now);
                self.acting.context.note(object.status.as_ref(), &mut reached);
                wanted.notices = reached.notices;
            }
        }
        wanted
    }

    /// Takes the acceptance back; whether that is written.
    pub(super) async fn refuse(&mut self, object: &NodeMaintenance, refused: &Refused) -> bool {
        let written = write_refusal(&self.acting.context, object, refused.clone()).await;
        written.map_err(|error| self.acting.failed(error.into())).is_ok()
    }

    /// Tells of what has changed in the status.
    pub(super) fn tell(&self, object: &NodeMaintenance, new: &NodeMaintenanceStatus) {
        let old = object.status.as_ref();
        for Transition { to, message, .. } in transition::between(old, new) {
            let news = match to {
                Reached::Drained => News::SucceedMaintenance,
                Reached::Refused | Reached::TimedOut => News::FailedMaintenance(message),
                Reached::Stuck => News::Stuck(message),
                Reached::NoLongerStuck => News::NoLongerStuck,
                // Told when the object was taken hold of.
                Reached::Accepted => continue,
            };
            self.acting.context.publisher.of_maintenance(object, news);
        }
        if let (None, Some(started), Some(drained)) =
            (old.and_then(|old| old.drained_at), new.started_at, new.drained_at)
        {
            let seconds = drained.duration_since(started).as_secs_f64();
            self.acting.context.cluster.metrics().drain_duration.observe(seconds);
        }
    }
}
