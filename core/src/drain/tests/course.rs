//! The course of a drain as a whole: its order, the node, its time, its end, a restart.

use super::*;
use crate::{
    model::{
        BlockClass, BlockReason, Blocking, Node,
        testing::{budget, launcher, migration, pod, vmi},
        virtual_machine::{EvictionStrategy, MigrationPhase},
    },
    names::CRITICAL_PRIORITY,
};

fn web(name: &str) -> Pod {
    pod(NAMESPACE, name).on(NODE).owned_by("ReplicaSet", "web")
}

fn daemon(name: &str) -> Pod {
    pod(NAMESPACE, name).on(NODE).owned_by("DaemonSet", "log")
}

fn drained() -> Drill {
    let mut drill = Drill::new().with(daemon("log"));
    assert_eq!(drill.does(0.0), ["list"]);
    drill.lists(0.1, vec![daemon("log")]);
    drill.rests(0.1);
    assert_eq!(drill.phase(), "Drained");
    drill
}

#[test]
fn critical_pods_leave_after_the_others_and_our_own_last() {
    let critical = web("dns").priority(CRITICAL_PRIORITY);
    let own = pod("careen", "careen-0").on(NODE).owned_by("ReplicaSet", "careen");
    let mut drill = Drill::new().with_all([web("web-1"), critical, own]);
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    assert_eq!(drill.state("dns"), "Waits OrderedAfterOthers");
    assert_eq!(drill.state("careen-0"), "Waits OrderedAfterOthers");
    drill.answers(0.1, "web-1", Answer::Accepted);
    drill.see(web("web-1").terminating(second(30.0)));
    drill.rests(1.0);
    drill.see_gone("web-1");
    assert_eq!(drill.does(2.0), ["evict dns"]);
    drill.answers(2.1, "dns", Answer::Accepted);
    drill.rests(2.2);
    drill.see_gone("dns");
    assert_eq!(drill.does(3.0), ["evict careen-0 (own)"]);
}

#[test]
fn a_node_that_is_not_ready_is_waited_for() {
    let mut drill = Drill::new().with(node(NODE).not_ready()).with(web("web-1"));
    drill.rests(0.0);
    assert_eq!(drill.phase(), "Waiting NodeUnreachable");
    assert_eq!(drill.state("web-1"), "Waits NodeUnreachable");
    drill.see(node(NODE));
    assert_eq!(drill.does(10.0), ["evict web-1"]);
    drill.see(node(NODE).not_ready());
    drill.answers(10.1, "web-1", Answer::Lost("connection reset".into()));
    drill.rests(20.0);
    drill.see(node(NODE));
    assert_eq!(drill.does(30.0), ["look at web-1"]);
}

#[test]
fn a_node_that_is_not_ready_is_not_drained_while_pods_are_bound_to_it() {
    let mut drill = Drill::new().with(node(NODE).not_ready()).with(daemon("log"));
    drill.rests(0.0);
    assert_eq!(drill.phase(), "Waiting NodeUnreachable");
    let mut drill = Drill::new().with(node(NODE).not_ready());
    assert_eq!(drill.does(0.0), ["list"], "without pods nothing depends on it");
}

#[test]
fn a_drained_node_that_goes_down_for_the_work_on_it_stays_drained() {
    let mut drill = drained();
    drill.see(node(NODE).not_ready());
    drill.rests(100.0);
    assert_eq!(drill.phase(), "Drained");
    assert_eq!(drill.wakes(), None);
}

#[test]
fn a_pod_that_arrives_after_drained_is_drained_as_well() {
    let mut drill = drained();
    drill.see(web("late"));
    assert_eq!(drill.does(100.0), ["evict late"]);
    assert_eq!(drill.phase(), "Draining");
    drill.answers(100.1, "late", Answer::Accepted);
    drill.see_gone("late");
    assert_eq!(drill.does(101.0), ["list"]);
    assert_eq!(drill.phase(), "Draining");
}

#[test]
fn a_node_that_has_gone_ends_it_until_it_comes_back() {
    let mut drill = Drill::new().with(web("web-1"));
    drill.snapshot.take::<Node>(&node_name(NODE));
    drill.rests(0.0);
    assert_eq!(drill.phase(), "NodeGone");
    assert!(drill.last().progress.workloads.is_empty());
    drill.see(node(NODE));
    assert_eq!(drill.does(1.0), ["evict web-1"]);
}

#[test]
fn when_its_time_is_over_nothing_new_starts() {
    let spec = DrainSpec { timeout: Some("1m".into()), ..spec() };
    let stuck = budget(NAMESPACE, "web").selecting("app", "web").needing(2, 2, 3);
    let mut drill = Drill::of(&spec).with(stuck).with_all([web("web-1").label("app", "web"), web("web-2")]);
    assert_eq!(drill.does(0.0), ["evict web-2"]);
    assert_eq!(drill.wakes(), Some(60.0));
    drill.answers(59.9, "web-2", Answer::Lost("connection reset".into()));
    drill.rests(60.0);
    assert_eq!(drill.phase(), "TimedOut");
    drill.see(budget(NAMESPACE, "web").selecting("app", "web").needing(1, 2, 3));
    drill.see(web("web-3"));
    assert_eq!(drill.does(61.0), ["look at web-2"], "asking what became of something starts nothing");
    drill.shows(61.1, "web-2", Seen::Unchanged);
    drill.rests(61.1);
    let longer = DrainSpec { timeout: Some("1h".into()), ..spec };
    drill.takes(62.0, &longer);
    assert_eq!(drill.does(62.0), ["evict web-1", "evict web-2", "evict web-3"]);
}

#[test]
fn other_options_give_what_has_timed_out_the_whole_time_again() {
    let spec = DrainSpec { timeout: Some("1m".into()), ..spec() };
    let stuck = budget(NAMESPACE, "web").selecting_all().needing(2, 2, 3);
    let mut drill = Drill::of(&spec).with(stuck).with(web("web-1"));
    drill.rests(0.0);
    drill.rests(60.0);
    assert_eq!(drill.phase(), "TimedOut");
    drill.takes(100.0, &DrainSpec { delete_after: Some("30s".into()), ..spec.clone() });
    drill.rests(100.0);
    assert_eq!((drill.phase().as_str(), drill.wakes()), ("Draining", Some(130.0)));
    // While its time is not over, it goes on counting.
    drill.takes(110.0, &spec);
    drill.rests(110.0);
    assert_eq!(drill.wakes(), Some(160.0));
    drill.rests(160.0);
    assert_eq!(drill.phase(), "TimedOut");
}

#[test]
fn its_time_passes_also_while_the_node_is_not_ready() {
    let spec = DrainSpec { timeout: Some("1m".into()), ..spec() };
    let mut drill = Drill::of(&spec).with(node(NODE).not_ready()).with(web("web-1"));
    drill.rests(0.0);
    assert_eq!(drill.wakes(), Some(60.0));
    drill.rests(60.0);
    assert_eq!(drill.phase(), "TimedOut");
}

#[test]
fn a_node_that_is_empty_has_not_timed_out() {
    // As after a restart, long after the drain.
    let spec = DrainSpec { timeout: Some("1m".into()), ..spec() };
    let mut drill = Drill::resumed(&spec, &[]).with(daemon("log"));
    assert_eq!(drill.does(1000.0), ["list"]);
    assert_eq!(drill.phase(), "Draining");
    drill.lists(1000.1, vec![]);
    drill.rests(1000.1);
    assert_eq!(drill.phase(), "Drained");
    // What arrives now has the whole time again.
    drill.see(web("late"));
    assert_eq!(drill.does(2000.0), ["evict late"]);
    assert_eq!(drill.wakes(), Some(2060.0));
    drill.rests(2059.9);
    drill.rests(2060.0);
    assert_eq!(drill.phase(), "TimedOut");
}

#[test]
fn times_beyond_the_calendar_are_never() {
    let never = Some("999999999999h".to_owned());
    let spec = DrainSpec { timeout: never.clone(), delete_after: never, ..spec() };
    let blocked = budget(NAMESPACE, "web").selecting_all().needing(2, 2, 3);
    let mut drill = Drill::of(&spec).with(blocked);
    drill.see(web("web-1").terminating(Timestamp::MAX));
    drill.see(web("web-2"));
    drill.rests(0.0);
    assert_eq!(drill.state("web-1"), "Terminating");
    assert_eq!(drill.state("web-2"), "Waits BudgetExhausted");
}

#[test]
fn stopped_it_starts_nothing_more() {
    let vmi = vmi(NAMESPACE, "db").on(NODE).strategy(EvictionStrategy::LiveMigrate);
    let mut drill = Drill::new().with_all([web("web-1"), launcher(NAMESPACE, "db").on(NODE)]).with(vmi);
    assert_eq!(drill.does(0.0), ["evict web-1", "record uid-shop-db"]);
    drill.machine.stop();
    assert!(drill.machine.is_waiting_for_answers());
    drill.answers(0.1, "web-1", Answer::Overloaded(Duration::from_secs(1)));
    drill.records(0.1, &["db"]);
    assert!(!drill.machine.is_waiting_for_answers());
    drill.see(web("web-2"));
    for time in [0.1, 5.0, 500.0] {
        drill.rests(time);
        assert_eq!(drill.phase(), "Stopped");
    }
    drill.takes(501.0, &DrainSpec { timeout: Some("1h".into()), ..spec() });
    drill.rests(501.0);
}

#[test]
fn after_a_restart_a_withdrawn_evacuation_is_not_asked_for_again() {
    let live_migrate = |name: &str| vmi(NAMESPACE, name).on(NODE).strategy(EvictionStrategy::LiveMigrate);
    let mut drill = Drill::resumed(&spec(), &["a", "b"])
        .with_all(["a", "b"].map(|name| launcher(NAMESPACE, name).on(NODE)))
        .with_all(["a", "b"].map(live_migrate));
    let said = |name: &str, reason| Blocking {
        kind: "VirtualMachineInstance".into(),
        namespace: NAMESPACE.into(),
        name: name.into(),
        class: BlockClass::Stuck,
        reason,
        message: String::new(),
        since: second(0.0),
    };
    drill.machine.resume(&[said("a", BlockReason::EvacuationWithdrawn), said("b", BlockReason::ApiServerUnavailable)]);
    assert_eq!(drill.does(1.0), ["evict virt-launcher-b-abcde at 1"]);
    assert_eq!(drill.state("virt-launcher-a-abcde"), "Stuck EvacuationWithdrawn");
    drill.takes(2.0, &DrainSpec { delete_after: Some("1h".into()), ..spec() });
    assert_eq!(drill.does(2.0), ["evict virt-launcher-a-abcde at 1"]);
}

#[test]
fn after_a_restart_nothing_is_asked_twice() {
    let live_migrate = |name: &str| vmi(NAMESPACE, name).on(NODE).strategy(EvictionStrategy::LiveMigrate);
    let mut drill = Drill::resumed(&spec(), &["a", "b", "c"])
        .with(web("web-1").terminating(second(130.0)))
        .with_all(["a", "b", "c"].map(|name| launcher(NAMESPACE, name).on(NODE)))
        .with(live_migrate("a").marked(NODE))
        .with(live_migrate("b").marked(NODE))
        .with(vmi(NAMESPACE, "c").on(NODE).strategy(EvictionStrategy::External).marked(NODE))
        .with(migration(NAMESPACE, "m1", "a").evacuating(NODE).in_phase(MigrationPhase::Running));
    drill.rests(100.0);
    assert_eq!(drill.state("web-1"), "Terminating");
    assert_eq!(drill.state("virt-launcher-a-abcde"), "Migrating m1");
    assert_eq!(drill.state("virt-launcher-b-abcde"), "Waits MigrationQueued");
    assert_eq!(drill.state("virt-launcher-c-abcde"), "Stuck ExternalStrategy");
    // A mark of ours that is taken back is respected although this process never asked for it.
    drill.see(live_migrate("b"));
    drill.rests(101.0);
    assert_eq!(drill.state("virt-launcher-b-abcde"), "Stuck EvacuationWithdrawn");
}

#[test]
fn a_mark_that_somebody_else_caused_and_took_back_does_not_keep_us_from_asking() {
    let vmi = || vmi(NAMESPACE, "db").on(NODE).strategy(EvictionStrategy::LiveMigrate);
    let mut drill = Drill::new().with(launcher(NAMESPACE, "db").on(NODE)).with(vmi().marked(NODE));
    drill.rests(0.0);
    drill.see(vmi());
    assert_eq!(drill.does(1.0), ["record uid-shop-db"]);
}
