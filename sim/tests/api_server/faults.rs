//! Requests that go wrong because a test wants it.

use std::time::Duration;

use careen_sim::api_server::{User, fault::Effect, refusal::Refusal, request::Request};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::fixtures::{CONFIG_MAPS, config_map, send, server};

fn is_create(request: &Request) -> bool {
    request.verb == "create"
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_passed_on_and_ends_after_so_many_times() {
    let server = server();
    server.faults().add_times(2, is_create, Effect::Refuse(Refusal::new(503, "ServiceUnavailable", "not now")));
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(send(&server, "POST", CONFIG_MAPS, config_map("a")).await.0);
    }
    assert_eq!(codes, [503, 503, 201]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_lost_after_the_write_took_place() {
    for effect in [Effect::LoseAnswer, Effect::HangAfterwards] {
        let server = server();
        server.faults().add(is_create, effect);
        let maps: Api<ConfigMap> = Api::default_namespaced(server.as_user(User::administrator()).client());
        let map = serde_json::from_value(config_map("a")).unwrap();
        let answer = timeout(Duration::from_secs(5), maps.create(&PostParams::default(), &map)).await;
        assert!(answer.is_err() || answer.unwrap().is_err());
        assert!(server.get("configmaps", "default", "a").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_can_break_or_hang_before_anything_is_done() {
    for effect in [Effect::DropConnection, Effect::Hang] {
        let server = server();
        server.faults().add(is_create, effect);
        let maps: Api<ConfigMap> = Api::default_namespaced(server.as_user(User::administrator()).client());
        let map = serde_json::from_value(config_map("a")).unwrap();
        let answer = timeout(Duration::from_secs(5), maps.create(&PostParams::default(), &map)).await;
        assert!(answer.is_err() || answer.unwrap().is_err());
        assert!(server.get("configmaps", "default", "a").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn links_fail_on_their_own() {
    let server = server();
    let id = server.faults().add(|request| request.link == "slow", Effect::Delay(Duration::from_secs(9)));
    let list = async |link: &str| {
        let maps: Api<ConfigMap> =
            Api::default_namespaced(server.as_user(User::administrator()).on_link(link).client());
        let start = Instant::now();
        maps.list(&kube::api::ListParams::default()).await.unwrap();
        start.elapsed().as_secs()
    };
    assert_eq!((list("slow").await, list("fast").await), (9, 0));
    server.faults().remove(id);
    assert_eq!(list("slow").await, 0);
    send(&server, "GET", CONFIG_MAPS, Value::Null).await;
}
