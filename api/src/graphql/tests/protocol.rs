//! The protocol `graphql-transport-ws`: what is said when, and how sockets end.

use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::json;
use tokio::time::{Duration, advance, sleep, timeout};

use super::client::Client;
use crate::rest::tests::{app::TestApp, simulated::Simulated};

const NODES: &str = "subscription { nodeChanged { isSnapshot } }";

#[tokio::test]
async fn what_is_not_of_the_protocol_ends_the_socket() {
    let app = Simulated::start().await;
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": NODES } });
    let init = json!({ "type": "connection_init", "payload": { "Authorization": "Bearer admin" } });
    for message in [subscribe.to_string(), "no JSON".to_owned(), json!({ "type": "start" }).to_string()] {
        let mut client = Client::connect(app.service()).await;
        client.say(&message).await;
        let code = if message.contains("subscribe") { 4401 } else { 4400 };
        assert_eq!(client.next().await["close"], code, "{message}");
    }
    let mut client = Client::of(app.service(), "admin").await;
    client.send(init).await;
    assert_eq!(client.next().await["close"], 4429);
    for message in [
        json!([1]),
        json!({ "id": "1", "type": "subscribe" }),
        json!({ "id": 1, "type": "subscribe", "payload": { "query": NODES } }),
        json!({ "id": "1", "type": "subscribe", "payload": {} }),
        json!({ "id": "1", "type": "subscribe", "payload": [NODES, null, null, null] }),
    ] {
        let mut client = Client::of(app.service(), "admin").await;
        client.send(message.clone()).await;
        assert_eq!(client.next().await["close"], 4400, "{message}");
    }
    let mut client = Client::of(app.service(), "admin").await;
    client.send(subscribe.clone()).await;
    client.data().await;
    client.send(subscribe).await;
    assert_eq!(client.next().await["close"], 4409);
}

#[tokio::test]
async fn an_id_is_free_again_when_its_subscription_is_over() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "admin").await;
    client.send(json!({ "type": "pong" })).await;
    client.send(json!({ "id": "never", "type": "complete" })).await;
    for _ in 0..2 {
        client.subscribe("1", "subscription { nodeChanged { nodes { nme } } }").await;
        assert_eq!(client.refused("1").await, "Invalid");
    }
    for _ in 0..2 {
        client.subscribe("1", NODES).await;
        client.data().await;
        client.send(json!({ "id": "1", "type": "complete" })).await;
    }
    client.is_quiet().await;
}

#[tokio::test]
async fn one_socket_has_fifty_subscriptions_and_one_caller_twenty_sockets() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "admin").await;
    for id in 0..50 {
        client.subscribe(&id.to_string(), "subscription { drainProgress(node: \"node01\") { drain { id } } }").await;
        client.data().await;
    }
    client.subscribe("50", NODES).await;
    assert_eq!(client.refused("50").await, "TooManyRequests");
    let mut open = vec![client];
    for _ in 1..20 {
        open.push(Client::of(app.service(), "admin").await);
    }
    let mut one_more = Client::connect(app.service()).await;
    let init = json!({ "type": "connection_init", "payload": { "Authorization": "Bearer admin" } });
    one_more.send(init).await;
    let closed = one_more.next().await;
    assert_eq!(closed["close"], 1013, "{closed}");
    assert!(closed["reason"].as_str().unwrap().contains("\"ann\" has 20 WebSockets open"), "{closed}");
    // Another is not concerned.
    Client::of(app.service(), "viewer").await;
}

#[tokio::test]
async fn who_does_not_say_who_they_are_leaves_places_for_others() {
    let app = Simulated::start().await;
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(Client::connect(app.service()).await);
    }
    assert_eq!(Client::try_connect(app.service()).await.err(), Some(429));
    let init = json!({ "type": "connection_init", "payload": { "Authorization": "Bearer viewer" } });
    strangers[0].send(init).await;
    assert_eq!(strangers[0].next().await["type"], "connection_ack");
    Client::of(app.service(), "viewer").await;
}

#[tokio::test]
async fn who_sends_too_much_is_refused_and_stays() {
    let app = Simulated::start().await;
    let mut client = Client::of(app.service(), "admin").await;
    for _ in 0..500 {
        client.subscribe("1", "{ nodes }").await;
        if client.refused("1").await == "TooManyRequests" {
            return client.is_quiet().await;
        }
    }
    panic!("500 subscriptions at once were let through");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_good_no_more_or_another_s_ends_the_socket() {
    let app = TestApp::start().await;
    let revoke = || app.kubernetes.revoke("admin");
    let give = || app.kubernetes.user("admin", "eve", &["*"]);
    for take_away in [&revoke as &dyn Fn(), &give] {
        app.kubernetes.user("admin", "ann", &["*"]);
        advance(Duration::from_secs(11)).await;
        let mut client = Client::of(app.service(), "admin").await;
        client.subscribe("1", "subscription { nodeChanged { isSnapshot } }").await;
        assert_eq!(client.data().await, json!({ "nodeChanged": { "isSnapshot": true } }));
        take_away();
        advance(Duration::from_secs(21)).await;
        let closed = client.next().await;
        assert_eq!(closed["close"], 4403, "{closed}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_who_they_are_is_let_go() {
    let app = TestApp::start().await;
    let mut client = Client::connect(app.service()).await;
    assert_eq!(client.next().await["close"], 4408);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_known_for_now_ends_the_socket_so_that_the_client_comes_again() {
    let app = TestApp::start().await;
    let mut client = Client::of(app.service(), "admin").await;
    app.kubernetes.go_away();
    client.subscribe("1", NODES).await;
    let closed = client.next().await;
    assert_eq!(closed["close"], 1013, "{closed}");
    let mut client = Client::connect(app.service()).await;
    client.send(json!({ "type": "connection_init", "payload": { "Authorization": "Bearer other" } })).await;
    assert_eq!(client.next().await["close"], 1013);
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_stays_and_who_is_silent_is_let_go() {
    let app = TestApp::start().await;
    let mut client = Client::of(app.service(), "admin").await;
    // While it waits it answers pings.
    timeout(Duration::from_secs(600), client.next()).await.unwrap_err();
    client.is_quiet().await;
    sleep(Duration::from_secs(74)).await;
    client.is_quiet().await;
    sleep(Duration::from_secs(80)).await;
    // It may find the connection closed already when it answers the pings at last.
    let last = client.next().await;
    assert!(last["close"] == 1013 || last.is_null(), "{last}");
}

#[tokio::test]
async fn open_sockets_are_counted() {
    let app = TestApp::start().await;
    let mut registry = Registry::default();
    app.http_metrics.register(&mut registry);
    let is = |open: u8| {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text.contains(&format!("careen_http_websockets {open}"))
    };
    let clients = [Client::of(app.service(), "admin").await, Client::of(app.service(), "admin").await];
    assert!(is(2));
    drop(clients);
    while !is(0) {
        tokio::task::yield_now().await;
    }
}
