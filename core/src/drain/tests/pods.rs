//! Ordinary pods, and the last look.

use super::*;
use crate::model::testing::{launcher, pod};

fn web(name: &str) -> Pod {
    pod(NAMESPACE, name).on(NODE).owned_by("ReplicaSet", "web")
}

#[test]
fn pods_without_a_budget_are_evicted_all_at_once_by_uid() {
    let mut drill = Drill::new().with_all([web("web-1"), web("web-2").with_uid("another"), web("web-3")]);
    assert_eq!(drill.does(0.0), ["evict web-1", "evict web-2", "evict web-3"]);
    let uids: Vec<_> = drill
        .last()
        .actions
        .iter()
        .map(|action| match action {
            Action::Evict(evict) => evict.uid.as_str().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(uids, ["uid-shop-web-1", "another", "uid-shop-web-3"]);
    assert_eq!(drill.state("web-1"), "Asked");
    assert!(drill.machine.is_waiting_for_answers());
    drill.rests(0.1);
}

#[test]
fn no_more_than_32_requests_are_on_their_way() {
    let mut drill = Drill::new().with_all((0..40).map(|i| web(&format!("web-{i:02}"))));
    assert_eq!(drill.does(0.0).len(), 32);
    assert_eq!((drill.state("web-31").as_str(), drill.state("web-32").as_str()), ("Asked", "Next"));
    drill.answers(0.1, "web-05", Answer::Accepted);
    drill.answers(0.1, "web-07", Answer::Accepted);
    assert_eq!(drill.does(0.1), ["evict web-32", "evict web-33"]);
}

#[test]
fn a_pod_that_terminates_is_not_evicted_again_and_its_end_is_drained() {
    let mut drill = Drill::new().with(web("web-1"));
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.1, "web-1", Answer::Accepted);
    drill.rests(0.1);
    assert_eq!(drill.state("web-1"), "Asked");
    drill.see(web("web-1").terminating(second(30.1)));
    drill.rests(0.2);
    assert_eq!(drill.state("web-1"), "Terminating");
    assert_eq!(drill.wakes(), Some(60.1), "it is overdue then");
    drill.rests(29.0);
    assert_eq!(drill.last().progress.percent(), 0);

    drill.see_gone("web-1");
    assert_eq!(drill.does(30.2), ["list"]);
    assert_eq!(drill.phase(), "Draining");
    drill.rests(30.3);
    drill.lists(30.3, vec![]);
    drill.rests(30.3);
    assert_eq!(drill.phase(), "Drained");
    assert_eq!(drill.last().progress.percent(), 100);
    assert_eq!(drill.wakes(), None);
}

#[test]
fn a_pod_whose_end_is_overdue_says_so() {
    let mut drill = Drill::new().with(web("web-1").terminating(second(30.0)));
    drill.rests(59.0);
    assert_eq!(drill.state("web-1"), "Terminating");
    drill.rests(60.0);
    assert_eq!(drill.state("web-1"), "Waits TerminationOverdue");
    assert!(drill.sentence("web-1").contains("kubelet"), "{}", drill.sentence("web-1"));
    let mut held = web("web-1").terminating(second(30.0));
    held.finalizers.push("example.com/wait".into());
    drill.see(held);
    drill.rests(61.0);
    assert!(drill.sentence("web-1").contains("example.com/wait"), "{}", drill.sentence("web-1"));
}

#[test]
fn a_pod_that_only_the_live_list_shows_keeps_it_from_drained() {
    let mut drill = Drill::new();
    assert_eq!(drill.does(0.0), ["list"]);
    drill.lists(0.1, vec![web("late")]);
    drill.rests(0.1);
    assert_eq!(drill.phase(), "Waiting ApiServerUnavailable");
    let DrainPhase::Waiting(block) = &drill.last().phase else { panic!() };
    assert!(block.message.contains("shop/late"), "{}", block.message);
    assert_eq!(drill.wakes(), Some(1.1));

    drill.see(web("late"));
    assert_eq!(drill.does(0.5), ["evict late"]);
    drill.answers(0.6, "late", Answer::Accepted);
    drill.see_gone("late");
    assert_eq!(drill.does(1.0), ["list"]);
    drill.lists(1.1, vec![]);
    drill.rests(1.1);
    assert_eq!(drill.phase(), "Drained");
}

#[test]
fn the_last_look_is_repeated_after_a_while_if_it_shows_something_or_fails() {
    let mut drill = Drill::new();
    assert_eq!(drill.does(0.0), ["list"]);
    for (time, again) in [(0.0, 1.0), (1.0, 3.0), (3.0, 7.0), (7.0, 15.0), (15.0, 31.0), (31.0, 61.0), (61.0, 91.0)] {
        drill.handle(time, Outcome::Listed(Err("etcd is down".into())));
        drill.rests(time);
        assert_eq!(drill.phase(), "Waiting ApiServerUnavailable");
        assert_eq!(drill.wakes(), Some(again));
        drill.rests(again - 0.1);
        assert_eq!(drill.does(again), ["list"]);
    }
    drill.lists(92.0, vec![]);
    drill.rests(92.0);
    assert_eq!(drill.phase(), "Drained");
}

#[test]
fn what_stays_is_no_work_left() {
    let staying = [
        pod(NAMESPACE, "log").on(NODE).owned_by("DaemonSet", "log"),
        pod(NAMESPACE, "static").on(NODE).mirrored(),
        launcher(NAMESPACE, "moved").on(NODE).finished(),
        pod(NAMESPACE, "cache").on(NODE).label("app", "cache"),
    ];
    let spec = DrainSpec { pod_selector: Some("app!=cache".into()), ..spec() };
    let mut drill = Drill::of(&spec).with_all(staying.clone());
    assert_eq!(drill.does(0.0), ["list"]);
    assert_eq!(drill.state("log"), "Skipped DaemonSet");
    drill.lists(0.1, staying.to_vec());
    drill.rests(0.1);
    assert_eq!(drill.phase(), "Drained");
    assert_eq!(drill.last().progress.percent(), 100);
}

#[test]
fn a_finished_pod_is_deleted() {
    let mut drill = Drill::new().with(pod(NAMESPACE, "job-1").on(NODE).owned_by("Job", "job").finished());
    assert_eq!(drill.does(0.0), ["delete job-1"]);
    drill.answers(0.1, "job-1", Answer::Gone);
    drill.rests(0.1);
    drill.see_gone("job-1");
    assert_eq!(drill.does(0.2), ["list"]);
}

#[test]
fn a_pod_recreated_under_its_name_is_another_pod() {
    let mut drill = Drill::new().with(web("web-0"));
    assert_eq!(drill.does(0.0), ["evict web-0"]);
    drill.answers(0.1, "web-0", Answer::Accepted);
    drill.see(web("web-0").with_uid("second"));
    assert_eq!(drill.does(0.2), ["evict web-0"]);
    drill.see(pod(NAMESPACE, "web-0").on("node03").with_uid("third"));
    assert_eq!(drill.does(0.3), ["list"], "elsewhere it is somebody else's");
}

#[test]
fn an_accepted_eviction_of_which_nothing_shows_is_looked_at_and_not_repeated() {
    let mut drill = Drill::new().with(web("web-1"));
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", Answer::Accepted);
    drill.rests(0.0);
    assert_eq!(drill.wakes(), Some(10.0));
    assert_eq!(drill.does(10.0), ["look at web-1"]);
    assert_eq!(drill.state("web-1"), "Waits ApiServerUnavailable");
    drill.shows(10.1, "web-1", Seen::Terminating);
    drill.rests(10.1);
    assert_eq!(drill.state("web-1"), "Asked");
    drill.rests(30.0);
    assert_eq!(drill.does(30.1), ["look at web-1"], "and ever less often");
}

#[test]
fn a_list_that_was_on_its_way_when_something_came_up_does_not_count() {
    let mut drill = Drill::new();
    assert_eq!(drill.does(0.0), ["list"]);
    drill.see(node(NODE).cordoned().not_ready());
    drill.see(pod(NAMESPACE, "log").on(NODE).owned_by("DaemonSet", "log"));
    drill.rests(0.1);
    assert_eq!(drill.phase(), "Waiting NodeUnreachable");
    drill.lists(0.2, vec![]);
    drill.rests(0.2);
    assert_eq!(drill.phase(), "Waiting NodeUnreachable");
    drill.see(node(NODE).cordoned());
    assert_eq!(drill.does(0.3), ["list"]);
}

#[test]
fn other_options_need_another_last_look() {
    let selective = DrainSpec { pod_selector: Some("app!=cache".into()), ..spec() };
    let mut drill = Drill::of(&selective);
    assert_eq!(drill.does(0.0), ["list"]);
    // The cache does not show it yet.
    drill.lists(0.1, vec![pod(NAMESPACE, "cache").on(NODE).label("app", "cache")]);
    drill.rests(0.1);
    assert_eq!(drill.phase(), "Drained");
    drill.takes(0.2, &spec());
    assert_eq!(drill.does(0.2), ["list"]);
    assert_eq!(drill.phase(), "Draining");
}

#[test]
fn pods_that_come_back_to_the_node_are_asked_to_leave_ever_more_rarely_and_it_is_said() {
    let mut drill = Drill::new();
    let mut evicted: Vec<f64> = Vec::new();
    for instance in 0..8 {
        let pod = || web("web-1").with_uid(&format!("web-{instance}"));
        let came = evicted.last().map_or(0.0, |time| time + 1.0);
        drill.see(pod());
        let is_held = drill.does(came).is_empty();
        if is_held {
            assert_eq!(drill.state("web-1"), "Stuck ReturnsToNode");
            assert!(drill.sentence("web-1").contains("ReplicaSet shop/web"), "{}", drill.sentence("web-1"));
        }
        let time = if is_held { drill.wakes().unwrap() } else { came };
        if is_held {
            assert_eq!(drill.does(time), ["evict web-1"]);
            assert_eq!(drill.state("web-1"), "Stuck ReturnsToNode", "until its eviction is accepted");
        }
        drill.handle(time, Outcome::Answered(Uid::from(format!("web-{instance}").as_str()), Answer::Accepted));
        drill.rests(time);
        assert_eq!(drill.state("web-1"), "Asked");
        drill.see_gone("web-1");
        drill.does(time);
        evicted.push(time);
    }
    assert_eq!(evicted, [0.0, 1.0, 2.0, 8.0, 19.0, 40.0, 81.0, 162.0]);
}

#[test]
fn what_is_said_of_a_pod_is_bounded_whatever_its_objects_hold() {
    let mut held = web("web-1").terminating(second(30.0));
    held.finalizers = (0..50_000).map(|i| format!("example.com/{i}")).collect();
    let mut drill = Drill::new().with(held);
    drill.rests(60.0);
    assert_eq!(drill.sentence("web-1").chars().count(), 1_001);
}
