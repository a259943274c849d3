//! What every request goes through.

use std::{convert::Infallible, future::pending, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
    routing::{get, post},
};
use futures::stream;
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use tower::Layer;

use super::TestApp;
use crate::{
    guard::{Guard, Hosts},
    rest::{Limits, extract},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
}

/// Routes that do what handlers should not.
fn beside() -> Router {
    Router::new()
        .route("/panic", get(async || -> &'static str { panic!("a fault") }))
        .route("/slow", get(async || pending::<&'static str>().await))
        .route("/things", post(async |extract::Body(thing): extract::Body<Thing>| thing.name))
        .route("/guarded", get(async || "a page"))
}

async fn app() -> TestApp {
    TestApp::with(Limits::default(), Vec::new(), beside()).await
}

fn thing(type_: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/things").header("content-type", type_).body(body.into()).unwrap()
}

#[tokio::test]
async fn what_no_handler_answers_is_a_problem_too() {
    let app = app().await;
    assert_eq!(app.get("/api/v1/nowhere").await.problem(404, "NotFound"), "there is no path /api/v1/nowhere");
    let request = Request::patch("/api/v1/nodes").body(Body::empty()).unwrap();
    let answer = app.send(request).await;
    assert_eq!(answer.problem(405, "MethodNotAllowed"), "/api/v1/nodes does not take PATCH");
    assert_eq!(answer.header("allow"), "GET");
    assert!(app.get("/panic").await.problem(500, "InternalError").contains("a fault of Careen"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_a_problem() {
    assert_eq!(app().await.get("/slow").await.problem(504, "Timeout"), "there was no answer within 75 s");
}

#[tokio::test]
async fn a_body_is_json_and_small() {
    let app = app().await;
    assert_eq!(app.send(thing("application/json; charset=utf-8", r#"{"name": "a"}"#)).await.text(), "a");
    for type_ in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "", "a"] {
        let detail = app.send(thing(type_, r#"{"name": "a"}"#)).await.problem(415, "UnsupportedMediaType");
        assert!(detail.contains("application/json") && detail.contains(type_), "{detail}");
    }
    let untyped = Request::post("/things").body(Body::from("{}")).unwrap();
    app.send(untyped).await.problem(415, "UnsupportedMediaType");

    let large = format!(r#"{{"name": "{}"}}"#, "a".repeat(64 * 1024));
    app.send(thing("application/json", large.clone())).await.problem(413, "RequestEntityTooLarge");
    let chunks = stream::iter(large.into_bytes().chunks(1000).map(Bytes::copy_from_slice).collect::<Vec<_>>());
    let streamed = Body::from_stream(futures::StreamExt::map(chunks, Ok::<_, Infallible>));
    app.send(thing("application/json", streamed)).await.problem(413, "RequestEntityTooLarge");

    let answer = app.send(thing("application/json", r#"{"nam": "a"}"#)).await;
    answer.problem(422, "Invalid");
    assert_eq!(answer.json()["field"], "nam");
    app.send(thing("application/json", "[".repeat(100))).await.problem(400, "BadRequest");
    app.send(thing("application/json", "")).await.problem(400, "BadRequest");
}

#[tokio::test]
async fn a_header_has_a_limit() {
    let app = app().await;
    let cookie = "a".repeat(17 * 1024);
    let request = Request::get("/api/v1/nodes").header("cookie", &cookie).body(Body::empty()).unwrap();
    app.send(request).await.problem(431, "RequestHeaderFieldsTooLarge");
    app.get(&format!("/api/v1/nodes?continue={cookie}")).await.problem(431, "RequestHeaderFieldsTooLarge");
}

#[tokio::test(start_paused = true)]
async fn one_caller_cannot_take_it_all() {
    let limits = Limits { interval: Duration::from_millis(2500), burst: 3, ..Limits::default() };
    let app = TestApp::with(limits, Vec::new(), Router::new()).await;
    app.kubernetes.user("other", "olga", &["*"]);
    for _ in 0..3 {
        app.get("/api/v1/nodes").await.ok();
    }
    let answer = app.get("/api/v1/nodes").await;
    assert!(answer.problem(429, "TooManyRequests").starts_with("\"ann\" sends more requests"));
    assert_eq!(answer.header("retry-after"), "3");
    app.get_as("other", "/api/v1/nodes").await.ok();
    tokio::time::advance(Duration::from_secs(3)).await;
    app.get("/api/v1/nodes").await.ok();
}

#[tokio::test(start_paused = true)]
async fn so_many_are_answered_at_the_same_time() {
    let limits = Limits { concurrent: 2, within: Duration::from_secs(5), ..Limits::default() };
    let app = TestApp::with(limits, Vec::new(), beside()).await;
    let answers = futures::future::join_all((0..4).map(|_| app.get("/slow"))).await;
    let mut codes: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [429, 429, 504, 504]);
    app.get("/api/v1/nodes").await.ok();
}

/// A body that begins and never ends.
fn endless(path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let begun = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
    request.body(Body::from_stream(futures::StreamExt::chain(begun, stream::pending()))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_without_an_end_keeps_nobody_out() {
    let limits = Limits { concurrent: 1, ..Limits::default() };
    let app = TestApp::with(limits, Vec::new(), beside()).await;
    for path in ["/graphql", "/api/v1/maintenances", "/api/v1/nodes/node01/drain"] {
        let begun = Instant::now();
        for token in [None, Some("made-up")] {
            app.send(endless(path, token)).await.problem(401, "Unauthorized");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{path}: who calls is asked first");
        let meanwhile = async {
            sleep(Duration::from_secs(1)).await;
            for probe in ["/livez", "/readyz", "/metrics"] {
                assert_eq!(app.get(probe).await.status, 200, "{probe}");
            }
            app.get("/api/v1/nodes").await.problem(429, "TooManyRequests");
        };
        let (answer, ()) = tokio::join!(app.send(endless(path, Some("admin"))), meanwhile);
        assert_eq!(answer.problem(408, "RequestTimeout"), "the body was not there within 10 s");
        app.get("/api/v1/nodes").await.ok();
    }
}

#[tokio::test]
async fn a_head_is_not_named_by_the_body_that_it_lacks() {
    let app = app().await;
    let head = |path: &str, tag: &str| {
        let request = Request::head(path).header("authorization", "Bearer admin").header("if-none-match", tag);
        app.send(request.body(Body::empty()).unwrap())
    };
    for path in ["/api/v1/nodes", "/api/v1/nodes/node01", "/api/v1/nodes/node02"] {
        let whole = app.get(path).await;
        // Also of a client that has kept what HEAD was once called.
        for tag in [whole.header("etag"), "W/\"47DEQpj8HBSa-_TImW-5JA\""] {
            let answer = head(path, tag).await;
            assert_eq!((answer.status.as_u16(), answer.headers.get("etag")), (200, None), "{path}");
            assert_eq!(answer.header("content-length"), whole.body.len().to_string());
        }
    }
}

#[tokio::test]
async fn reads_have_an_etag_and_who_has_it_gets_nothing_again() {
    let app = app().await;
    let first = app.get("/api/v1/nodes").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let again = |path: &str, tag: &str| {
        let request = Request::get(path).header("authorization", "Bearer admin").header("if-none-match", tag);
        app.send(request.body(Body::empty()).unwrap())
    };
    for tag in [&tag, "*", &format!("\"other\", {tag}"), tag.trim_start_matches("W/")] {
        let answer = again("/api/v1/nodes", tag).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{tag}");
        assert_eq!(answer.header("etag"), first.header("etag"));
    }
    assert_eq!(again("/api/v1/nodes?limit=1", &tag).await.status, 200);
    assert_eq!(again("/api/v1/nodes/node09", "*").await.status, 404);
}

#[tokio::test]
async fn answers_are_compressed_for_who_wants_it() {
    let app = app().await;
    let request = Request::get("/openapi.json").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let answer = app.send(request).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let plain = app.get("/openapi.json").await;
    assert!(answer.body.len() * 3 < plain.body.len());
    assert_eq!((answer.header("vary"), plain.header("vary")), ("accept-encoding", "accept-encoding"));
    assert_eq!(answer.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn the_docs_are_there_without_a_token_and_without_a_network() {
    let app = app().await;
    let page = app.get("/docs/").await;
    assert!(page.text().contains("swagger-ui-bundle.js") && !page.text().contains("https://"), "{}", page.text());
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(app.get("/docs/swagger-ui-bundle.js").await.status, 200);
    assert!(app.get("/docs/swagger-initializer.js").await.text().contains("/openapi.json"));
    app.get("/docs/nothing.js").await.problem(404, "NotFound");
    assert_eq!(app.get("/openapi.json").await.ok()["openapi"], "3.1.0");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_path() {
    let app = app().await;
    for path in ["/api/v1/nodes/node01", "/api/v1/nodes/node02", "/made/up/1", "/made/up/2"] {
        app.get(path).await;
    }
    let mut registry = prometheus_client::registry::Registry::default();
    app.http_metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        r#"careen_http_requests_total{method="GET",route="/api/v1/nodes/{node}",code="200"} 2"#,
        r#"careen_http_requests_total{method="GET",route="other",code="404"} 2"#,
        r#"careen_http_request_duration_seconds_count{method="GET",route="/api/v1/nodes/{node}"} 2"#,
        "careen_http_requests_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn what_the_guard_refuses_is_a_problem_with_its_sentence() {
    let guard = Guard::new(Hosts::of("127.0.0.1:8080".parse().unwrap(), []));
    let guarded = Router::new().fallback_service(guard.layer(beside()));
    let app = TestApp::with(Limits::default(), Vec::new(), guarded).await;
    let request = Request::get("/guarded").header("host", "evil.example").body(Body::empty()).unwrap();
    assert!(app.send(request).await.problem(403, "ForeignOrigin").starts_with("this server is not called"));
    let request = Request::get("/guarded").header("host", "evil.example").header("accept-encoding", "gzip");
    let compressed = app.send(request.body(Body::empty()).unwrap()).await.unpacked();
    assert!(compressed.problem(403, "ForeignOrigin").starts_with("this server is not called"));
    let request = Request::get("/guarded").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.text(), "a page");
}

/// The four things that a page of another origin can send without being asked: to the service as it listens, they end
/// at the guard, whatever the browser tells of itself; nothing is asked of Kubernetes, and nothing is done.
#[tokio::test]
async fn the_four_attacks_of_a_foreign_web_page_are_refused() {
    let app = TestApp::guarded().await;
    let attacks = [
        ("a POST without a body", "POST", &[][..], ""),
        ("a form", "POST", &[("content-type", "application/x-www-form-urlencoded")], "a=b"),
        ("a fetch with a simple content type", "POST", &[("content-type", "text/plain")], "{}"),
        ("a WebSocket", "GET", &[("upgrade", "websocket"), ("connection", "upgrade")], ""),
    ];
    let browsers = [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        &[("origin", "http://evil.example"), ("sec-fetch-site", "same-site")],
    ];
    for (attack, method, headers, body) in attacks {
        for browser in browsers {
            // With a token, as if the page had got hold of one.
            let mut request = Request::builder().method(method).uri("/api/v1/nodes/node01/cordon");
            request = request.header("host", "127.0.0.1:8080").header("authorization", "Bearer admin");
            for (name, value) in headers.iter().chain(browser) {
                request = request.header(*name, *value);
            }
            let refused = app.send(request.body(Body::from(body)).unwrap()).await;
            if attack == "a form" || attack == "a fetch with a simple content type" {
                // The body says it before the browser does.
                refused.problem(415, "UnsupportedMediaType");
            } else {
                refused.problem(403, "ForeignOrigin");
            }
        }
    }
    assert_eq!(app.kubernetes.reviews(), [""; 0]);
}
