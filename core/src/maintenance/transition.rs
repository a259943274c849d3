//! What has happened to a maintenance, from what its status said before and says now: pure. Events and notices tell it.

use jiff::Timestamp;

use super::{NodeMaintenanceStatus, Phase};
use crate::{
    clock::to_the_second,
    model::{NoticeEvent, condition},
};

/// Something that has happened to a maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What.
    pub to: Reached,
    /// Why, by its name in the vocabulary.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// What a maintenance can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Its node goes out of service.
    Accepted,
    /// Nothing is left that had to leave.
    Drained,
    /// It was not accepted.
    Refused,
    /// Its time is over.
    TimedOut,
    /// A workload waits for a change that only somebody can make.
    Stuck,
    /// None does any more.
    NoLongerStuck,
}

impl Reached {
    /// As a notice tells it, if it is worth one.
    #[must_use]
    pub fn notice(self) -> Option<NoticeEvent> {
        match self {
            Self::Accepted => Some(NoticeEvent::Accepted),
            Self::Drained => Some(NoticeEvent::Drained),
            Self::Refused | Self::TimedOut => Some(NoticeEvent::Failed),
            Self::Stuck => Some(NoticeEvent::Stuck),
            Self::NoLongerStuck => None,
        }
    }
}

/// What has happened between two statuses, in the order in which it is told.
#[must_use]
pub fn between(old: Option<&NodeMaintenanceStatus>, new: &NodeMaintenanceStatus) -> Vec<Transition> {
    let nothing = NodeMaintenanceStatus::default();
    let old = old.unwrap_or(&nothing);
    let is = |status: &NodeMaintenanceStatus, type_, wanted| said(status, type_).is_some_and(|(is, ..)| is == wanted);
    let becomes = |type_, wanted| is(new, type_, wanted) && !is(old, type_, wanted);
    // A refusal is for one generation of the spec.
    let refused_anew = is(new, condition::ACCEPTED, false) && old.observed_generation != new.observed_generation;
    let failed = new.phase == Some(Phase::Failed) && old.phase != Some(Phase::Failed);
    let checks = [
        (becomes(condition::ACCEPTED, true), Reached::Accepted, condition::ACCEPTED),
        (becomes(condition::ACCEPTED, false) || refused_anew, Reached::Refused, condition::ACCEPTED),
        (becomes(condition::STUCK, true), Reached::Stuck, condition::STUCK),
        (is(old, condition::STUCK, true) && becomes(condition::STUCK, false), Reached::NoLongerStuck, condition::STUCK),
        (becomes(condition::DRAINED, true), Reached::Drained, condition::DRAINED),
        (failed && is(new, condition::ACCEPTED, true), Reached::TimedOut, condition::DRAINING),
    ];
    let happened = checks.into_iter().filter(|(happened, ..)| *happened);
    let transitions = happened.filter_map(|(_, to, type_)| {
        let (_, reason, message) = said(new, type_)?;
        Some(Transition { to, reason: reason.to_owned(), message: message.to_owned() })
    });
    transitions.collect()
}

/// Notes in a status, for those who are to be told, what has happened since the old one.
pub fn note(old: Option<&NodeMaintenanceStatus>, new: &mut NodeMaintenanceStatus, now: Timestamp) {
    for Transition { to, reason, message } in between(old, new) {
        if let Some(event) = to.notice() {
            new.notices.get_or_insert_default().note(event, &reason, &message, to_the_second(now));
        }
    }
}

/// Whether a condition is true, its reason and its message; `None` if it is not said.
fn said<'a>(status: &'a NodeMaintenanceStatus, type_: &str) -> Option<(bool, &'a str, &'a str)> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((condition.status == "True", &condition.reason, &condition.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::{DrainPhase, Progress, WorkloadProgress, WorkloadState},
        maintenance::{NodeMaintenance, status},
        model::{
            ObjectKey,
            testing::{at, maintenance},
        },
        plan::Refused,
        plan::{Block, BlockReason, Workload, WorkloadKind},
    };

    fn blocked() -> Progress {
        let workload = Workload { kind: WorkloadKind::Pod, pod: ObjectKey::new("shop", "web"), uid: "web".into() };
        let block = Block::new(BlockReason::UnmanagedPod, "nobody starts it again");
        let state = WorkloadState::Blocked { block, since: at(0) };
        Progress { workloads: vec![WorkloadProgress { workload, state }], had_to_leave: 1 }
    }

    /// The object with the status that follows, and what had happened by then.
    fn proceed(object: &NodeMaintenance, drain: Option<(&DrainPhase, &Progress)>) -> (NodeMaintenance, Vec<Reached>) {
        let known = status::Known { drain, ..Default::default() };
        let status = status::of_accepted(object, &known, at(9));
        let happened = between(object.status.as_ref(), &status).into_iter().map(|transition| transition.to).collect();
        (NodeMaintenance { status: Some(status), ..object.clone() }, happened)
    }

    #[test]
    fn each_thing_happens_once_and_again_only_after_it_was_undone() {
        let object = maintenance("m", "node02");
        let (accepted, happened) = proceed(&object, None);
        assert_eq!(happened, [Reached::Accepted]);
        let (stuck, happened) = proceed(&accepted, Some((&DrainPhase::Draining, &blocked())));
        assert_eq!(happened, [Reached::Stuck]);
        assert_eq!(proceed(&stuck, Some((&DrainPhase::Draining, &blocked()))).1, []);
        // Another leader knows nothing at first.
        assert_eq!(proceed(&stuck, None).1, []);
        let (late, happened) = proceed(&stuck, Some((&DrainPhase::TimedOut, &blocked())));
        assert_eq!(happened, [Reached::TimedOut]);
        let (drained, happened) = proceed(&late, Some((&DrainPhase::Drained, &Progress::default())));
        assert_eq!(happened, [Reached::NoLongerStuck, Reached::Drained]);
        let (stuck, happened) = proceed(&drained, Some((&DrainPhase::Draining, &blocked())));
        assert_eq!(happened, [Reached::Stuck]);
        assert_eq!(
            proceed(&stuck, Some((&DrainPhase::Drained, &Progress::default()))).1,
            [Reached::NoLongerStuck, Reached::Drained]
        );
    }

    #[test]
    fn a_refusal_is_told_once_for_each_generation_of_the_spec() {
        let mut object = maintenance("m", "node02");
        let refused =
            Refused { reason: "NodeNotFound", message: "node node02 does not exist: check the name".to_owned() };
        let refuse = |object: &mut NodeMaintenance| {
            let mut status = status::of_refused(object, &refused, at(1));
            note(object.status.as_ref(), &mut status, at(1));
            object.status = Some(status);
            let notices = object.status.as_ref().and_then(|status| status.notices.clone()).unwrap_or_default();
            notices.last.iter().map(|notice| (notice.number, notice.event, notice.reason.clone())).collect::<Vec<_>>()
        };
        let told = |number| (number, NoticeEvent::Failed, "NodeNotFound".to_owned());
        assert_eq!(refuse(&mut object), [told(1)]);
        assert_eq!(refuse(&mut object), [told(1)], "nothing has changed");
        object.metadata.generation = Some(2);
        assert_eq!(refuse(&mut object), [told(1), told(2)]);
    }
}
