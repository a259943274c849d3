use serde_json::json;

use super::*;
use crate::{
    drain::{WorkloadProgress, WorkloadState},
    model::{
        ObjectKey, TroubleReason,
        testing::{at, maintenance, node},
    },
    names::DRAIN_TAINT_KEY,
    plan::{Block, BlockReason, SkipReason, Workload, WorkloadKind},
};

fn fresh() -> NodeMaintenance {
    maintenance("m", "node02")
}

fn workload(name: &str, state: WorkloadState) -> WorkloadProgress {
    let pod = ObjectKey::new("shop", name);
    WorkloadProgress {
        workload: Workload { kind: WorkloadKind::Pod, pod, uid: format!("uid-{name}").as_str().into() },
        state,
    }
}

fn blocked(name: &str, reason: BlockReason, since: i64) -> WorkloadProgress {
    let block = Block::new(reason, format!("{name} is in the way"));
    workload(name, WorkloadState::Blocked { block, since: at(since) })
}

fn progress(had_to_leave: usize, workloads: Vec<WorkloadProgress>) -> Progress {
    Progress { workloads, had_to_leave }
}

fn leaving(had_to_leave: usize, left: usize) -> Progress {
    progress(had_to_leave, (0..left).map(|number| workload(&format!("web-{number}"), WorkloadState::Next)).collect())
}

/// The status while the drain is there.
fn at_phase(object: &NodeMaintenance, phase: &DrainPhase, progress: &Progress, second: i64) -> NodeMaintenanceStatus {
    let drained_at = (*phase == DrainPhase::Drained).then(|| at(second));
    let known = Known { drain: Some((phase, progress)), drained_at, total_pods: 7, ..Known::default() };
    of_accepted(object, &known, at(second))
}

/// The object with that status.
fn then(object: &NodeMaintenance, status: NodeMaintenanceStatus) -> NodeMaintenance {
    NodeMaintenance { status: Some(status), ..object.clone() }
}

/// `Accepted=True(Accepted) …`, by type.
fn conditions(status: &NodeMaintenanceStatus) -> String {
    let one = |condition: &Condition| format!("{}={}({})", condition.type_, condition.status, condition.reason);
    status.conditions.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn condition<'a>(status: &'a NodeMaintenanceStatus, type_: &str) -> &'a Condition {
    status.conditions.iter().find(|condition| condition.type_ == type_).unwrap()
}

#[test]
fn each_phase_of_the_drain_has_its_phase_and_its_conditions() {
    let waits = |reason| DrainPhase::Waiting(Block::new(reason, "node node02 is not ready"));
    let cases = [
        (
            DrainPhase::Draining,
            leaving(4, 1),
            Phase::Running,
            "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=False(NotDrained) Draining=True(Draining) Stuck=False(NotStuck)",
        ),
        (
            waits(BlockReason::NodeUnreachable),
            leaving(4, 1),
            Phase::Running,
            "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=False(NotDrained) Draining=True(NodeUnreachable) Stuck=False(NotStuck)",
        ),
        (
            waits(BlockReason::MigrationIncoming),
            leaving(0, 0),
            Phase::Running,
            "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=False(NotDrained) Draining=True(MigrationIncoming) Stuck=False(NotStuck)",
        ),
        (
            DrainPhase::Drained,
            leaving(4, 0),
            Phase::Succeeded,
            "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=True(Drained) Draining=False(Drained) Stuck=False(NotStuck)",
        ),
        (
            DrainPhase::TimedOut,
            progress(4, vec![blocked("db", BlockReason::UnmanagedPod, 3)]),
            Phase::Failed,
            "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=False(NotDrained) Draining=False(TimedOut) Stuck=True(UnmanagedPod)",
        ),
        (
            DrainPhase::NodeGone,
            leaving(0, 0),
            Phase::Running,
            "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=False(NotDrained) Draining=False(NodeGone) Stuck=False(NotStuck)",
        ),
    ];
    for (phase, progress, expected, all) in cases {
        let status = at_phase(&fresh(), &phase, &progress, 5);
        assert_eq!(status.phase, Some(expected), "{phase:?}");
        assert_eq!(conditions(&status), all, "{phase:?}");
        assert_eq!((status.started_at, status.observed_generation), (Some(at(5)), Some(1)));
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
    }
}

#[test]
fn before_anything_is_known_it_is_accepted_and_not_started() {
    let status = of_accepted(&fresh(), &Known::default(), at(5));
    assert_eq!(
        conditions(&status),
        "Accepted=True(Accepted) Degraded=False(AsExpected) Drained=False(NotDrained) Draining=False(NotStarted) Stuck=False(NotStuck)"
    );
    assert_eq!((status.phase, status.drain_progress, status.last_error), (Some(Phase::Running), None, None));
}

#[test]
fn a_refusal_says_why_and_nothing_else() {
    let refused = Refused { reason: "NodeNotFound", message: "node node02 does not exist".to_owned() };
    let status = of_refused(&fresh(), &refused, at(5));
    assert_eq!((status.phase, status.last_error.as_deref()), (Some(Phase::Failed), Some("node node02 does not exist")));
    assert_eq!(conditions(&status), "Accepted=False(NodeNotFound)");
    // A changed spec is considered again.
    let mut object = then(&fresh(), status);
    object.metadata.generation = Some(2);
    let status = at_phase(&object, &DrainPhase::Draining, &leaving(1, 1), 9);
    assert_eq!((status.phase, status.last_error.clone(), status.started_at), (Some(Phase::Running), None, Some(at(9))));
    assert_eq!(condition(&status, condition::ACCEPTED).last_transition_time, Time(at(9)));
}

#[test]
fn the_time_of_a_condition_changes_with_its_status_only() {
    let first = at_phase(&fresh(), &DrainPhase::Draining, &leaving(4, 4), 5);
    let object = then(&fresh(), first);
    let second = at_phase(&object, &DrainPhase::Draining, &leaving(4, 2), 10);
    let draining = condition(&second, condition::DRAINING);
    assert_eq!(draining.message, "2 workloads have still to leave, 0 of them are blocked");
    assert_eq!(draining.last_transition_time, Time(at(5)));
    let third = at_phase(&then(&object, second), &DrainPhase::Drained, &leaving(4, 0), 15);
    let since = |type_| condition(&third, type_).last_transition_time.clone();
    assert_eq!((since(condition::DRAINING), since(condition::DRAINED)), (Time(at(15)), Time(at(15))));
    assert_eq!((since(condition::ACCEPTED), since(condition::STUCK)), (Time(at(5)), Time(at(5))));
}

#[test]
fn what_blocks_is_listed_stuck_first_and_bounded_and_the_rest_is_counted() {
    let mut workloads: Vec<_> =
        (0..30).map(|n| blocked(&format!("web-{n:02}"), BlockReason::BudgetExhausted, 30 - n)).collect();
    workloads.push(blocked("db", BlockReason::SeveralBudgets, 40));
    workloads.push(blocked("cache", BlockReason::UnmanagedPod, 20));
    workloads.push(workload("agent", WorkloadState::Skipped(SkipReason::DaemonSet)));
    workloads.push(workload("going", WorkloadState::Terminating { deadline: at(99) }));
    let status = at_phase(&fresh(), &DrainPhase::Draining, &progress(40, workloads), 50);
    assert_eq!((status.blocked, status.blocking.len()), (Some(32), 20));
    let first: Vec<_> = status.blocking.iter().take(4).map(|entry| (entry.name.as_str(), entry.class)).collect();
    let expected = [
        ("cache", BlockClass::Stuck),
        ("db", BlockClass::Stuck),
        ("web-29", BlockClass::Waits),
        ("web-28", BlockClass::Waits),
    ];
    assert_eq!(first, expected, "then those that have waited longest");
    assert_eq!((status.pending_pods.len(), status.eviction_pods, status.total_pods), (33, Some(40), Some(7)));
    assert_eq!(status.drain_progress, Some(17));
    let stuck = condition(&status, condition::STUCK);
    assert_eq!((stuck.status.as_str(), stuck.reason.as_str()), ("True", "UnmanagedPod"));
    assert_eq!(stuck.message, "Pod shop/cache: cache is in the way (and 1 more workloads)");
    // What only waits is no reason to call somebody.
    let status =
        at_phase(&fresh(), &DrainPhase::Draining, &progress(1, vec![blocked("a", BlockReason::BudgetShared, 1)]), 50);
    assert_eq!(condition(&status, condition::STUCK).status, "False");
}

#[test]
fn a_vm_is_called_by_its_own_name_and_pods_by_theirs() {
    let mut vm = blocked("virt-launcher-db-x", BlockReason::NotLiveMigratable, 3);
    vm.workload.kind = WorkloadKind::VirtualMachineInstance("db".to_owned());
    let status = at_phase(&fresh(), &DrainPhase::Draining, &progress(1, vec![vm]), 5);
    assert_eq!((status.blocking[0].kind.as_str(), status.blocking[0].name.as_str()), ("VirtualMachineInstance", "db"));
    assert_eq!(status.pending_pods, ["virt-launcher-db-x"]);
}

#[test]
fn no_more_than_a_hundred_pods_are_named() {
    let status = at_phase(&fresh(), &DrainPhase::Draining, &leaving(150, 150), 5);
    assert_eq!((status.pending_pods.len(), status.drain_progress), (100, Some(0)));
}

#[test]
fn an_error_is_shown_while_it_lasts() {
    let trouble = Trouble::new(TroubleReason::NodeLeaseHeld, "node node02 is held by fence-agents");
    let known = Known { trouble: Some(&trouble), lease_errors: 2, ..Known::default() };
    let status = of_accepted(&fresh(), &known, at(5));
    assert_eq!(status.last_error.as_deref(), Some("node node02 is held by fence-agents"));
    assert_eq!(status.error_on_lease_count, Some(2));
    let degraded = condition(&status, condition::DEGRADED);
    assert_eq!((degraded.status.as_str(), degraded.reason.as_str()), ("True", "NodeLeaseHeld"));

    let object = then(&fresh(), status);
    let status = at_phase(&object, &DrainPhase::Draining, &leaving(1, 1), 9);
    assert_eq!(status.last_error, None);
    assert_eq!(condition(&status, condition::DEGRADED).status, "False");
    let patch = patch(object.status.as_ref(), &status, at(9)).unwrap();
    assert_eq!(patch["lastError"], Value::Null);
    assert!(patch.as_object().unwrap().contains_key("lastError"), "what went away is named: {patch}");
}

#[test]
fn a_time_out_is_an_error_until_it_is_tried_again() {
    let status = at_phase(&fresh(), &DrainPhase::TimedOut, &leaving(2, 1), 5);
    assert!(status.last_error.as_deref().unwrap().starts_with("spec.drain.timeout is over and 1 workloads are left"));
    let again = at_phase(&then(&fresh(), status), &DrainPhase::Draining, &leaving(2, 1), 9);
    assert_eq!((again.phase, again.last_error), (Some(Phase::Running), None));
}

#[test]
fn the_time_when_it_was_first_drained_stays() {
    let drained = at_phase(&fresh(), &DrainPhase::Drained, &leaving(1, 0), 5);
    assert_eq!(drained.drained_at, Some(at(5)));
    let arrived = at_phase(&then(&fresh(), drained), &DrainPhase::Draining, &leaving(2, 1), 9);
    assert_eq!((arrived.phase, arrived.drained_at), (Some(Phase::Running), Some(at(5))));
    let again = at_phase(&then(&fresh(), arrived), &DrainPhase::Drained, &leaving(2, 0), 12);
    assert_eq!((again.phase, again.drained_at), (Some(Phase::Succeeded), Some(at(5))));
}

#[test]
fn another_leader_takes_nothing_back_that_was_said() {
    let drained = at_phase(&fresh(), &DrainPhase::Drained, &leaving(3, 0), 5);
    let object = then(&fresh(), drained.clone());
    let unreachable = DrainPhase::Waiting(Block::new(BlockReason::NodeUnreachable, "node node02 is not ready"));
    let agents = progress(0, vec![workload("agent", WorkloadState::Skipped(SkipReason::DaemonSet))]);
    let begun = [None, Some((&DrainPhase::Draining, &agents)), Some((&unreachable, &agents))];
    for drain in begun {
        let known = Known { drain, total_pods: 1, ..Known::default() };
        let status = of_accepted(&object, &known, at(60));
        assert_eq!(patch(object.status.as_ref(), &status, at(60)), None, "{drain:?}");
    }
    // Only what has to leave says otherwise.
    let status = at_phase(&object, &DrainPhase::Draining, &leaving(1, 1), 60);
    assert_eq!((status.phase, condition(&status, condition::DRAINED).status.as_str()), (Some(Phase::Running), "False"));

    // In mid-drain, stuck, and timed out.
    let stuck = progress(3, vec![blocked("db", BlockReason::UnmanagedPod, 3)]);
    for phase in [DrainPhase::Draining, DrainPhase::TimedOut] {
        let object = then(&fresh(), at_phase(&fresh(), &phase, &stuck, 5));
        let status = of_accepted(&object, &Known::default(), at(60));
        assert_eq!(patch(object.status.as_ref(), &status, at(60)), None, "{phase:?}");
    }
}

#[test]
fn progress_does_not_fall_back_when_another_leader_takes_over() {
    let object = then(&fresh(), at_phase(&fresh(), &DrainPhase::Draining, &leaving(10, 2), 5));
    assert_eq!(object.status.as_ref().unwrap().drain_progress, Some(80));
    // It has seen none of those that had left before.
    let status = at_phase(&object, &DrainPhase::Draining, &leaving(2, 2), 60);
    assert_eq!((status.drain_progress, status.eviction_pods), (Some(80), Some(10)));
    let status = at_phase(&object, &DrainPhase::Draining, &leaving(2, 1), 60);
    assert_eq!((status.drain_progress, status.total_pods), (Some(90), Some(7)));
}

#[test]
fn while_it_is_stopped_it_says_so() {
    let object = then(&fresh(), at_phase(&fresh(), &DrainPhase::Drained, &leaving(1, 0), 5));
    let known = Known { stopping: true, ..Known::default() };
    let status = of_accepted(&object, &known, at(60));
    let draining = condition(&status, condition::DRAINING);
    assert_eq!((draining.status.as_str(), draining.reason.as_str()), ("False", "Stopping"));
    assert_eq!(status.phase, Some(Phase::Succeeded));
}

#[test]
fn a_status_that_says_the_same_is_not_written() {
    let status = at_phase(&fresh(), &DrainPhase::Draining, &leaving(4, 2), 5);
    let written = NodeMaintenanceStatus { last_update: Some(at(5)), ..status };
    let object = then(&fresh(), written.clone());
    let same = at_phase(&object, &DrainPhase::Draining, &leaving(4, 2), 60);
    assert_eq!(patch(Some(&written), &same, at(60)), None);
    let other = at_phase(&object, &DrainPhase::Draining, &leaving(4, 1), 60);
    let patch = patch(Some(&written), &other, at(60)).unwrap();
    assert_eq!(patch["lastUpdate"], json!(at(60).to_string()));
    let changed: Vec<_> = patch.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(changed, ["conditions", "drainProgress", "lastUpdate", "pendingPods"], "and nothing that stayed");
}

#[test]
fn what_went_away_inside_a_record_is_named_too() {
    let object = fresh();
    let tainted = Record::begin(&object.actor(), &node("node02"), Some(DRAIN_TAINT_KEY), at(0));
    let old = Record { evacuations: vec!["vmi".into()], ..tainted };
    let new = Record { node_uid: "another".into(), added_taint: None, evacuations: Vec::new(), ..old.clone() };
    let with = |record: &Record| of_accepted(&object, &Known { record: Some(record), ..Known::default() }, at(5));
    let patch = patch(Some(&with(&old)), &with(&new), at(6)).unwrap();
    assert_eq!(patch["record"], json!({ "nodeUid": "another", "addedTaint": null, "evacuations": null }));
}
