//! Streams, as a client reads them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{HeaderMap, HeaderValue},
    response::sse::Event,
    routing::get,
};
use futures::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, advance, timeout},
};

use super::{
    log::{EventLog, Next},
    reader::Reader,
    stream::{Shown, Source, Streams},
};
use crate::{
    door::Door,
    rest::{HttpMetrics, problem::Problem, reason::Reason},
    shutdown::Shutdown,
};

/// Shows the texts that begin so, and how many events there were.
struct Texts {
    begin: &'static str,
    log: EventLog<String>,
    /// How many it was asked about.
    asked: Arc<AtomicUsize>,
}

impl Source for Texts {
    type Payload = String;

    fn show(&self, text: &String) -> Shown {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let event = Event::default().event("text").data(text);
        match text.starts_with(self.begin) {
            true if text.ends_with("the end") => Shown::Last(event),
            true => Shown::Event(event),
            false => Shown::Nothing,
        }
    }

    fn snapshot(&self) -> Shown {
        let until = self.log.id(&self.log.now()).split_once('-').unwrap().1.to_owned();
        Shown::Event(Event::default().data(format!("all until {until}")))
    }
}

/// Reads as long as they are welcome; Kubernetes may be away.
#[derive(Clone)]
struct Guest {
    name: String,
    refusal: Arc<Mutex<Option<Problem>>>,
}

impl Guest {
    fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), refusal: Arc::default() }
    }

    fn is_told(&self, problem: Problem) {
        *self.refusal.lock().unwrap() = Some(problem);
    }
}

impl Reader for Guest {
    fn name(&self) -> &str {
        &self.name
    }

    async fn still_may(&self) -> Result<(), Problem> {
        self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
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

    fn source(&self, begin: &'static str) -> Texts {
        Texts { begin, log: self.log.clone(), asked: Arc::default() }
    }

    fn client(&self, begin: &'static str, last_event_id: Option<&str>) -> Client {
        self.client_of(Guest::named("ann"), begin, last_event_id)
    }

    fn client_of(&self, guest: Guest, begin: &'static str, last_event_id: Option<&str>) -> Client {
        let mut headers = HeaderMap::new();
        if let Some(id) = last_event_id {
            headers.insert("last-event-id", HeaderValue::from_str(id).unwrap());
        }
        let source = self.source(begin);
        let response = self.streams.open(&self.log, source, guest, &headers).unwrap();
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
    server.happens("a1");
    let last_id = client.last_id.clone();
    assert!(client.next().await.starts_with("goodbye {\"detail\":\"the server stops"));
    assert_eq!(client.last_id, last_id, "it goes on where it was");
    assert_eq!(client.next().await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_what_nothing_comes_after() {
    let server = Server::new();
    let mut client = server.client("a", None);
    client.next().await;
    server.happens("a: the end");
    assert_eq!(client.next().await, "text a: the end");
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
    let refused = |guest: Guest| {
        let refused = server.streams.open(&server.log, server.source("a"), guest, &HeaderMap::new()).unwrap_err();
        assert_eq!(refused.status(), 429);
        refused.detail().to_owned()
    };
    let guest = |number: usize| Guest::named(format!("guest{}", number / 20));
    let mut open: Vec<_> = (0..999).map(|number| server.client_of(guest(number), "a", None)).collect();
    assert!(refused(guest(0)).starts_with("\"guest0\" has 20 streams"));
    open.push(server.client_of(guest(999), "a", None));
    assert!(refused(Guest::named("late")).starts_with("1000 streams"));
    open.remove(0);
    server.client_of(guest(0), "a", None);
    drop(open);
    (0..20).for_each(|_| drop(server.client_of(guest(0), "a", None)));
}

#[tokio::test(start_paused = true)]
async fn who_may_not_see_it_any_more_is_shown_nothing_more() {
    let server = Server::new();
    for refusal in [Problem::new(Reason::UNAUTHORIZED, "who is \"ann\"?"), Problem::new(Reason::FORBIDDEN, "no")] {
        let guest = Guest::named("ann");
        let mut client = server.client_of(guest.clone(), "a", None);
        client.next().await;
        // Nobody is taken for a stranger while Kubernetes is away.
        guest.is_told(Problem::unavailable("away"));
        advance(Duration::from_secs(12)).await;
        server.happens("a1");
        assert_eq!(client.next().await, "text a1");
        let last_id = client.last_id.clone();
        guest.is_told(refusal.clone());
        advance(Duration::from_secs(12)).await;
        server.happens("a2");
        let detail = serde_json::json!({ "detail": refusal.detail() });
        assert_eq!(client.next().await, format!("goodbye {detail}"));
        assert_eq!((client.next().await.as_str(), client.last_id), ("end", last_id));
    }
}

/// Reads until a text comes; how many bytes that were, the text included.
async fn read_until(connection: &mut TcpStream, text: &str) -> usize {
    let (mut total, mut tail, mut chunk) = (0, Vec::new(), vec![0; 64 * 1024]);
    loop {
        let read = timeout(Duration::from_secs(120), connection.read(&mut chunk)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the stream has ended");
        total += read;
        tail.extend_from_slice(&chunk[..read]);
        if String::from_utf8_lossy(&tail).contains(text) {
            return total;
        }
        tail.drain(..tail.len().saturating_sub(text.len()));
    }
}

/// Over a socket, as the service answers: what is on its way to a client that has stopped reading is in the buffers of
/// its connection, ours and the kernel's at both ends, and those are bounded: 4.1 MB were seen to be held, and 4.6 MB
/// in the log, for all clients together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_a_socket_costs_its_connections_buffers() {
    /// The kernel lets a send buffer grow to 4 MiB and a receive buffer to 6 MiB (`tcp_wmem`, `tcp_rmem`).
    const MOST: usize = 12 * 1024 * 1024;
    let server = Server::new();
    let door = Door::open("127.0.0.1:0".parse().unwrap(), []).await.unwrap();
    let address = door.address;
    let (log, streams, asked) = (server.log.clone(), server.streams.clone(), Arc::<AtomicUsize>::default());
    let seen = asked.clone();
    let events = get(move |headers: HeaderMap| async move {
        let source = Texts { begin: "", log: log.clone(), asked: seen };
        streams.open(&log, source, Guest::named("ann"), &headers)
    });
    let router = Router::new().route("/events", events);
    let answering = tokio::spawn(door.answer(router, server.shutdown.clone(), Duration::ZERO));
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, "all until 0").await;

    // It reads no more; when all buffers are full, nothing more is asked for.
    let text = "x".repeat(1000);
    let (mut number, mut before, mut quiet_rounds) = (0, 0, 0);
    // In a single round the writer may not have had a turn, and the kernel may still have made a buffer larger.
    while quiet_rounds < 5 {
        (0..1000).for_each(|_| server.happens(&text));
        number += 1000;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = asked.load(Ordering::SeqCst);
        quiet_rounds = if now == before { quiet_rounds + 1 } else { 0 };
        before = now;
    }
    (0..100_000).for_each(|_| server.happens(&text));
    assert_eq!(asked.load(Ordering::SeqCst), before, "who does not read is asked for nothing");
    let held = read_until(&mut client, &format!("all until {}", number + 100_000)).await;
    println!("a client that did not read held {held} bytes in buffers, and the log {} for all", server.log.bytes());
    assert!(held <= MOST, "{held}");
    assert!(server.log.bytes() <= 8 * 1024 * 1024);
    server.shutdown.request();
    answering.await.unwrap();
}
