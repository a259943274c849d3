//! When a maintenance's drain began.

use jiff::Timestamp;

use crate::{
    clock::later,
    model::{DrainOptions, NodeMaintenance, Record, condition},
};

/// When the drain began, for what its options count from then: not before the node was taken out of service; on a node
/// that had been drained, when something arrived; and where it goes on beyond its time, when it was tried again.
pub(crate) fn drain_began(
    object: &NodeMaintenance,
    options: &DrainOptions,
    record: &Record,
    now: Timestamp,
) -> Timestamp {
    let status = object.status.as_ref();
    let began = if status.is_none_or(|status| status.drained_at.is_none()) {
        status.and_then(|status| status.started_at).unwrap_or(record.since)
    } else {
        let drained = object.condition(condition::DRAINED).filter(|condition| condition.status == "False");
        drained.map_or(now, |condition| condition.last_transition_time.0)
    };
    let began = began.max(record.since);
    let drains = object.condition(condition::DRAINING).filter(|condition| condition.status == "True");
    let goes_on = drains.map(|condition| condition.last_transition_time.0);
    let over = options.timeout.map(|timeout| later(began, timeout.get()));
    goes_on.filter(|goes_on| over.is_some_and(|over| over <= *goes_on)).unwrap_or(began)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drain::{DrainPhase, Progress, WorkloadProgress, WorkloadState},
        maintenance::{NodeMaintenanceStatus, status},
        model::{
            DrainSpec, ObjectKey,
            testing::{at, maintenance, node},
        },
        plan::{Workload, WorkloadKind},
    };

    #[test]
    fn options_count_their_time_from_when_there_was_something_to_drain() {
        let options = DrainSpec::default().for_maintenance().unwrap();
        let mut object = maintenance("m", "node02");
        let record = Record { since: at(5), ..Record::begin(&object.actor(), &node("node02"), None, at(5)) };
        assert_eq!(drain_began(&object, &options, &record, at(100)), at(5), "nothing is said yet");
        object.status = Some(NodeMaintenanceStatus { started_at: Some(at(0)), ..Default::default() });
        assert_eq!(
            drain_began(&object, &options, &record, at(100)),
            at(5),
            "the node Lease was held by another at first"
        );

        let known = status::Known {
            drain: Some((&DrainPhase::Drained, &Progress::default())),
            drained_at: Some(at(30)),
            ..Default::default()
        };
        object.status = Some(status::of_accepted(&object, &known, at(30)));
        assert_eq!(
            drain_began(&object, &options, &record, at(100)),
            at(100),
            "it was drained, and nothing has arrived that is known of"
        );
        let workload = Workload { kind: WorkloadKind::Pod, pod: ObjectKey::new("shop", "late"), uid: "late".into() };
        let arrived = WorkloadProgress { workload, state: WorkloadState::Next };
        let progress = Progress { workloads: vec![arrived], had_to_leave: 1 };
        let known = status::Known { drain: Some((&DrainPhase::Draining, &progress)), ..Default::default() };
        object.status = Some(status::of_accepted(&object, &known, at(70)));
        assert_eq!(drain_began(&object, &options, &record, at(100)), at(70), "something arrived then");
    }

    #[test]
    fn what_goes_on_beyond_its_time_was_tried_again_then() {
        let options = DrainSpec { timeout: Some("1m".into()), ..DrainSpec::default() }.for_maintenance().unwrap();
        let record = Record::begin(&maintenance("m", "node02").actor(), &node("node02"), None, at(0));
        let progress = Progress::default();
        for (draining_since, began) in [(10, 0), (59, 0), (60, 60), (5000, 5000)] {
            let mut object = maintenance("m", "node02");
            let known = status::Known { drain: Some((&DrainPhase::Draining, &progress)), ..Default::default() };
            let status = status::of_accepted(&object, &known, at(draining_since));
            object.status = Some(NodeMaintenanceStatus { started_at: Some(at(0)), ..status });
            assert_eq!(drain_began(&object, &options, &record, at(9000)), at(began), "{draining_since}");
        }
    }
}
