//! Get, list and watch.

use std::time::Duration;

use bytes::Bytes;
use careen_sim::api_server::{ApiServer, Options, User};
use futures::{StreamExt, TryStreamExt, pin_mut};
use http_body_util::Full;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixtures::{CONFIG_MAPS, PODS, clock, config_map, in_short, merge, running_pod, send, server, watch};

async fn with_config_maps(names: &[&str]) -> ApiServer {
    let server = server();
    for name in names {
        assert_eq!(send(&server, "POST", CONFIG_MAPS, config_map(name)).await.0, 201);
    }
    server
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_has_a_kind_and_its_items_do_not() {
    let server = with_config_maps(&["b", "a"]).await;
    let (code, list) = send(&server, "GET", "/api/v1/configmaps", Value::Null).await;
    assert_eq!((code, &list["kind"], &list["apiVersion"]), (200, &json!("ConfigMapList"), &json!("v1")));
    assert_eq!(names(&list), ["a", "b"]);
    assert_eq!(list["items"][0]["kind"], Value::Null);
    assert_eq!(list["metadata"], json!({ "resourceVersion": server.version().to_string() }));
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_version() {
    let server = with_config_maps(&["a", "b", "c"]).await;
    let version = server.version().to_string();
    let (_, first) = send(&server, "GET", "/api/v1/configmaps?limit=2", Value::Null).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let token = first["metadata"]["continue"].as_str().unwrap();
    send(&server, "POST", CONFIG_MAPS, config_map("d")).await;
    send(&server, "DELETE", &format!("{CONFIG_MAPS}/c"), Value::Null).await;
    let next = format!("/api/v1/configmaps?limit=2&continue={token}");
    let (_, second) = send(&server, "GET", &next, Value::Null).await;
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second["metadata"], json!({ "resourceVersion": version }));

    server.forget_history();
    let (code, refusal) = send(&server, "GET", &next, Value::Null).await;
    assert_eq!((code, &refusal["reason"]), (410, &json!("Expired")));
    let token = refusal["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = send(&server, "GET", &format!("/api/v1/configmaps?continue={token}"), Value::Null).await;
    assert_eq!(names(&rest), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_there_yet_or_any_more() {
    let server = with_config_maps(&["a"]).await;
    let then = server.version();
    send(&server, "DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
    let exact = format!("/api/v1/configmaps?resourceVersionMatch=Exact&resourceVersion={then}");
    let (_, list) = send(&server, "GET", &exact, Value::Null).await;
    assert_eq!((names(&list), &list["metadata"]["resourceVersion"]), (vec!["a"], &json!(then.to_string())));
    server.forget_history();
    assert_eq!(send(&server, "GET", &exact, Value::Null).await.0, 410);
    let (code, refusal) = send(&server, "GET", "/api/v1/configmaps?resourceVersion=99999", Value::Null).await;
    assert_eq!((code, &refusal["details"]["retryAfterSeconds"]), (504, &json!(1)));
    let (code, _) = send(&server, "GET", "/api/v1/configmaps?sendInitialEvents=true", Value::Null).await;
    assert_eq!(code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_a_version() {
    let server = with_config_maps(&["a"]).await;
    let version = server.version();
    let uri = format!("{CONFIG_MAPS}/a");
    merge(&server, &uri, json!({ "data": { "c": "d" } })).await;
    send(&server, "DELETE", &uri, Value::Null).await;
    let events = watch(&server, &format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=5&resourceVersion={version}")).await;
    assert_eq!(in_short(&events), ["MODIFIED a", "DELETED a"]);
    let deleted = &events.last().unwrap().1;
    assert_eq!(deleted["metadata"]["resourceVersion"], server.version().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_forgotten_version_is_told_410() {
    let server = with_config_maps(&["a", "b"]).await;
    server.forget_history();
    let events = watch(&server, &format!("{CONFIG_MAPS}?watch=true&resourceVersion=2")).await;
    assert_eq!(in_short(&events), ["ERROR"]);
    assert_eq!((&events[0].1["code"], &events[0].1["reason"]), (&json!(410), &json!("Expired")));
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_ends_with_a_bookmark() {
    let server = with_config_maps(&["a", "b"]).await;
    let uri = format!(
        "{CONFIG_MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true\
         &timeoutSeconds=100"
    );
    let events = watch(&server, &uri).await;
    assert_eq!(in_short(&events), ["ADDED a", "ADDED b", "BOOKMARK", "BOOKMARK"]);
    assert_eq!(events[2].1["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    // The other one comes after a minute.
    assert_eq!(events[3].1["metadata"]["annotations"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn kube_watches_both_ways_and_survives_a_closed_watch_and_a_forgotten_history() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let server = with_config_maps(&["a"]).await;
        let api: Api<ConfigMap> = Api::all(server.as_user(User::administrator()).client());
        let seen = watcher(api, config).default_backoff().touched_objects();
        pin_mut!(seen);
        let mut next = async || seen.try_next().await.unwrap().unwrap().metadata.name.unwrap();
        assert_eq!(next().await, "a");
        send(&server, "POST", CONFIG_MAPS, config_map("b")).await;
        assert_eq!(next().await, "b");
        server.forget_history();
        server.close_watches("configmaps");
        send(&server, "POST", CONFIG_MAPS, config_map("c")).await;
        // It may see what it has seen once more.
        while next().await != "c" {}
    }
}

/// As etcd orders their keys, `/registry/configmaps/a-b/x` before `/registry/configmaps/a/x`.
#[tokio::test(start_paused = true)]
async fn a_list_over_namespaces_is_in_the_order_of_their_paths() {
    let server = server();
    for namespace in ["a", "a-b", "a0"] {
        let namespace = json!({ "metadata": { "name": namespace } });
        send(&server, "POST", "/api/v1/namespaces", namespace).await;
    }
    for namespace in ["a", "a-b", "a0"] {
        for name in ["x", "x-1"] {
            let uri = format!("/api/v1/namespaces/{namespace}/configmaps");
            assert_eq!(send(&server, "POST", &uri, config_map(name)).await.0, 201);
        }
    }
    let keys = |list: &Value| -> Vec<String> {
        let text = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap().to_owned();
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| format!("{}/{}", text(item, "namespace"), text(item, "name"))).collect()
    };
    let expected = ["a-b/x", "a-b/x-1", "a/x", "a/x-1", "a0/x", "a0/x-1"];
    let (_, list) = send(&server, "GET", "/api/v1/configmaps", Value::Null).await;
    assert_eq!(keys(&list), expected);
    let (_, list) = send(&server, "GET", "/api/v1/namespaces/a/configmaps", Value::Null).await;
    assert_eq!(keys(&list), ["a/x", "a/x-1"]);
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let uri = format!("/api/v1/configmaps?limit=1&continue={next}");
        let (_, page) = send(&server, "GET", &uri, Value::Null).await;
        found.extend(keys(&page));
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(found, expected);
}

/// Who only looks changes nothing: not even the names that come after.
#[tokio::test(start_paused = true)]
async fn reading_does_not_change_the_names_that_are_made_later() {
    let mut names = Vec::new();
    for reads in [false, true] {
        let options = Options { audit: Some(std::sync::Arc::new(|_| {})), ..Options::new(clock(), 7) };
        let server = ApiServer::new(options);
        if reads {
            send(&server, "GET", CONFIG_MAPS, Value::Null).await;
            let seen = server.as_user(User::administrator());
            let request = http::Request::get(format!("{CONFIG_MAPS}?watch=1")).body(Full::<Bytes>::default()).unwrap();
            assert_eq!(seen.oneshot(request).await.unwrap().status(), 200);
        }
        let object = json!({ "metadata": { "generateName": "a-" } });
        let (_, made) = send(&server, "POST", CONFIG_MAPS, object).await;
        names.push((made["metadata"]["name"].clone(), made["metadata"]["uid"].clone()));
    }
    assert_eq!(names[0], names[1]);
}

#[tokio::test(start_paused = true)]
async fn watches_can_be_held_back() {
    let server = with_config_maps(&[]).await;
    let api: Api<ConfigMap> = Api::all(server.as_user(User::administrator()).client());
    let seen = watcher(api, watcher::Config::default()).touched_objects();
    pin_mut!(seen);
    assert!(tokio::time::timeout(Duration::from_secs(1), seen.next()).await.is_err());
    server.hold_watches(|request| request.target.as_ref().is_some_and(|target| target.plural == "configmaps"));
    send(&server, "POST", CONFIG_MAPS, config_map("a")).await;
    assert!(tokio::time::timeout(Duration::from_secs(100), seen.next()).await.is_err());
    server.release_watches();
    assert_eq!(seen.next().await.unwrap().unwrap().metadata.name.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_said_as_kubernetes_says_it() {
    let server = server();
    let cases = [
        ("GET", "/api/v1/namespaces/default/pods/nope", 404, "pods \"nope\" not found"),
        ("GET", "/nope", 404, "404 page not found\n"),
        ("GET", "/apis/nope/v1", 404, "404 page not found\n"),
        ("GET", "/apis/nope/v1/foos", 404, "404 page not found\n"),
        ("GET", "/api/v1/nope", 404, "the server could not find the requested resource"),
        ("GET", "/api/v1/namespaces/default/pods/a/nope", 404, "the server could not find the requested resource"),
        ("PUT", "/api/v1/configmaps", 405, "the server does not allow this method on the requested resource"),
        ("POST", "/api/v1/configmaps", 405, "the server does not allow this method on the requested resource"),
        (
            "GET",
            "/api/v1/namespaces/default/pods/a/log",
            501,
            "careen-sim, the API server in memory, does not implement get of pods/log",
        ),
        (
            "GET",
            "/apis/networking.k8s.io/v1/ingresses",
            501,
            "careen-sim, the API server in memory, does not implement ingresses.networking.k8s.io",
        ),
    ];
    for (method, uri, code, message) in cases {
        let (answered, body) = send(&server, method, uri, Value::Null).await;
        let said = body["message"].as_str().or(body.as_str()).unwrap();
        assert_eq!((answered, said), (code, message), "{uri}");
    }
}

/// A link that somebody follows is a GET.
#[tokio::test(start_paused = true)]
async fn a_get_changes_nothing() {
    let server = with_config_maps(&["a"]).await;
    running_pod(&server, "p", true).await;
    let version = server.version();
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (uri, code) in [
        (format!("{CONFIG_MAPS}/a?_method=DELETE&propagationPolicy=Background"), 200),
        (format!("{CONFIG_MAPS}?dryRun=&fieldManager=x"), 200),
        (format!("{PODS}/p/eviction"), 405),
        (format!("{PODS}/p/binding"), 405),
        (format!("{PODS}/p/status"), 200),
        ("/api/v1/namespaces/default/serviceaccounts/default/token".to_owned(), 405),
        (reviews.to_owned(), 405),
    ] {
        assert_eq!(send(&server, "GET", &uri, Value::Null).await.0, code, "{uri}");
        assert_eq!(send(&server, "GET", &uri, config_map("b")).await.0, code, "{uri}, with a body");
    }
    assert_eq!(server.version(), version);
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_be_somebody_else_is_told_that_this_is_not_implemented() {
    let server = with_config_maps(&["a"]).await;
    for header in ["Impersonate-User", "Impersonate-Group", "Impersonate-Extra-scopes"] {
        let request = http::Request::get(CONFIG_MAPS).header(header, "alice").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(server.as_user(User::administrator()).oneshot(request).await.unwrap().status(), 501, "{header}");
    }
}
