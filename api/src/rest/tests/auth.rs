//! Who calls, and what they may do.

use std::time::Duration;

use axum::{Router, body::Body, http::Request};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::time::{Instant, advance, sleep};

use super::TestApp;
use crate::rest::Limits;

#[tokio::test]
async fn without_a_good_token_nobody_is_let_in() {
    let app = TestApp::start().await;
    let nobody = app.send(Request::get("/api/v1/nodes").body(Body::empty()).unwrap()).await;
    assert!(nobody.problem(401, "Unauthorized").contains("Authorization: Bearer TOKEN"));
    assert_eq!(nobody.header("www-authenticate"), "Bearer realm=\"careen\"");
    assert_eq!(app.kubernetes.reviews(), [""; 0]);

    let stranger = app.get_as("made-up", "/api/v1/nodes").await;
    assert!(stranger.problem(401, "Unauthorized").contains("Kubernetes does not know the token"));
    assert_eq!(stranger.header("www-authenticate"), "Bearer realm=\"careen\"");
    assert!(!stranger.text().contains("made-up"));
}

#[tokio::test]
async fn who_lacks_a_permission_is_told_which() {
    let app = TestApp::start().await;
    app.kubernetes.user("viewer", "vic", &["list nodes"]);
    app.get_as("viewer", "/api/v1/nodes").await.ok();
    let refused = app.get_as("viewer", "/api/v1/nodes/node02").await;
    assert_eq!(refused.problem(403, "Forbidden"), "\"vic\" may not get nodes \"node02\"");
    assert_eq!(refused.json()["missing"], serde_json::json!(["get nodes \"node02\""]));
    // Whether the node exists is nobody's business who may not look.
    app.get_as("viewer", "/api/v1/nodes/node99").await.problem(403, "Forbidden");
}

#[tokio::test]
async fn a_right_may_be_for_one_node_only() {
    let app = TestApp::start().await;
    app.kubernetes.user("one", "olga", &["get nodes node02"]);
    app.get_as("one", "/api/v1/nodes/node02").await.ok();
    app.get_as("one", "/api/v1/nodes/node01").await.problem(403, "Forbidden");
    let asked = app.kubernetes.reviews();
    assert_eq!(asked, ["token one null", "olga get nodes", "olga get nodes node02", "olga get nodes node01"]);
}

#[tokio::test(start_paused = true)]
async fn reads_ask_once_in_ten_seconds() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        for node in ["node01", "node02", "node03"] {
            app.get(&format!("/api/v1/nodes/{node}")).await.ok();
        }
    }
    assert_eq!(app.kubernetes.reviews(), ["token admin null", "ann get nodes"]);
    advance(Duration::from_secs(10)).await;
    app.get("/api/v1/nodes/node01").await.ok();
    assert_eq!(app.kubernetes.reviews(), ["token admin null", "ann get nodes"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_known_is_answered_however_many_send_made_up_tokens() {
    let app = TestApp::start().await;
    app.get("/api/v1/nodes").await.ok();
    app.kubernetes.ignore_strangers();
    let made_up = |number: usize| {
        let app = &app;
        async move { app.get_as(&format!("made-up-{number}"), "/api/v1/nodes").await.status.as_u16() }
    };
    let meanwhile = async {
        for _ in 0..3 {
            // The first time it is known who that is, then it is asked again.
            sleep(Duration::from_secs(5)).await;
            app.get("/api/v1/nodes").await.ok();
        }
    };
    let strangers = futures::future::join_all((0..2000).map(async |number| {
        // All the time.
        sleep(Duration::from_secs(1) * u32::try_from(number / 200).unwrap()).await;
        made_up(number).await
    }));
    let (answers, ()) = tokio::join!(strangers, meanwhile);
    assert!(answers.iter().all(|status| [429, 503].contains(status)), "{answers:?}");
    assert!(answers.contains(&429) && answers.contains(&503));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_out_after_ten_seconds_and_a_new_one_is_in_after_two() {
    let app = TestApp::start().await;
    app.get("/api/v1/nodes").await.ok();
    app.kubernetes.revoke("admin");
    advance(Duration::from_secs(9)).await;
    app.get("/api/v1/nodes").await.ok();
    advance(Duration::from_secs(1)).await;
    app.get("/api/v1/nodes").await.problem(401, "Unauthorized");
    app.kubernetes.user("admin", "ann", &[]);
    app.get("/api/v1/nodes").await.problem(401, "Unauthorized");
    advance(Duration::from_secs(2)).await;
    app.get("/api/v1/nodes").await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_or_its_right_is_gone() {
    let app = TestApp::start().await;
    let forbid = || app.kubernetes.forbid("ann");
    let revoke = || app.kubernetes.revoke("admin");
    for (take_away, says) in [(&forbid as &dyn Fn(), "may not list nodes"), (&revoke, "Kubernetes does not know")] {
        app.kubernetes.user("admin", "ann", &["*"]);
        // What was known of her is forgotten.
        advance(Duration::from_secs(10)).await;
        let begun = Instant::now();
        let meanwhile = async {
            sleep(Duration::from_secs(1)).await;
            take_away();
        };
        let (stream, ()) = tokio::join!(app.get("/api/v1/events"), meanwhile);
        let text = stream.text();
        assert!(text.contains("event: goodbye") && text.contains(says), "{text}");
        assert!(begun.elapsed() <= Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_good_beyond_its_own_end() {
    let app = TestApp::start().await;
    let end = jiff::Timestamp::now().as_second() + 3;
    let token = format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{end}}}")));
    app.kubernetes.user(&token, "eve", &["*"]);
    app.get_as(&token, "/api/v1/nodes").await.ok();
    app.kubernetes.revoke(&token);
    advance(Duration::from_secs(3)).await;
    app.get_as(&token, "/api/v1/nodes").await.problem(401, "Unauthorized");
}

#[tokio::test]
async fn many_at_the_same_time_make_one_review() {
    let app = TestApp::start().await;
    let all = futures::future::join_all((0..50).map(|_| app.get("/api/v1/nodes"))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(app.kubernetes.reviews(), ["token admin null", "ann list nodes"]);
}

#[tokio::test]
async fn a_token_is_for_the_api_server_or_for_a_further_audience() {
    for (further, of_token, status) in [
        (&[][..], &["https://kubernetes.default.svc"][..], 200),
        (&[], &["careen"], 401),
        (&["careen"], &["https://kubernetes.default.svc"], 200),
        (&["careen"], &["x", "careen"], 200),
        (&["careen"], &["x"], 401),
        // It does not look at audiences.
        (&["careen"], &[], 200),
    ] {
        let audiences = further.iter().map(|audience| (*audience).to_owned()).collect();
        let app = TestApp::with(Limits::default(), audiences, Router::new()).await;
        app.kubernetes.set_audiences(of_token);
        assert_eq!(app.get("/api/v1/nodes").await.status, status, "{further:?} {of_token:?}");
    }
}

#[tokio::test]
async fn while_kubernetes_cannot_be_asked_nobody_is_taken_for_a_stranger() {
    let app = TestApp::start().await;
    app.kubernetes.go_away();
    let answer = app.get("/api/v1/nodes").await;
    answer.problem(503, "ServiceUnavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.text().contains("etcd"));
}
