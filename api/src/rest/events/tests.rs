//! Streams, as a client reads them.

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, HeaderValue},
    response::sse::Event,
};
use futures::StreamExt;
use tokio::time::{Duration, timeout};

use super::{EventLog, Source, Streams, log::Next};
use crate::{rest::HttpMetrics, shutdown::Shutdown};

/// Shows the texts that begin so, and how many events there were.
struct Texts {
    begin: &'static str,
    log: EventLog<String>,
}

impl Source for Texts {
    type Payload = String;

    fn show(&self, text: &String) -> Option<Event> {
        text.starts_with(self.begin).then(|| Event::default().event("text").data(text))
    }

    fn snapshot(&self) -> Event {
        Event::default().data(format!("all until {}", self.log.id(&self.log.now()).split_once('-').unwrap().1))
    }
}

struct Server {
    log: EventLog<String>,
    streams: Streams,
    shutdown: Shutdown,
}

impl Server {
    fn new() -> Self {
        let shutdown = Shutdown::default();
        let streams = Streams::new(HttpMetrics::default(), shutdown.clone());
        Self { log: EventLog::new(), streams, shutdown }
    }

    fn happens(&self, text: &str) {
        self.log.append(text.to_owned(), text.len());
    }

    fn client(&self, begin: &'static str, last_event_id: Option<&str>) -> Client {
        let mut headers = HeaderMap::new();
        if let Some(id) = last_event_id {
            headers.insert("last-event-id", HeaderValue::from_str(id).unwrap());
        }
        let source = Texts { begin, log: self.log.clone() };
        let response = self.streams.open(&self.log, source, &headers).unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Client { body: Body::into_data_stream(response.into_body()), last_id: String::new() }
    }
}

struct Client {
    body: BodyDataStream,
    last_id: String,
}

impl Client {
    /// The next event: `name data`, or `heartbeat`; `end` at the end.
    async fn next(&mut self) -> String {
        let Some(chunk) = timeout(Duration::from_secs(3600), self.body.next()).await.unwrap() else {
            return "end".to_owned();
        };
        let text = String::from_utf8(chunk.unwrap().to_vec()).unwrap();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let Some(id) = field("id:") {
            self.last_id = id.to_owned();
        }
        match field("event:") {
            Some(name) => format!("{name} {}", field("data:").unwrap()),
            None => "heartbeat".to_owned(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_all_and_then_what_happens() {
    let server = Server::new();
    server.happens("a1");
    let mut client = server.client("a", None);
    assert_eq!(client.next().await, "snapshot all until 1");
    for text in ["a2", "b1", "a3"] {
        server.happens(text);
    }
    assert_eq!(client.next().await, "text a2");
    assert_eq!(client.next().await, "text a3");
    assert_eq!(client.next().await, "heartbeat");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_again_has_missed_nothing() {
    let server = Server::new();
    let mut client = server.client("a", None);
    client.next().await;
    server.happens("a1");
    client.next().await;
    let id = client.last_id.clone();
    drop(client);
    for text in ["a2", "b1", "a3"] {
        server.happens(text);
    }
    let mut client = server.client("a", Some(&id));
    assert_eq!(client.next().await, "text a2");
    assert_eq!(client.next().await, "text a3");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_gone_or_of_another_replica_is_told() {
    let (server, other) = (Server::new(), Server::new());
    other.happens("a1");
    let mut elsewhere = other.client("a", None);
    elsewhere.next().await;
    server.happens("a1");
    for id in [elsewhere.last_id.as_str(), "", "x", "-1", &format!("{}9", server.log.id(&server.log.now()))] {
        assert_eq!(server.client("a", Some(id)).next().await, "resync all until 1", "{id:?}");
    }
    let id = server.log.id(&server.log.now());
    for _ in 0..5000 {
        server.happens("a2");
    }
    assert_eq!(server.client("a", Some(&id)).next().await, "resync all until 5001");
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_is_not_about_is_no_gap_for_it() {
    let server = Server::new();
    let mut client = server.client("a", None);
    client.next().await;
    for _ in 0..4000 {
        server.happens("b");
    }
    // The heartbeat moves the client's place.
    assert_eq!(client.next().await, "heartbeat");
    for _ in 0..4000 {
        server.happens("b");
    }
    server.happens("a1");
    assert_eq!(server.client("a", Some(&client.last_id)).next().await, "text a1");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_costs_nothing_and_is_told_what_it_missed() {
    let server = Server::new();
    let mut stuck = server.client("", None);
    stuck.next().await;
    let text = "x".repeat(1000);
    for _ in 0..100_000 {
        server.happens(&text);
    }
    // What is kept is kept once, however many clients there are.
    assert!(server.log.bytes() <= 8 * 1024 * 1024, "{}", server.log.bytes());
    assert_eq!(stuck.next().await, "resync all until 100000");
    server.happens("a");
    assert_eq!(stuck.next().await, "text a");
    assert_eq!(stuck.next().await, "heartbeat");
}

#[tokio::test(start_paused = true)]
async fn large_events_make_room_for_each_other() {
    let server = Server::new();
    let large = "x".repeat(3 * 1024 * 1024);
    let mut position = server.log.now();
    for _ in 0..5 {
        server.happens(&large);
        assert!(server.log.bytes() <= 8 * 1024 * 1024);
    }
    assert_eq!(server.log.next(&mut position).await, Next::Missed);
    // One that is too large by itself is kept until the next.
    server.happens(&"x".repeat(9 * 1024 * 1024));
    assert!(matches!(server.log.next(&mut position).await, Next::Event(_)));
}

#[tokio::test(start_paused = true)]
async fn when_the_server_stops_clients_are_told_to_come_again() {
    let server = Server::new();
    let mut client = server.client("a", None);
    client.next().await;
    server.shutdown.request();
    assert!(client.next().await.starts_with("goodbye {\"detail\":\"the server stops"));
    assert_eq!(client.next().await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_ten_minutes() {
    let server = Server::new();
    let mut client = server.client("a", None);
    client.next().await;
    let mut heartbeats = 0;
    let last = loop {
        match client.next().await.as_str() {
            "heartbeat" => heartbeats += 1,
            other => break other.to_owned(),
        }
    };
    assert!(last.starts_with("goodbye"), "{last}");
    assert_eq!(heartbeats, 39);
}

#[tokio::test]
async fn streams_are_counted_and_bounded() {
    let server = Server::new();
    let mut open: Vec<_> = (0..1000).map(|_| server.client("a", None)).collect();
    let source = Texts { begin: "a", log: server.log.clone() };
    let refused = server.streams.open(&server.log, source, &HeaderMap::new()).unwrap_err();
    assert_eq!(refused.status(), 429);
    open.pop();
    server.client("a", None);
}
