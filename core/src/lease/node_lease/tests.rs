//! Node Leases against a server in memory, in virtual time.

use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::testing::{FakeServer, Mood};

const NAMESPACE: &str = "/api/v1/namespaces/medik8s-leases";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/medik8s-leases/leases/node-node02";
const OURS: &str = "careen/maintenance/uid-maintenance";

struct Scene {
    server: FakeServer,
    clock: Clock,
}

fn scene() -> Scene {
    let server = FakeServer::default();
    server.put(NAMESPACE, json!({ "metadata": { "name": "medik8s-leases" } }));
    Scene { server, clock: Clock::system() }
}

impl Scene {
    async fn acquire(&self) -> Result<NodeLease, NodeLeaseError> {
        let node = "node02".parse().unwrap();
        NodeLease::acquire(self.server.client(), self.clock, &node, &"uid-node02".into(), OURS).await
    }

    fn lease(&self) -> Option<Value> {
        self.server.get(LEASE)
    }

    /// Somebody writes the Lease, for an hour, that long ago.
    fn held_by(&self, holder: &str, seconds_ago: u64) {
        let renewed = self.clock.now() - Duration::from_secs(seconds_ago);
        let spec =
            json!({ "holderIdentity": holder, "leaseDurationSeconds": 3600, "renewTime": format!("{renewed:.6}") });
        self.server.put(LEASE, json!({ "metadata": { "name": "node-node02", "uid": "uid-lease" }, "spec": spec }));
    }
}

/// Waits for a change, but not for ever: virtual time would run on.
async fn changes(state: &mut watch::Receiver<NodeLeaseState>) {
    tokio::time::timeout(Duration::from_secs(300), state.changed()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_made_renewed_by_a_timer_and_deleted() {
    let scene = scene();
    let mut lease = scene.acquire().await.unwrap();
    assert_eq!(scene.server.methods(), "GET POST");
    let made = scene.lease().unwrap();
    assert_eq!(made["spec"]["holderIdentity"], OURS);
    assert_eq!(made["spec"]["leaseDurationSeconds"], 90);
    assert_eq!(
        made["metadata"]["ownerReferences"],
        json!([{ "apiVersion": "v1", "kind": "Node", "name": "node02", "uid": "uid-node02" }])
    );

    for _ in 0..3600 {
        sleep(Duration::from_secs(1)).await;
        assert!(lease.is_held());
    }
    assert_eq!(scene.server.requests(), 2 + 119, "one PUT every 30 s");
    let renewed = scene.lease().unwrap();
    assert_eq!(renewed["spec"]["acquireTime"], made["spec"]["acquireTime"]);
    assert_ne!(renewed["spec"]["renewTime"], made["spec"]["renewTime"]);

    lease.release().await.unwrap();
    assert_eq!(scene.lease(), None);
    assert!(scene.server.methods().ends_with("PUT DELETE"), "{}", scene.server.methods());
}

#[tokio::test(start_paused = true)]
async fn whose_it_is_decides() {
    for (holder, seconds_ago, free) in [
        (OURS, 0, true),
        ("", 0, true),
        ("self-node-remediation", 0, false),
        ("self-node-remediation", 3605, false),
        ("self-node-remediation", 3611, true),
    ] {
        let scene = scene();
        scene.held_by(holder, seconds_ago);
        match scene.acquire().await {
            Ok(lease) => {
                assert!(free && lease.is_held(), "{holder} {seconds_ago}");
                assert_eq!(scene.server.methods(), "GET PUT");
                let spec = &scene.lease().unwrap()["spec"];
                assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!(OURS), &json!(90)));
                assert_eq!(spec["leaseTransitions"].as_i64().unwrap_or_default(), i64::from(holder != OURS));
            }
            Err(error) => {
                assert!(!free, "{holder} {seconds_ago}");
                assert_eq!(scene.server.methods(), "GET");
                let text = error.to_string();
                assert!(text.contains("node node02 is held by self-node-remediation until 20"), "{text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn losing_it_is_noticed_and_left_alone() {
    let scene = scene();
    let mut lease = scene.acquire().await.unwrap();
    scene.held_by("self-node-remediation", 0);
    let mut state = lease.state();
    changes(&mut state).await;
    assert!(matches!(&*state.borrow(), NodeLeaseState::Lost { to } if to == "self-node-remediation"));
    assert!(!lease.is_held());

    sleep(Duration::from_secs(8000)).await;
    assert!(!lease.is_held(), "not taken back when it lapses");
    let error = lease.release().await.unwrap_err();
    assert!(matches!(error, NodeLeaseError::HeldBy { holder, .. } if holder == "self-node-remediation"));
    assert!(scene.lease().is_some());
}

#[tokio::test(start_paused = true)]
async fn it_is_lost_even_if_the_other_is_gone_when_it_is_noticed() {
    let scene = scene();
    let lease = scene.acquire().await.unwrap();
    scene.held_by("self-node-remediation", 5000);
    sleep(Duration::from_secs(31)).await;
    assert!(matches!(&*lease.state().borrow(), NodeLeaseState::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn without_renewal_we_stop_before_others_may_begin_and_go_on_afterwards() {
    for mood in [Mood::Hang, Mood::Refuse(500), Mood::LoseAnswers] {
        let scene = scene();
        let lease = scene.acquire().await.unwrap();
        scene.server.set_mood(mood.clone());
        let mut state = lease.state();
        let cut_off = Instant::now();
        changes(&mut state).await;
        assert!(matches!(&*state.borrow(), NodeLeaseState::Unconfirmed { .. }), "{mood:?}");
        assert!(!lease.is_held());
        assert_eq!(cut_off.elapsed().as_secs(), 75, "{mood:?}");

        scene.server.set_mood(Mood::Serve);
        sleep(Duration::from_secs(11)).await;
        assert!(lease.is_held(), "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_write_into_it_is_kept() {
    let scene = scene();
    let lease = scene.acquire().await.unwrap();
    let mut labelled = scene.lease().unwrap();
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    scene.server.put(LEASE, labelled);
    sleep(Duration::from_secs(35)).await;
    assert!(lease.is_held());
    assert_eq!(scene.server.methods(), "GET POST PUT GET PUT");
    assert_eq!(scene.lease().unwrap()["metadata"]["labels"]["a"], "b");

    // Deleted by hand: nobody else has it.
    scene.server.remove(LEASE);
    sleep(Duration::from_secs(35)).await;
    assert!(lease.is_held());
    assert!(scene.lease().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_release_finds_what_a_lost_answer_left() {
    let scene = scene();
    let mut lease = scene.acquire().await.unwrap();
    scene.server.set_mood(Mood::LoseAnswers);
    sleep(Duration::from_secs(33)).await;
    scene.server.set_mood(Mood::Serve);
    lease.release().await.unwrap();
    assert_eq!(scene.lease(), None);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_failed_is_tried_again() {
    let scene = scene();
    let mut lease = scene.acquire().await.unwrap();
    scene.server.set_mood(Mood::Refuse(503));
    assert!(matches!(lease.release().await, Err(NodeLeaseError::Request { .. })));
    scene.server.set_mood(Mood::Serve);
    lease.release().await.unwrap();
    assert_eq!(scene.lease(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_before_a_restart_is_released_and_what_another_holds_is_not() {
    let scene = scene();
    drop(scene.acquire().await.unwrap());
    let node = "node02".parse().unwrap();
    let release = |holder| NodeLease::release_left_behind(scene.server.client(), scene.clock, &node, holder);
    release("careen/maintenance/another").await.unwrap();
    assert!(scene.lease().is_some());
    release(OURS).await.unwrap();
    assert_eq!(scene.lease(), None);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_stays_for_the_next_leader() {
    let scene = scene();
    drop(scene.acquire().await.unwrap());
    let left = scene.lease();
    sleep(Duration::from_secs(200)).await;
    assert_eq!(scene.lease(), left);
    assert!(scene.acquire().await.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named() {
    let scene = scene();
    scene.server.remove(NAMESPACE);
    assert!(matches!(scene.acquire().await, Err(NodeLeaseError::NamespaceMissing { .. })));
    let client = scene.server.client();
    ensure_namespace(client.clone()).await.unwrap();
    ensure_namespace(client).await.unwrap();
    assert!(scene.acquire().await.is_ok());

    scene.server.set_mood(Mood::Refuse(403));
    let error = scene.acquire().await.unwrap_err();
    assert!(matches!(error, NodeLeaseError::Forbidden { verb: "get", .. }), "{error}");
    scene.server.set_mood(Mood::Hang);
    assert!(matches!(scene.acquire().await, Err(NodeLeaseError::Request { source: LeaseError::Timeout { .. }, .. })));
}
