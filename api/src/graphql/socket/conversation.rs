//! What the client says, and what it is answered.

use std::time::Duration;

use axum::{
    extract::ws::{Message, WebSocket},
    http::HeaderMap,
};
use futures::{StreamExt, stream::SplitStream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::{
    Client, Known,
    goodbye::Goodbye,
    message::{Heard, Said},
    places::Place,
    streams::{Event, Streams},
};

/// So often the client is asked whether it is there. What stands between closes connections that are quiet for a
/// minute.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A client of which nothing was heard for so long is gone: two pings went unanswered.
const SILENT_FOR: Duration = Duration::from_secs(75);

/// One client, as it is heard and answered.
pub(super) struct Conversation {
    client: Client,
    input: SplitStream<WebSocket>,
    upgrade: HeaderMap,
    place: Place,
    streams: Streams,
    pings: Interval,
    heard_at: Instant,
}

impl Conversation {
    pub(super) fn new(client: Client, input: SplitStream<WebSocket>, upgrade: HeaderMap, place: Place) -> Self {
        let now = Instant::now();
        let mut pings = interval_at(now + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { client, input, upgrade, place, streams: Streams::default(), pings, heard_at: now }
    }

    /// What is to be said next; the reason if it is the last; `None` when the client is gone.
    pub(super) async fn next(&mut self) -> Option<Result<Message, Goodbye>> {
        loop {
            let said = tokio::select! {
                () = sleep_until(self.heard_at + SILENT_FOR) => Err(Goodbye::silent(SILENT_FOR)),
                _ = self.pings.tick() => Ok(Some(Message::Ping(Vec::new().into()))),
                event = self.streams.next() => shown(&event),
                message = self.input.next() => {
                    self.heard_at = Instant::now();
                    match message? {
                        Ok(Message::Text(text)) => self.hear(text.as_bytes()).await,
                        Ok(Message::Binary(bytes)) => self.hear(&bytes).await,
                        Ok(Message::Ping(_) | Message::Pong(_)) => Ok(None),
                        Ok(Message::Close(_)) | Err(_) => return None,
                    }
                }
            };
            if let Some(said) = said.transpose() {
                return Some(said);
            }
        }
    }

    async fn hear(&mut self, message: &[u8]) -> Result<Option<Message>, Goodbye> {
        match serde_json::from_slice(message).map_err(Goodbye::not_understood)? {
            Heard::ConnectionInit { payload } => self.introduce(&payload).await.map(Some),
            Heard::Ping { payload } => Ok(Some(Said::Pong { payload }.message())),
            Heard::Pong {} => Ok(None),
            Heard::Subscribe { id, payload } => {
                let Some(Known { follower, .. }) = self.client.known.get() else {
                    return Err(Goodbye::not_introduced());
                };
                if self.streams.has(&id) {
                    return Err(Goodbye::id_is_taken(&id));
                }
                let refused = self.streams.follow(&self.client.graphql, follower, &id, payload).err();
                Ok(refused.map(|error| Said::Error { id: &id, payload: &[*error] }.message()))
            }
            Heard::Complete { id } => {
                self.streams.leave(&id);
                Ok(None)
            }
        }
    }

    async fn introduce(&mut self, payload: &serde_json::Value) -> Result<Message, Goodbye> {
        if self.client.known.get().is_some() {
            return Err(Goodbye::introduced_twice());
        }
        let introduced = self.client.introduced(payload, std::mem::take(&mut self.upgrade)).await;
        introduced.map_err(|problem| Goodbye::of_stranger(&problem))?;
        if let Some(Known { follower, .. }) = self.client.known.get() {
            self.place.take_as(&follower.caller.user).map_err(|full| Goodbye::for_now(full.to_string()))?;
        }
        Ok(Said::ConnectionAck.message())
    }
}

/// What a client is told of its subscriptions. What cannot be known for now is no answer: it comes again, and asks
/// again.
fn shown((id, event): &(String, Event)) -> Result<Option<Message>, Goodbye> {
    match event {
        Event::State(answer) => Ok(Some(Said::Next { id, payload: answer }.message())),
        Event::Refused(errors) => Ok(Some(Said::Error { id, payload: errors }.message())),
        Event::Unavailable(why) => Err(Goodbye::for_now(why)),
        Event::End => Ok(Some(Said::Complete { id }.message())),
    }
}
