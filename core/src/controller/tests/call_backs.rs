//! Others are told what becomes of a maintenance.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::world::{MAINTENANCE, NODE, World, is_out, put_budget};
use crate::{
    clock::Clock,
    controller::{CallBack, Deliver, Undelivered},
    maintenance::NoticeEvent,
    metrics::{CallBackLabels, CallBackOutcome},
    model::testing::at,
    names::{FINALIZER, RECORD_ANNOTATION},
};

/// Takes what it is told, or does not.
#[derive(Default)]
struct Receiver {
    mood: Mutex<Mood>,
    /// Every attempt, with its time and whether it was taken.
    attempts: Mutex<Vec<(Instant, CallBack, bool)>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Takes,
    Refuses,
    /// Wants to hear of everything else.
    RefusesAccepted,
    Hangs,
}

impl Mood {
    fn takes(self, event: NoticeEvent) -> bool {
        self == Self::Takes || (self == Self::RefusesAccepted && event != NoticeEvent::Accepted)
    }
}

impl Deliver for Receiver {
    fn deliver(&self, call_back: CallBack) -> BoxFuture<'_, Result<(), Undelivered>> {
        let mood = *self.mood.lock().unwrap();
        let takes = mood.takes(call_back.notice.event);
        self.attempts.lock().unwrap().push((Instant::now(), call_back, takes));
        Box::pin(async move {
            match mood {
                _ if takes => Ok(()),
                Mood::Hangs => std::future::pending().await,
                _ => Err(Undelivered::Answered(500)),
            }
        })
    }
}

impl Receiver {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// What it has taken.
    fn taken(&self) -> Vec<CallBack> {
        let attempts = self.attempts.lock().unwrap();
        attempts.iter().filter(|(_, _, taken)| *taken).map(|(_, call_back, _)| call_back.clone()).collect()
    }

    /// The events that it has taken, by name.
    fn events(&self) -> Vec<&'static str> {
        self.taken().iter().map(|call_back| call_back.notice.event.as_str()).collect()
    }

    /// Seconds between its attempts.
    fn pauses(&self) -> Vec<u64> {
        let attempts = self.attempts.lock().unwrap();
        attempts.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect()
    }
}

fn told_world(pods: usize) -> (World, Arc<Receiver>) {
    let receiver = Arc::new(Receiver::default());
    let mut world = World::new(pods);
    world.delivery = Some(receiver.clone());
    (world.start(), receiver)
}

fn counted(world: &World, outcome: CallBackOutcome) -> u64 {
    world.cluster().metrics().call_backs.get_or_create(&CallBackLabels { outcome }).get()
}

async fn end(world: &World) {
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn others_are_told_once_each_and_of_the_end_with_a_report_before_the_object_goes() {
    let (world, receiver) = told_world(3);
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained"]);
    assert_eq!(world.maintenance()["status"]["notices"]["delivered"], 2);
    end(&world).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained", "Ended"]);
    let taken = receiver.taken();
    let ids: Vec<_> = taken.iter().map(|call_back| call_back.id.as_str()).collect();
    assert_eq!(ids, ["uid-m.1", "uid-m.2", "uid-m.3"]);
    let ended = &taken[2];
    let report = ended.report.clone().unwrap();
    assert_eq!((report.eviction_pods, report.ended_at), (Some(3), Some(ended.notice.time)));
    assert!(report.ended_after.unwrap() > report.drained_after.unwrap());
    assert!(ended.maintenance.stopping_since.is_some(), "it was there still");
    assert_eq!(counted(&world, CallBackOutcome::Delivered), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_and_what_is_stuck_is_told() {
    let (world, receiver) = told_world(2);
    world.link().refuse("POST /api/v1/namespaces/shop/pods/web-0/eviction", 403);
    world.begin("m", "node02");
    world.until("it is stuck", |world| world.condition("Stuck")["status"] == "True").await;
    world.begin("other", "node99");
    // Its eviction is tried again and again, and comes to the same.
    sleep(Duration::from_secs(600)).await;
    let versions = world.server.versions(MAINTENANCE);
    let was_stuck = versions.iter().flatten().filter_map(|version| {
        let conditions = version["status"]["conditions"].as_array()?;
        Some(conditions.iter().any(|condition| condition["type"] == "Stuck" && condition["status"] == "True"))
    });
    let flaps = was_stuck.skip_while(|is_stuck| !is_stuck).filter(|is_stuck| !is_stuck).count();
    assert_eq!(flaps, 0, "it is stuck all the time");
    world.link().refuse_nothing();
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(1)).await;
    let of = |name: &str| {
        let taken = receiver.taken().into_iter().filter(|call_back| call_back.maintenance.name == name);
        taken.map(|call_back| (call_back.notice.event.as_str(), call_back.notice.reason)).collect::<Vec<_>>()
    };
    let told = |event, reason: &str| (event, reason.to_owned());
    assert_eq!(of("m"), [told("Accepted", "Accepted"), told("Stuck", "Forbidden"), told("Drained", "Drained")]);
    assert_eq!(of("other"), [told("Failed", "NodeNotFound")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_repeated_ever_more_slowly_and_what_comes_after_it_waits() {
    let (world, receiver) = told_world(0);
    receiver.set(Mood::Refuses);
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(130)).await;
    assert_eq!(receiver.pauses(), [1, 2, 4, 8, 16, 32, 64]);
    assert!(receiver.attempts.lock().unwrap().iter().all(|(_, call_back, _)| call_back.id == "uid-m.1"));
    receiver.set(Mood::Takes);
    sleep(Duration::from_secs(130)).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained"]);
    assert_eq!((counted(&world, CallBackOutcome::Failed), counted(&world, CallBackOutcome::Delivered)), (8, 2));
}

#[tokio::test(start_paused = true)]
async fn another_leader_repeats_nothing_that_was_taken_and_tells_what_was_not() {
    let (mut world, receiver) = told_world(0);
    world.begin("m", "node02");
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 2).await;
    world.next_leader().await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(receiver.attempts.lock().unwrap().len(), 2);

    receiver.set(Mood::Hangs);
    world.server.edit(MAINTENANCE, |object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:10:00Z"));
    world.until("it is tried", |_| receiver.attempts.lock().unwrap().len() == 3).await;
    receiver.set(Mood::Takes);
    let world = world.stop().await;
    let world = world.start();
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained", "Ended"]);
    assert!(receiver.taken().last().is_some_and(|ended| ended.report.is_some()));
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_thirty_seconds_for_a_receiver_and_no_longer() {
    let (world, receiver) = told_world(1);
    world.begin("m", "node02");
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 2).await;
    receiver.set(Mood::Hangs);
    let begun = Instant::now();
    world.server.delete(MAINTENANCE);
    world.until("it is restored", |world| !is_out(&world.node())).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "the node does not wait");
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    let took = begun.elapsed().as_secs_f64();
    assert!((30.0..31.5).contains(&took), "{took}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained"]);
    assert!(receiver.pauses().into_iter().skip(2).all(|pause| pause <= 12), "{:?}", receiver.pauses());
    assert_eq!(counted(&world, CallBackOutcome::GivenUp), 1);
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_it_is_given_up_and_the_rest_is_told() {
    let (world, receiver) = told_world(0);
    receiver.set(Mood::Refuses);
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(3600 + 300)).await;
    assert_eq!(counted(&world, CallBackOutcome::GivenUp), 2);
    let tried = receiver.attempts.lock().unwrap().len();
    assert!((15..=25).contains(&tried), "{tried}");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(receiver.attempts.lock().unwrap().len(), tried, "nothing is left to be told");
    receiver.set(Mood::Takes);
    end(&world).await;
    assert_eq!(receiver.events(), ["Ended"]);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_to_be_told_nothing_is_noted_and_the_end_waits_for_nobody() {
    let world = World::new(0).start();
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    assert!(world.maintenance()["status"]["notices"].is_null());
    let begun = Instant::now();
    end(&world).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_one_that_is_never_taken_is_tried_before_it_is_given_up() {
    let (world, receiver) = told_world(0);
    receiver.set(Mood::RefusesAccepted);
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(receiver.events(), ["Drained"]);
    assert_eq!(counted(&world, CallBackOutcome::GivenUp), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_a_leader_for_too_long_is_tried_all_the_same() {
    let (world, receiver) = told_world(0);
    receiver.set(Mood::Refuses);
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let world = world.stop().await;
    sleep(Duration::from_secs(2 * 3600)).await;
    receiver.set(Mood::Takes);
    let world = world.start();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained"]);
    assert_eq!(counted(&world, CallBackOutcome::GivenUp), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_noted_when_it_is_deleted_is_told_before_the_end() {
    let (world, receiver) = told_world(1);
    world.begin("m", "node02");
    world.until("it is drained", |world| world.server.evicted().len() == 1).await;
    sleep(Duration::from_millis(500)).await;
    assert_ne!(world.maintenance()["status"]["phase"], "Succeeded", "a status is written every two seconds at most");
    end(&world).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained", "Ended"]);
    let report = receiver.taken()[2].report.clone().unwrap();
    assert!(report.drained_at.is_some(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_did_not_get_to_note_the_next_tells_before_the_end() {
    let (world, receiver) = told_world(1);
    put_budget(&world.server, 0);
    world.link().refuse(&format!("PATCH {MAINTENANCE}/status"), 500);
    world.begin("m", "node02");
    world.until("it is taken out", |world| is_out(&world.node())).await;
    let world = world.kill();
    world.server.delete(MAINTENANCE);
    let world = world.start();
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(!is_out(&world.node()));
    assert_eq!(receiver.events(), ["Accepted", "Ended"]);
}

#[tokio::test(start_paused = true)]
async fn of_one_that_was_refused_no_end_is_told_although_it_came_with_a_finalizer_from_a_copy() {
    let (world, receiver) = told_world(0);
    world.begin("m", "node99");
    world.server.edit(MAINTENANCE, |object| object["metadata"]["finalizers"] = json!([FINALIZER]));
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 1).await;
    let begun = Instant::now();
    world.server.delete(MAINTENANCE);
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody is waited for");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(receiver.events(), ["Failed"]);
    let said = world.server.versions(MAINTENANCE);
    let phases: Vec<_> = said.iter().flatten().map(|object| object["status"]["phase"].clone()).collect();
    assert!(!phases.contains(&json!("Running")), "it was never accepted: {phases:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_no_longer_where_somebody_keeps_wiping_what_is_noted() {
    let (world, receiver) = told_world(0);
    world.begin("m", "node02");
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 2).await;
    receiver.set(Mood::Hangs);
    let begun = Instant::now();
    world.server.delete(MAINTENANCE);
    while world.server.get(MAINTENANCE).is_some() {
        assert!(begun.elapsed() < Duration::from_secs(40), "{:#?}", world.maintenance()["status"]["notices"]);
        world.server.edit(MAINTENANCE, |object| object["status"]["notices"] = json!(null));
        sleep(Duration::from_secs(5)).await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(counted(&world, CallBackOutcome::GivenUp), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_noted_after_somebody_has_wiped_what_was_is_told_all_the_same() {
    let (world, receiver) = told_world(0);
    world.begin("m", "node02");
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 2).await;
    world.server.edit(MAINTENANCE, |object| object["status"]["notices"] = json!(null));
    sleep(Duration::from_secs(10)).await;
    let begun = Instant::now();
    end(&world).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(receiver.events(), ["Accepted", "Drained", "Ended"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_thirty_seconds_also_where_the_clock_of_the_next_leader_is_behind() {
    let (world, receiver) = told_world(0);
    world.begin("m", "node02");
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 2).await;
    sleep(Duration::from_secs(600)).await;
    receiver.set(Mood::Hangs);
    world.server.delete(MAINTENANCE);
    world
        .until("its end is noted", |world| world.maintenance()["status"]["notices"]["last"][0]["event"] == "Ended")
        .await;
    let mut world = world.stop().await;
    world.clock = Clock::starting_at(at(0));
    let world = world.start();
    let begun = Instant::now();
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_arrives_elsewhere_between_two_leaders_is_in_the_report() {
    let (world, receiver) = told_world(0);
    for plural in ["virtualmachines", "virtualmachineinstances", "virtualmachineinstancemigrations", "kubevirts"] {
        world.server.install(&format!("{plural}.kubevirt.io"));
    }
    world.begin("m", "node02");
    world.until("it is marked", |world| world.maintenance()["status"]["notices"]["delivered"] == 2).await;
    let world = world.kill();
    // It was asked to leave before that, and has left since.
    world.server.edit(NODE, |node| {
        let record = &mut node["metadata"]["annotations"][RECORD_ANNOTATION];
        let mut read: Value = serde_json::from_str(record.as_str().unwrap()).unwrap();
        read["evacuations"] = json!(["uid-db", "uid-of-one-that-is-gone"]);
        *record = json!(read.to_string());
    });
    world.server.put(
        "/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances/db",
        json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": { "namespace": "shop", "name": "db", "uid": "uid-db" },
            "status": { "phase": "Running", "nodeName": "node03" },
        }),
    );
    let world = world.start();
    let moved = json!([{ "namespace": "shop", "name": "db", "to": "node03" }]);
    world.until("it is said", |world| world.maintenance()["status"]["report"]["moved"] == moved).await;
    end(&world).await;
    assert_eq!(receiver.taken()[2].report.as_ref().map(|report| report.moved.len()), Some(1), "once");
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_nobody_where_the_definition_in_the_cluster_does_not_keep_what_is_noted() {
    let (world, receiver) = told_world(0);
    world.server.prune("notices");
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    let begun = Instant::now();
    end(&world).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(receiver.attempts.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_once_although_the_object_cannot_be_let_go_yet() {
    let (world, receiver) = told_world(0);
    world.begin("m", "node02");
    world.until_phase("Succeeded").await;
    world.link().refuse(&format!("PATCH {MAINTENANCE}$"), 409);
    world.server.delete(MAINTENANCE);
    sleep(Duration::from_secs(60)).await;
    world.server.edit(MAINTENANCE, |object| object["metadata"]["labels"] = json!({ "a": "b" }));
    sleep(Duration::from_secs(60)).await;
    world.link().refuse_nothing();
    world.until("it goes", |world| world.server.get(MAINTENANCE).is_none()).await;
    assert_eq!(receiver.events(), ["Accepted", "Drained", "Ended"]);
}
