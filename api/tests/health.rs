//! What probes and Prometheus are told, without a socket.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header::CONTENT_TYPE},
};
use careen::rest::HttpMetrics;
use careen_core::{
    cluster::{Cluster, client_on},
    metrics::Metrics,
};
use tower::ServiceExt;

/// The cluster that an API server without objects shows.
fn cluster(forbidden: &'static str) -> Cluster {
    let metrics = Metrics::default();
    let api_server = support::empty_api_server(forbidden);
    let service = api_server.map_request(|request: Request<kube::client::Body>| request.map(Body::new));
    Cluster::whole(client_on(service, &metrics), metrics)
}

/// Status, content type and text of the answer to a GET.
async fn get(cluster: &Cluster, path: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = careen::health::router(cluster.clone(), &HttpMetrics::default()).oneshot(request).await.unwrap();
    let (status, content_type) = (response.status(), response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned());
    let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, content_type, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn it_is_ready_when_the_caches_are_filled() {
    let cluster = cluster("nothing");
    let (status, _, text) = get(&cluster, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("Node: the first list has not come yet\n"), "{text}");
    cluster.ready().await;
    let (status, _, text) = get(&cluster, "/readyz").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "ok\n"));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_said_with_the_api_servers_words() {
    let cluster = cluster("pods");
    tokio::time::timeout(std::time::Duration::from_secs(60), cluster.ready()).await.unwrap_err();
    let (status, _, text) = get(&cluster, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text, "Pod: pods is forbidden: you may not list it\n");
    assert_eq!(get(&cluster, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn it_lives_while_it_answers() {
    let (status, _, text) = get(&cluster("nodes"), "/livez").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "ok\n"));
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let cluster = cluster("nothing");
    cluster.ready().await;
    let (status, content_type, text) = get(&cluster, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.contains("careen_api_requests_total{verb=\"GET\",code=\"200\"}"), "{text}");
    assert!(text.contains("careen_build_info{version=\"0.1.0\"} 1"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}
