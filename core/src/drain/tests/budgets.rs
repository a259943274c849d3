//! Evictions that share a budget, and the force ladder.

use super::*;
use crate::model::{
    Budget,
    testing::{budget, hotplug_pod, launcher, pod, vm, vmi},
};

fn web(name: &str) -> Pod {
    pod(NAMESPACE, name).on(NODE).owned_by("ReplicaSet", "web").label("app", "web")
}

/// Three pods, two of which are needed.
fn web_budget() -> Budget {
    budget(NAMESPACE, "web").selecting("app", "web").needing(2, 3, 3)
}

fn at_version(version: &str, budget: Budget) -> Budget {
    Budget { resource_version: version.into(), ..budget }
}

fn disrupting(pod: &str, budget: Budget) -> Budget {
    Budget { disrupted_pods: vec![pod.into()], disruptions_allowed: 0, ..budget }
}

fn three() -> Drill {
    Drill::new().with(web_budget()).with_all([web("web-1"), web("web-2"), web("web-3")])
}

fn refused() -> Answer {
    Answer::BudgetRefused("The disruption budget web needs 2 healthy pods and has 2 currently".into())
}

#[test]
fn evictions_that_share_a_budget_go_one_after_the_other_as_its_status_allows() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    assert_eq!(drill.state("web-2"), "Waits BudgetShared");
    assert!(drill.sentence("web-2").contains("shop/web-1"), "{}", drill.sentence("web-2"));
    drill.answers(0.1, "web-1", Answer::Accepted);
    drill.rests(0.1);
    // The same old status is no news.
    drill.rests(0.2);
    assert_eq!(drill.state("web-2"), "Waits BudgetShared");
    drill.see(at_version("2", disrupting("web-1", web_budget())));
    drill.rests(0.3);
    assert_eq!(drill.state("web-2"), "Waits BudgetExhausted");
    drill.see(web("web-1").terminating(second(30.1)));
    drill.see(at_version("3", web_budget().needing(2, 2, 3)));
    drill.rests(0.4);
    assert_eq!(drill.state("web-2"), "Waits BudgetExhausted");
    assert!(drill.sentence("web-2").contains("shop/web"), "{}", drill.sentence("web-2"));
    drill.see(at_version("4", web_budget()));
    assert_eq!(drill.does(8.0), ["evict web-2"]);
    assert_eq!(drill.state("web-3"), "Waits BudgetShared");
}

#[test]
fn a_budget_that_allows_two_is_asked_again_as_soon_as_the_first_is_counted() {
    let generous = || web_budget().needing(1, 3, 3);
    let mut drill = three().with(generous());
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.1, "web-1", Answer::Accepted);
    let counted = Budget { disrupted_pods: vec!["web-1".into()], disruptions_allowed: 1, ..generous() };
    drill.see(at_version("2", counted));
    assert_eq!(drill.does(0.2), ["evict web-2"]);
}

#[test]
fn nobody_waits_longer_than_5_seconds_for_a_budget_to_show_what_was_accepted() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", Answer::Accepted);
    drill.rests(0.0);
    assert_eq!(drill.wakes(), Some(5.0));
    assert_eq!(drill.does(5.0), ["evict web-2"]);
}

#[test]
fn a_pod_recreated_under_its_name_does_not_hide_that_the_first_has_gone() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.1, "web-1", Answer::Accepted);
    drill.see(pod(NAMESPACE, "web-1").on("node03").with_uid("second"));
    drill.see(at_version("5", web_budget()));
    assert_eq!(drill.does(0.2), ["evict web-2"]);
}

#[test]
fn a_refusal_waits_for_the_budgets_status_and_not_for_a_clock() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", refused());
    drill.rests(0.0);
    for name in ["web-1", "web-2", "web-3"] {
        assert_eq!(drill.state(name), "Waits BudgetExhausted");
    }
    assert_eq!(drill.wakes(), Some(60.0));
    drill.rests(59.0);
    drill.see(at_version("2", web_budget().needing(2, 2, 3)));
    drill.rests(59.1);
    drill.see(at_version("3", web_budget()));
    assert_eq!(drill.does(59.2), ["evict web-1"]);
}

#[test]
fn a_refusal_that_no_status_explains_is_tried_again_after_a_minute() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", refused());
    drill.rests(59.9);
    assert_eq!(drill.does(60.0), ["evict web-1"]);
}

#[test]
fn a_budget_that_is_not_observed_is_waited_for_as_long_as_the_api_server_says() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    let answer = Answer::BudgetNotObserved("still being processed".into(), Duration::from_secs(10));
    drill.answers(0.0, "web-1", answer);
    drill.rests(0.0);
    assert_eq!(drill.state("web-1"), "Waits BudgetNotObserved");
    assert_eq!(drill.wakes(), Some(10.0));
    assert_eq!(drill.does(10.0), ["evict web-1"]);
}

#[test]
fn a_refusal_by_a_budget_that_the_caches_do_not_show_is_not_repeated_at_once() {
    for answer in [refused(), Answer::BudgetNotObserved("still being processed".into(), Duration::from_secs(10))] {
        let mut drill = Drill::new().with(web("web-1"));
        assert_eq!(drill.does(0.0), ["evict web-1"]);
        drill.answers(0.0, "web-1", answer);
        drill.rests(0.0);
        assert!(drill.state("web-1").starts_with("Waits Budget"), "{}", drill.state("web-1"));
        let wakes = drill.wakes().unwrap();
        assert!(wakes >= 0.5, "{wakes}");
        // The budget shows meanwhile, and decides.
        drill.see(web_budget().needing(2, 2, 3));
        drill.rests(wakes);
        assert_eq!(drill.state("web-1"), "Waits BudgetExhausted");
    }
}

#[test]
fn what_a_budget_answers_holds_for_all_of_its_pods() {
    for (answer, state) in [
        (Answer::BudgetSyncFailed("failed sync: found no controllers".into()), "Stuck BudgetSyncFailed"),
        (Answer::BudgetOverrun("DisruptedPods map too big".into()), "Waits BudgetExhausted"),
    ] {
        let mut drill = three();
        assert_eq!(drill.does(0.0), ["evict web-1"]);
        drill.answers(0.0, "web-1", answer);
        drill.rests(0.0);
        assert_eq!(drill.state("web-2"), state);
    }
}

#[test]
fn after_a_lost_answer_the_next_pod_of_the_budget_waits_until_it_can_have_been_counted() {
    let mut drill = three();
    assert_eq!(drill.does(0.0), ["evict web-1"]);
    drill.answers(0.0, "web-1", Answer::Lost("connection reset".into()));
    drill.rests(0.0);
    assert_eq!(drill.state("web-2"), "Waits BudgetShared");
    assert_eq!(drill.does(0.5), ["look at web-1"]);
    drill.shows(0.6, "web-1", Seen::Unchanged);
    assert_eq!(drill.does(0.6), ["evict web-1"], "it was not carried out, so it is its turn again");
}

#[test]
fn pods_of_several_budgets_and_of_one_that_never_allows_are_stuck_and_not_asked_for() {
    let mut drill = Drill::new()
        .with_all([web("web-1"), pod(NAMESPACE, "db-0").on(NODE).owned_by("StatefulSet", "db").label("app", "db")])
        .with_all([web_budget(), budget(NAMESPACE, "also-web").selecting("app", "web")])
        .with(budget(NAMESPACE, "db").selecting("app", "db").needing(1, 1, 1));
    drill.rests(0.0);
    assert_eq!(drill.state("web-1"), "Stuck SeveralBudgets");
    assert!(drill.sentence("web-1").contains("also-web, web"), "{}", drill.sentence("web-1"));
    assert_eq!(drill.state("db-0"), "Stuck BudgetNeverAllows");
    assert!(drill.last().progress.is_stuck());
    // Somebody helps.
    drill.snapshot.take::<Budget>(&ObjectKey::new(NAMESPACE, "also-web"));
    drill.see(budget(NAMESPACE, "db").selecting("app", "db").needing(0, 1, 1));
    assert_eq!(drill.does(1.0), ["evict db-0", "evict web-1"]);
}

#[test]
fn delete_after_deletes_what_a_budget_blocks_and_only_then() {
    let spec = DrainSpec {
        delete_after: Some("5m".into()),
        vm_that_will_not_restart: Some(crate::drain::ShutDownOrBlock::ShutDown),
        ..spec()
    };
    let blocking = budget(NAMESPACE, "all").selecting_all().needing(3, 3, 3);
    let mut drill = Drill::of(&spec)
        .with(blocking)
        .with(web("web-1"))
        .with(launcher(NAMESPACE, "db").on(NODE))
        .with(vmi(NAMESPACE, "db").on(NODE))
        .with(vm(NAMESPACE, "db"));
    drill.rests(0.0);
    assert_eq!(drill.state("web-1"), "Stuck BudgetNeverAllows");
    assert_eq!(drill.wakes(), Some(300.0));
    drill.rests(299.9);
    assert_eq!(drill.does(300.0), ["delete web-1"]);
    assert_eq!(drill.state("virt-launcher-db-abcde"), "Stuck BudgetNeverAllows");
    drill.answers(300.1, "web-1", Answer::Accepted);
    drill.rests(300.2);
}

#[test]
fn delete_after_deletes_what_the_api_server_refuses_to_evict_but_never_a_hotplugged_disk() {
    let spec = DrainSpec { delete_after: Some("5m".into()), ..spec() };
    let disk = hotplug_pod(&launcher(NAMESPACE, "db").on(NODE), "hp-volume-1");
    let mut drill = Drill::of(&spec).with_all([web("web-1"), web("web-2"), disk]);
    assert_eq!(drill.does(299.0), ["evict hp-volume-1", "evict web-1", "evict web-2"]);
    drill.answers(299.0, "web-1", Answer::WebhookRefused("not on Fridays".into()));
    drill.answers(299.0, "web-2", Answer::SeveralBudgets("more than one".into()));
    drill.answers(299.0, "hp-volume-1", Answer::HotplugPod("cannot evict hotplug pod".into()));
    drill.rests(299.0);
    assert_eq!(drill.state("web-1"), "Stuck EvictionRefused");
    assert_eq!(drill.does(300.0), ["evict hp-volume-1", "delete web-1", "delete web-2"]);
    drill.answers(300.0, "web-1", Answer::Forbidden("cannot delete".into()));
    drill.answers(300.0, "web-2", Answer::Accepted);
    drill.rests(300.0);
    assert_eq!(drill.state("web-1"), "Stuck Forbidden");
    assert_eq!(drill.state("web-2"), "Asked");
    let wakes = drill.wakes().unwrap();
    assert!(wakes > 300.4, "{wakes}");
}
