//! What follows from each answer to an eviction.

use super::*;
use crate::model::testing::pod;

fn web(name: &str) -> Pod {
    pod(NAMESPACE, name).on(NODE).owned_by("ReplicaSet", "web")
}

fn text() -> String {
    "what the API server says".to_owned()
}

#[test]
fn each_answer_shows_and_has_its_wait() {
    let retry_later = Duration::from_secs(10);
    // The answer, the state that it leads to, the second of the next act, and that act.
    for (answer, state, next, then) in [
        (Answer::Accepted, "Asked", 10.0, "look at"),
        (Answer::Gone, "Asked", 10.0, "look at"),
        (Answer::EvacuationStarted, "Asked", 10.0, "look at"),
        (Answer::EvacuationUnderWay, "Asked", 10.0, "look at"),
        (Answer::BudgetRefused(text()), "Waits BudgetExhausted", 0.5, "evict"),
        (Answer::BudgetNotObserved(text(), retry_later), "Waits BudgetNotObserved", 10.0, "evict"),
        (Answer::BudgetSyncFailed(text()), "Stuck BudgetSyncFailed", 5.0, "evict"),
        (Answer::BudgetOverrun(text()), "Waits BudgetExhausted", 120.0, "evict"),
        (Answer::SeveralBudgets(text()), "Stuck SeveralBudgets", 5.0, "evict"),
        (Answer::Contended(text()), "Waits ApiServerUnavailable", 0.5, "evict"),
        (Answer::NotLiveMigratable(text()), "Waits VirtualMachineStarting", 0.5, "evict"),
        (Answer::MigrationTarget, "Waits MigrationIncoming", 0.5, "evict"),
        (Answer::HotplugPod(text()), "Waits HotplugFollowsVirtualMachine", 0.5, "evict"),
        (Answer::InstanceMissing(text()), "Stuck OrphanedLauncher", 5.0, "evict"),
        (Answer::KubeVirtFailed(text()), "Waits WebhookUnavailable", 0.5, "look at"),
        (Answer::WebhookUnavailable(text()), "Waits WebhookUnavailable", 0.5, "look at"),
        (Answer::WebhookRefused(text()), "Stuck EvictionRefused", 5.0, "evict"),
        (Answer::NamespaceTerminating(text()), "Waits NamespaceTerminating", 5.0, "evict"),
        (Answer::Forbidden(text()), "Stuck Forbidden", 5.0, "evict"),
        (Answer::Rejected(text()), "Stuck EvictionRefused", 5.0, "evict"),
        (Answer::Overloaded(retry_later), "Waits ApiServerUnavailable", 10.0, "evict"),
        (Answer::Lost(text()), "Waits ApiServerUnavailable", 0.5, "look at"),
    ] {
        let mut drill = Drill::new().with(web("web-1"));
        assert_eq!(drill.does(0.0), ["evict web-1"]);
        drill.answers(0.0, "web-1", answer.clone());
        drill.rests(0.0);
        assert_eq!(drill.state("web-1"), state, "{answer:?}");
        assert_eq!(drill.phase(), "Draining", "{answer:?}");
        assert_eq!(drill.wakes(), Some(next), "{answer:?}");
        drill.rests(next - 0.01);
        assert_eq!(drill.does(next), [format!("{then} web-1")], "{answer:?}");
    }
}

#[test]
fn waits_grow_and_are_bounded() {
    type OfText = fn(String) -> Answer;
    let short: OfText = Answer::Contended;
    let long: OfText = Answer::WebhookRefused;
    for (answer, waits) in [
        (short, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (long, [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]),
    ] {
        let mut drill = Drill::new().with(web("web-1"));
        let mut time = 0.0;
        for wait in waits {
            assert_eq!(drill.does(time), ["evict web-1"]);
            drill.answers(time, "web-1", answer(text()));
            drill.rests(time);
            assert_eq!(drill.wakes(), Some(time + wait));
            time += wait;
        }
    }
}

#[test]
fn the_time_since_which_it_blocks_stays_while_the_reason_does() {
    let mut drill = Drill::new().with(web("web-1"));
    let since = |drill: &Drill| match drill.full_state("web-1") {
        WorkloadState::Blocked { since, .. } => since.duration_since(at(0)).as_secs(),
        state => panic!("{state:?}"),
    };
    drill.does(3.0);
    drill.answers(3.0, "web-1", Answer::WebhookRefused(text()));
    drill.rests(3.0);
    assert_eq!(since(&drill), 3);
    drill.rests(7.0);
    assert_eq!(since(&drill), 3);
    assert_eq!(drill.does(8.0), ["evict web-1"]);
    assert_eq!(
        drill.state("web-1"),
        "Stuck EvictionRefused",
        "asked again, it is stuck until the answer says otherwise"
    );
    drill.rests(8.0);
    assert_eq!(drill.state("web-1"), "Stuck EvictionRefused");
    drill.answers(8.0, "web-1", Answer::WebhookRefused(text()));
    drill.rests(8.0);
    assert_eq!(since(&drill), 3, "being asked again meanwhile has changed nothing");
    drill.does(18.0);
    drill.answers(18.0, "web-1", Answer::Forbidden(text()));
    drill.rests(18.0);
    assert_eq!(since(&drill), 18);
}

#[test]
fn a_lost_answer_is_looked_after_until_it_is_known() {
    let mut drill = Drill::new().with(web("web-1"));
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", Answer::Lost("connection reset".into()));
    drill.rests(0.4);
    assert_eq!(drill.does(0.5), ["look at web-1"]);
    drill.rests(0.6);
    drill.shows(0.6, "web-1", Seen::Unknown);
    drill.rests(0.6);
    assert_eq!(drill.wakes(), Some(1.6));
    assert_eq!(drill.does(1.6), ["look at web-1"]);
    drill.shows(1.7, "web-1", Seen::Unchanged);
    assert_eq!(drill.does(1.7), ["evict web-1"]);
    drill.answers(1.8, "web-1", Answer::Lost("connection reset".into()));
    drill.rests(1.8);
    assert_eq!(drill.does(3.8), ["look at web-1"]);
    drill.shows(3.9, "web-1", Seen::Terminating);
    drill.rests(3.9);
    assert_eq!(drill.state("web-1"), "Asked");
}

#[test]
fn what_the_caches_show_goes_before_a_lost_answer() {
    let mut drill = Drill::new().with(web("web-1"));
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", Answer::Lost("connection reset".into()));
    drill.see(web("web-1").terminating(second(30.0)));
    drill.rests(0.5);
    assert_eq!(drill.state("web-1"), "Terminating");
}

#[test]
fn an_overloaded_api_server_is_asked_nothing_for_as_long_as_it_says() {
    let mut drill = Drill::new().with_all([web("web-1"), web("web-2"), web("web-3")]);
    assert_eq!(drill.does(0.0).len(), 3);
    drill.answers(0.0, "web-1", Answer::Overloaded(Duration::from_secs(10)));
    // A later, shorter wish does not shorten the first.
    drill.answers(0.0, "web-2", Answer::Overloaded(Duration::from_secs(1)));
    drill.answers(0.0, "web-3", Answer::Lost("connection reset".into()));
    drill.see(web("web-4"));
    drill.rests(0.5);
    drill.rests(9.9);
    for name in ["web-1", "web-2", "web-3", "web-4"] {
        assert_eq!(drill.state(name), "Waits ApiServerUnavailable");
    }
    assert_eq!(drill.wakes(), Some(10.0));
    assert_eq!(drill.does(10.0), ["look at web-3", "evict web-1", "evict web-2", "evict web-4"]);
}

#[test]
fn an_overloaded_api_server_is_not_listed_either() {
    let mut drill = Drill::new().with(web("web-1"));
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", Answer::Overloaded(Duration::from_secs(10)));
    drill.see_gone("web-1");
    drill.rests(1.0);
    assert_eq!(drill.phase(), "Waiting ApiServerUnavailable");
    assert_eq!(drill.wakes(), Some(10.0));
    assert_eq!(drill.does(10.0), ["list"]);
}

#[test]
fn an_answer_for_a_pod_that_has_gone_is_no_trouble() {
    let mut drill = Drill::new().with(web("web-1"));
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.see_gone("web-1");
    drill.does(0.1);
    assert!(drill.machine.is_waiting_for_answers());
    drill.answers(0.2, "web-1", Answer::Gone);
    drill.shows(0.2, "web-1", Seen::Gone);
    assert!(!drill.machine.is_waiting_for_answers());
    drill.lists(0.3, vec![]);
    drill.rests(0.3);
    assert_eq!(drill.phase(), "Drained");
}
