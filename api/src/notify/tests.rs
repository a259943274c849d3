//! Call-backs over a socket: what a receiver gets, and what of it never shows.

use std::sync::{Arc, Mutex};

use ::ring::hmac;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use careen_core::model::{NodeMaintenance, Notice, NoticeEvent};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const KEY: [u8; 32] = [7; 32];

#[derive(Clone)]
struct Received {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// A receiver on loopback that answers with that status, and what it has got.
async fn receiver(status: StatusCode) -> (String, Arc<Mutex<Vec<Received>>>) {
    let got: Arc<Mutex<Vec<Received>>> = Arc::default();
    let inbox = got.clone();
    let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        inbox.lock().unwrap().push(Received { uri, headers, body });
        (status, [("location", "http://127.0.0.1:9/elsewhere")])
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/s3cret?key=s3cret", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, got)
}

fn notifier(url: &str) -> Notifier {
    let file = std::env::temp_dir().join(format!("careen-secret-{:08x}", crate::identity::random()));
    std::fs::write(&file, format!("whsec_{}\n", STANDARD.encode(KEY))).unwrap();
    let notifier = Notifier::open(url, &file, Clock::system()).unwrap();
    std::fs::remove_file(file).unwrap();
    notifier
}

fn call_back(event: NoticeEvent) -> CallBack {
    let object: NodeMaintenance = serde_json::from_value(json!({
        "apiVersion": "nodemaintenance.kubevirt.io/v1beta1", "kind": "NodeMaintenance",
        "metadata": {"name": "node02-maintenance", "uid": "uid-1", "resourceVersion": "7"},
        "spec": {"nodeName": "node02", "reason": "Replacing node02", "ticket": {"id": "CHG0042"}},
        "status": {
            "startedAt": "2026-01-01T00:00:00Z", "drainedAt": "2026-01-01T00:01:30Z", "evictionPods": 5,
            "report": {"moved": [{"namespace": "shop", "name": "db", "to": "node03"}],
                       "stopped": [{"namespace": "office", "name": "legacy"}]},
        },
    }))
    .unwrap();
    let time = "2026-01-01T01:00:00Z".parse().unwrap();
    let (reason, message) = ("Ended".to_owned(), "the node is restored".to_owned());
    CallBack::of(&object, &Notice { number: 4, event, time, reason, message })
}

#[tokio::test]
async fn the_receiver_gets_a_signed_cloud_event_with_the_report() {
    let (url, got) = receiver(StatusCode::NO_CONTENT).await;
    notifier(&url).deliver(call_back(NoticeEvent::Ended)).await.unwrap();
    let Received { uri, headers, body } = got.lock().unwrap()[0].clone();
    assert_eq!(uri.to_string(), "/hooks/s3cret?key=s3cret");
    let header = |name| headers[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("webhook-id")), ("application/cloudevents+json", "uid-1.4"));
    let sent: i64 = header("webhook-timestamp").parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - sent).abs() < 60);
    let signed = [b"uid-1.4.", header("webhook-timestamp").as_bytes(), b".", &body].concat();
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &signed, &signature).unwrap();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let attribute = |name: &str| event[name].as_str().unwrap().to_owned();
    assert_eq!(
        ["specversion", "id", "type", "subject", "time", "datacontenttype"].map(attribute),
        ["1.0", "uid-1.4", "dev.careen.maintenance.ended", "node02", "2026-01-01T01:00:00Z", "application/json"]
    );
    assert_eq!(event["data"]["maintenance"]["ticket"]["id"], "CHG0042");
    let report = &event["data"]["report"];
    assert_eq!(report["moved"], json!([{"namespace": "shop", "name": "db", "to": "node03"}]));
    assert_eq!((&report["drainedAfter"], &report["endedAfter"]), (&json!("1m30s"), &json!("1h")));
}

#[tokio::test]
async fn whatever_is_no_success_is_told_as_such_and_a_redirect_is_not_followed() {
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::GONE, StatusCode::TEMPORARY_REDIRECT] {
        let (url, got) = receiver(status).await;
        let error = notifier(&url).deliver(call_back(NoticeEvent::Accepted)).await.unwrap_err();
        assert_eq!(error, Undelivered::Answered(status.as_u16()));
        assert_eq!(got.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_told_without_its_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
    drop(listener);
    let error = notifier(&url).deliver(call_back(NoticeEvent::Stuck)).await.unwrap_err().to_string();
    assert!(error.starts_with("the receiver cannot be reached: ") && !error.contains("s3cret"), "{error}");
}
