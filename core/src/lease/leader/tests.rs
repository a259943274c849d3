//! Candidates against a server in memory, in virtual time.

use proptest::prelude::*;
use serde_json::json;
use tokio::time::{advance, sleep};

use super::*;
use crate::testing::{FakeServer, Mood};

const NAMESPACE: &str = "/api/v1/namespaces/careen";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/careen/leases/leader";

fn server() -> FakeServer {
    let server = FakeServer::default();
    server.put(NAMESPACE, json!({ "metadata": { "name": "careen" } }));
    server
}

fn candidate(server: &FakeServer, identity: &str) -> LeaderElection {
    let settings = ElectionSettings::new("careen", "leader", identity);
    LeaderElection::start(server.client(), Clock::system(), settings)
}

/// Waits that long, and looks at every tenth of a second that at most one of them leads.
async fn watch_for(seconds: u64, candidates: &[&LeaderElection]) {
    for _ in 0..seconds * 10 {
        sleep(Duration::from_millis(100)).await;
        let leading = candidates.iter().filter(|candidate| candidate.is_mine()).count();
        assert!(leading <= 1, "{leading} lead at {:?}", Instant::now());
    }
}

/// Waits until leadership passes, but not for ever: virtual time would run on.
async fn passes(leadership: &mut watch::Receiver<Leadership>) {
    tokio::time::timeout(Duration::from_secs(300), leadership.changed()).await.unwrap().unwrap();
}

fn holder(server: &FakeServer) -> String {
    server.get(LEASE).unwrap()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_renews() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    let link = server.another_link();
    let second = candidate(&link, "second");
    watch_for(120, &[&first, &second]).await;
    assert!(first.is_mine());
    assert!(
        matches!(&*second.leadership().borrow(), Leadership::Standby { holder: Some(holder) } if holder == "first")
    );

    let spec = &server.get(LEASE).unwrap()["spec"];
    assert_eq!(spec["leaseTransitions"], 0);
    assert_ne!(spec["acquireTime"], spec["renewTime"]);
    // A leader writes and reads nothing; who stands by only reads.
    assert!(server.methods().starts_with("GET POST PUT PUT PUT"), "{}", server.methods());
    assert!((38..=43).contains(&server.requests()), "{}", server.requests());
    assert!(!link.methods().contains('P'), "{}", link.methods());
}

#[tokio::test(start_paused = true)]
async fn who_starts_together_does_not_lead_together() {
    let server = server();
    server.set_mood(Mood::Slow(Duration::from_millis(150)));
    let (first, second) = (candidate(&server, "first"), candidate(&server, "second"));
    watch_for(60, &[&first, &second]).await;
    assert!(first.is_mine() || second.is_mine());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_long_before_another_begins() {
    for mood in [Mood::Hang, Mood::Refuse(503), Mood::Refuse(403), Mood::LoseAnswers] {
        let server = server();
        let first = candidate(&server, "first");
        watch_for(1, &[&first]).await;
        let second = candidate(&server.another_link(), "second");
        watch_for(20, &[&first, &second]).await;

        server.set_mood(mood.clone());
        let cut_off = Instant::now();
        let mut leadership = first.leadership();
        leadership.mark_unchanged();
        passes(&mut leadership).await;
        assert!(matches!(&*leadership.borrow(), Leadership::Unavailable { .. }), "{mood:?}: it is told of it");
        let silent_for = cut_off.elapsed();
        assert!((Duration::from_secs(11)..=Duration::from_secs(15)).contains(&silent_for), "{mood:?} {silent_for:?}");
        assert!(!first.is_mine());

        let mut other = second.leadership();
        other.mark_unchanged();
        passes(&mut other).await;
        assert!(second.is_mine());
        let margin = cut_off.elapsed().checked_sub(silent_for).unwrap();
        assert!(margin >= Duration::from_secs(15), "{mood:?} {margin:?}");
        assert_eq!(server.get(LEASE).unwrap()["spec"]["leaseTransitions"], 1);

        // Back again, it does not disturb.
        server.set_mood(Mood::Serve);
        watch_for(60, &[&first, &second]).await;
        assert!(second.is_mine(), "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_disturbance_ends_nothing() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    for mood in [Mood::Hang, Mood::Refuse(500), Mood::ConflictOnWrite, Mood::LoseAnswers] {
        server.set_mood(mood.clone());
        for _ in 0..8 {
            sleep(Duration::from_secs(1)).await;
            assert!(first.is_mine(), "{mood:?}");
        }
        server.set_mood(Mood::Serve);
        watch_for(10, &[&first]).await;
        assert!(first.is_mine(), "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_is_seen() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;

    // A label: still ours.
    let mut lease = server.get(LEASE).unwrap();
    lease["metadata"]["labels"] = json!({ "a": "b" });
    server.put(LEASE, lease);
    watch_for(10, &[&first]).await;
    assert!(first.is_mine());
    assert_eq!(server.get(LEASE).unwrap()["metadata"]["labels"]["a"], "b");

    // Taken by force: it is over as soon as we write.
    let mut lease = server.get(LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!("other");
    server.put(LEASE, lease);
    sleep(Duration::from_secs(4)).await;
    assert!(matches!(&*first.leadership().borrow(), Leadership::Standby { holder: Some(holder) } if holder == "other"));

    // Deleted: whoever comes first.
    server.remove(LEASE);
    sleep(Duration::from_secs(4)).await;
    assert!(first.is_mine());
}

#[tokio::test(start_paused = true)]
async fn who_stops_hands_over_at_once_but_not_before_it_is_done() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    let second = candidate(&server.another_link(), "second");
    watch_for(10, &[&second]).await;

    let leadership = first.leadership();
    let handover = first.stop().await;
    assert!(!leadership.borrow().is_mine(Instant::now()), "the claim ends first");
    assert!(handover.deadline().unwrap() >= Instant::now() + Duration::from_secs(15));
    watch_for(10, &[&second]).await;
    assert!(!second.is_mine(), "a request of the first is still open");
    assert_eq!(holder(&server), "first");

    handover.release().await.unwrap();
    assert_eq!(holder(&server), "");
    assert_eq!(server.get(LEASE).unwrap()["spec"]["leaseDurationSeconds"], 1);
    advance(Duration::from_millis(3100)).await;
    sleep(Duration::from_millis(1)).await;
    assert!(second.is_mine());
    assert_eq!(server.get(LEASE).unwrap()["spec"]["leaseDurationSeconds"], 30);
}

#[tokio::test(start_paused = true)]
async fn whoever_drops_it_releases_it() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    drop(first);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(holder(&server), "");

    let second = candidate(&server, "second");
    watch_for(1, &[&second]).await;
    drop(second.stop().await);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(holder(&server), "");
}

#[tokio::test(start_paused = true)]
async fn a_handover_that_is_never_finished_ends_by_itself() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    let second = candidate(&server.another_link(), "second");
    let handover = first.stop().await;
    watch_for(36, &[&second]).await;
    assert!(second.is_mine());
    drop(handover);
}

#[tokio::test(start_paused = true)]
async fn who_steps_down_rests() {
    let server = server();
    let link = server.another_link();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    let second = candidate(&link, "second");
    watch_for(10, &[&first, &second]).await;

    first.step_down(Duration::from_secs(60)).await.release().await.unwrap();
    watch_for(5, &[&first, &second]).await;
    assert!(second.is_mine());
    assert!(
        matches!(&*first.leadership().borrow(), Leadership::Standby { holder: Some(holder) } if holder == "second")
    );

    // It rests even if nobody leads.
    drop(second);
    watch_for(50, &[&first]).await;
    assert!(!first.is_mine());
    watch_for(10, &[&first]).await;
    assert!(first.is_mine());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_failed_is_made_up_for_while_resting() {
    let server = server();
    let first = candidate(&server, "first");
    watch_for(1, &[&first]).await;
    server.set_mood(Mood::Refuse(500));
    assert!(first.step_down(Duration::from_secs(60)).await.release().await.is_err());
    assert_eq!(holder(&server), "first");
    server.set_mood(Mood::Serve);
    watch_for(5, &[&first]).await;
    assert_eq!(holder(&server), "");
    assert!(!first.is_mine());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_said_and_awaited() {
    let server = FakeServer::default();
    let first = candidate(&server, "first");
    let error = |candidate: &LeaderElection| match &*candidate.leadership().borrow() {
        Leadership::Unavailable { error } => error.to_string(),
        other => format!("{other:?}"),
    };
    sleep(Duration::from_secs(1)).await;
    assert!(error(&first).contains("create the namespace"), "{}", error(&first));
    sleep(Duration::from_secs(600)).await;
    assert!(server.requests() < 60, "with pauses: {}", server.requests());

    server.set_mood(Mood::Refuse(403));
    sleep(Duration::from_secs(31)).await;
    assert!(error(&first).contains("grant the right to get leases.coordination.k8s.io"), "{}", error(&first));

    server.set_mood(Mood::Serve);
    server.put(NAMESPACE, json!({ "metadata": { "name": "careen" } }));
    sleep(Duration::from_secs(31)).await;
    assert!(first.is_mine());
}

fn any_mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        3 => Just(Mood::Serve),
        1 => Just(Mood::Hang),
        1 => Just(Mood::LoseAnswers),
        1 => Just(Mood::Refuse(503)),
        1 => Just(Mood::ConflictOnWrite),
        1 => (0..7_000_u64).prop_map(|millis| Mood::Slow(Duration::from_millis(millis))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to the links, at most one leads, and no other within 15 s of one that fell silent.
    #[test]
    fn leaders_never_meet(history in prop::collection::vec((0..3_usize, any_mood(), 1..40_u64), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = server();
            let links = [server.clone(), server.another_link(), server.another_link()];
            let candidates = [0, 1, 2].map(|index| candidate(&links[index], &format!("candidate-{index}")));
            let mut last: Option<(usize, Instant)> = None;
            for (index, mood, seconds) in history {
                links[index].set_mood(mood);
                for _ in 0..seconds * 5 {
                    sleep(Duration::from_millis(200)).await;
                    let leading: Vec<usize> = (0..3).filter(|&index| candidates[index].is_mine()).collect();
                    assert!(leading.len() <= 1, "{leading:?}");
                    let Some(&leader) = leading.first() else { continue };
                    if let Some((before, at)) = last.filter(|(before, _)| *before != leader) {
                        assert!(at.elapsed() >= Duration::from_secs(15), "{before}, then {leader} after {:?}", at.elapsed());
                    }
                    last = Some((leader, Instant::now()));
                }
            }
            for link in &links {
                link.set_mood(Mood::Serve);
            }
            sleep(Duration::from_secs(40)).await;
            assert_eq!(candidates.iter().filter(|candidate| candidate.is_mine()).count(), 1, "in the end one leads");
        });
    }
}
