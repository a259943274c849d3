//! `/graphql` over a WebSocket, with the protocol `graphql-transport-ws`: subscriptions only.
//!
//! | file | holds |
//! |---|---|
//! | `conversation` | what the client says, and what it is answered |
//! | `message` | the messages of the protocol |
//! | `streams` | the subscriptions of a client, by their id |
//! | `goodbye` | why the server ends a socket |
//! | `places` | how many sockets there are, and whose |
//!
//! Who calls is said in `connection_init`, as `{"Authorization": "Bearer TOKEN"}`, or in the header of the upgrade. It
//! is asked again while the socket is open, so a token that runs out ends it. A client that reads too slowly is not
//! queued for: it is shown the latest state when it reads, and is let go when it does not read at all.

mod conversation;
mod goodbye;
mod message;
mod places;
mod streams;

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures::{SinkExt, StreamExt};
use tokio::time::{interval, sleep, timeout};

use super::{GraphQl, Inner, stream::Follower};
use crate::rest::{Account, MAX_BODY, Problem, Reason};
use conversation::Conversation;
use goodbye::Goodbye;
pub(super) use places::Places;

/// The protocol of the npm package `graphql-ws`, which is not called so.
const PROTOCOL: &str = "graphql-transport-ws";
/// A client says who it is within this time.
const INIT_WITHIN: Duration = Duration::from_secs(10);
/// Who calls is asked again so often. The answer is kept for ten seconds, for everybody who has the same token.
const KNOWN_EVERY: Duration = Duration::from_secs(5);
/// A client that takes nothing for so long is let go.
const TAKES_WITHIN: Duration = Duration::from_secs(30);

/// Takes up a WebSocket.
pub(super) fn open(
    graphql: &GraphQl,
    account: Account,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !offered.split(',').any(|protocol| protocol.trim() == PROTOCOL) {
        return Err(Problem::bad_request(format!("Sec-WebSocket-Protocol: {offered:?} has no {PROTOCOL}")));
    }
    let place = graphql
        .0
        .places
        .of_stranger()
        .map_err(|full| Problem::new(Reason::TOO_MANY_REQUESTS, full).retry_after(INIT_WITHIN))?;
    let client = Client { graphql: graphql.0.clone(), account, known: Arc::default() };
    let counted = graphql.0.frame.socket();
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MAX_BODY).max_frame_size(MAX_BODY);
    Ok(upgrade.on_upgrade(move |socket| async move {
        client.serve(socket, headers, place).await;
        drop(counted);
    }))
}

/// One client.
#[derive(Clone, Debug)]
struct Client {
    graphql: Arc<Inner>,
    account: Account,
    /// Who it is, once it has said so and that was found to be true.
    known: Arc<OnceLock<Known>>,
}

/// A client that is known.
#[derive(Debug)]
struct Known {
    headers: HeaderMap,
    follower: Follower,
}

impl Client {
    async fn serve(self, socket: WebSocket, upgrade: HeaderMap, place: places::Place) {
        let (mut sink, input) = socket.split();
        let mut over = pin!(self.over());
        let mut conversation = Conversation::new(self.clone(), input, upgrade, place);
        loop {
            let said = tokio::select! {
                biased;
                goodbye = &mut over => Err(goodbye),
                said = conversation.next() => match said {
                    Some(said) => said,
                    None => return,
                },
            };
            let (message, is_last) = match said {
                Ok(message) => (message, false),
                Err(goodbye) => (Message::Close(Some(goodbye.into_frame())), true),
            };
            match timeout(TAKES_WITHIN, sink.send(message)).await {
                Ok(Ok(())) if !is_last => {}
                _ => return,
            }
        }
    }

    /// Who it is, by what it says when it begins.
    async fn introduced(&self, payload: &serde_json::Value, mut headers: HeaderMap) -> Result<(), Problem> {
        let said = ["Authorization", "authorization"].iter().find_map(|name| payload[name].as_str());
        if let Some(said) = said {
            let value = HeaderValue::from_str(said);
            let value = value.map_err(|_| Problem::bad_request("Authorization in connection_init is no header"))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let caller = self.graphql.frame.caller(&self.account, &headers).await?;
        let follower = Follower { api: self.graphql.api.clone(), account: self.account.clone(), caller };
        // It says it once only.
        self.known.set(Known { headers, follower }).ok();
        Ok(())
    }

    /// Waits until the server has a reason to end the socket.
    async fn over(&self) -> Goodbye {
        let stops = async {
            self.graphql.shutdown.requested().await;
            Goodbye::stops()
        };
        let is_stranger = async {
            sleep(INIT_WITHIN).await;
            let mut ticks = interval(KNOWN_EVERY);
            loop {
                ticks.tick().await;
                let Some(Known { headers, follower }) = self.known.get() else { return Goodbye::no_introduction() };
                match self.graphql.frame.caller_now(headers).await {
                    Ok(caller) if caller != follower.caller => {
                        return Goodbye::good_no_more(
                            "Kubernetes says something else of who has the token than before",
                        );
                    }
                    Err(problem) if problem.reason() == Reason::UNAUTHORIZED => {
                        return Goodbye::good_no_more(problem.detail());
                    }
                    // While Kubernetes cannot be asked nobody is taken for a stranger.
                    _ => {}
                }
            }
        };
        tokio::select! {
            goodbye = stops => goodbye,
            goodbye = is_stranger => goodbye,
        }
    }
}
