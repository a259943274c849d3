//! `/graphql` over a WebSocket, with the protocol `graphql-transport-ws`: subscriptions only.
//!
//! Who calls is said in `connection_init`, as `{"Authorization": "Bearer TOKEN"}`, or in the header of the upgrade. It is
//! asked again while the socket is open, so a token that runs out ends it. A client that reads too slowly is not queued
//! for: it is shown the latest state when it reads, and is let go when it does not read at all.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_graphql::{
    Data, Executor, Request, Response as Answer,
    futures_util::stream::BoxStream,
    http::{WebSocket as Protocol, WebSocketProtocols, WsMessage},
    parser::types::OperationType,
};
use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures::{SinkExt, Stream, StreamExt, future, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{interval, sleep, timeout},
};

use super::{
    GraphQl, Inner,
    document::{Asked, refused_at},
    http::{refused, with_codes},
    refusal::Refused,
    stream::Follower,
};
use crate::{
    auth::Digest,
    rest::{Account, MAX_BODY, Problem, Reason},
};

/// The protocol of the npm package `graphql-ws`, which is not called so.
const PROTOCOL: &str = "graphql-transport-ws";
/// A client says who it is within this time.
const INIT_WITHIN: Duration = Duration::from_secs(10);
/// Who calls is asked again so often. The answer is kept for ten seconds, for everybody who has the same token.
const KNOWN_EVERY: Duration = Duration::from_secs(5);
/// A client that takes nothing for so long is let go.
const TAKES_WITHIN: Duration = Duration::from_secs(30);
/// So many subscriptions one socket has at once.
const MAX_STREAMS: usize = 50;

/// Why the server ends a socket. Codes from 4400 are the protocol's.
#[derive(Clone, Debug)]
struct Goodbye {
    code: u16,
    reason: String,
}

impl Goodbye {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// When who calls is not known, or not any more.
    fn of(problem: &Problem, code_of_strangers: u16) -> Self {
        let is_stranger = problem.reason() == Reason::UNAUTHORIZED;
        // 1013: come again.
        Self::new(if is_stranger { code_of_strangers } else { 1013 }, problem.detail())
    }

    fn message(self) -> Message {
        // A reason has at most 123 bytes (RFC 6455, section 5.5).
        let mut reason = self.reason;
        while reason.len() > 123 {
            reason.pop();
        }
        Message::Close(Some(CloseFrame { code: self.code, reason: reason.into() }))
    }
}

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
    let permit = graphql.0.sockets.clone().try_acquire_owned().map_err(|_| {
        let sentence = "as many WebSockets are open as there may be";
        Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(TAKES_WITHIN)
    })?;
    let client = Client { graphql: graphql.0.clone(), account, known: Arc::default() };
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MAX_BODY).max_frame_size(MAX_BODY);
    Ok(upgrade.on_upgrade(move |socket| async move { client.serve(socket, headers, permit).await }))
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
    streams: Arc<Semaphore>,
}

impl Client {
    async fn serve(self, socket: WebSocket, upgrade: HeaderMap, _permit: OwnedSemaphorePermit) {
        let (mut sink, input) = socket.split();
        let input = input.take_while(|message| future::ready(message.is_ok())).filter_map(|message| {
            let text = message.ok().filter(|message| matches!(message, Message::Text(_) | Message::Binary(_)));
            future::ready(text.map(Message::into_data))
        });
        let stranger = Arc::new(OnceLock::new());
        let init = {
            let (client, stranger) = (self.clone(), stranger.clone());
            move |payload| async move {
                client.introduced(payload, upgrade).await.map_err(|problem| {
                    let error = async_graphql::Error::new(problem.detail());
                    stranger.set(Goodbye::of(&problem, 4401)).ok();
                    error
                })
            }
        };
        let executor = Streams { client: self.clone() };
        let messages = Protocol::new(executor, input, WebSocketProtocols::GraphQLWS).on_connection_init(init);
        let mut messages = pin!(messages);
        let mut over = pin!(self.over());
        loop {
            let message = tokio::select! {
                biased;
                goodbye = &mut over => goodbye.message(),
                message = messages.next() => match message {
                    Some(WsMessage::Text(text)) => Message::Text(text.into()),
                    Some(WsMessage::Close(code, reason)) => {
                        let goodbye = stranger.get().cloned().unwrap_or_else(|| Goodbye::new(code, reason));
                        goodbye.message()
                    }
                    None => return,
                },
            };
            let is_last = matches!(message, Message::Close(_));
            match timeout(TAKES_WITHIN, sink.send(message)).await {
                Ok(Ok(())) if !is_last => {}
                _ => return,
            }
        }
    }

    /// Who it is, by what it says when it begins.
    async fn introduced(&self, payload: serde_json::Value, mut headers: HeaderMap) -> Result<Data, Problem> {
        let said = ["Authorization", "authorization"].iter().find_map(|name| payload[name].as_str());
        if let Some(said) = said {
            let value = HeaderValue::from_str(said);
            let value = value.map_err(|_| Problem::bad_request("Authorization in connection_init is no header"))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let caller = self.graphql.frame.caller(&self.account, &headers).await?;
        let follower = Follower { api: self.graphql.api.clone(), account: self.account.clone(), caller };
        let mut data = Data::default();
        data.insert(follower.clone());
        // It says it once only.
        self.known.set(Known { headers, follower, streams: Arc::new(Semaphore::new(MAX_STREAMS)) }).ok();
        Ok(data)
    }

    /// Waits until the server has a reason to end the socket.
    async fn over(&self) -> Goodbye {
        let stops = async {
            self.graphql.shutdown.requested().await;
            Goodbye::new(1001, "the server stops: come again")
        };
        let is_stranger = async {
            sleep(INIT_WITHIN).await;
            let mut ticks = interval(KNOWN_EVERY);
            loop {
                ticks.tick().await;
                let Some(Known { headers, .. }) = self.known.get() else {
                    return Goodbye::new(4408, "there was no connection_init in time");
                };
                match self.graphql.frame.still_knows(headers).await {
                    Err(problem) if problem.reason() == Reason::UNAUTHORIZED => {
                        // 4403: the client comes again, with a new token.
                        return Goodbye::of(&problem, 4403);
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

/// Runs the subscriptions of a client.
#[derive(Clone, Debug)]
struct Streams {
    client: Client,
}

impl Executor for Streams {
    async fn execute(&self, _: Request) -> Answer {
        only_subscriptions()
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Answer> {
        self.follow(request, session.unwrap_or_default()).unwrap_or_else(|refused| stream::iter([*refused]).boxed())
    }
}

impl Streams {
    fn follow(&self, request: Request, session: Arc<Data>) -> Result<BoxStream<'static, Answer>, Box<Answer>> {
        let of = |problem: &Problem| Box::new(refused(vec![refused_at(problem, None)]));
        let known = self.client.known.get();
        let Known { follower, streams, .. } = known.ok_or_else(|| of(&Problem::internal("a socket of nobody")))?;
        let Inner { frame, built, limits, .. } = &*self.client.graphql;
        frame.count(&follower.caller).map_err(|problem| of(&problem))?;
        let permit = streams.clone().try_acquire_owned().map_err(|_| {
            let sentence = format!("a socket has at most {MAX_STREAMS} subscriptions");
            of(&Problem::new(Reason::TOO_MANY_REQUESTS, sentence))
        })?;
        let variables = serde_json::to_value(&request.variables).ok().and_then(|value| value.as_object().cloned());
        let asked = Asked { query: request.query, operation_name: request.operation_name, variables, extensions: None };
        let checked = asked.checked(built, limits).map_err(|error| Box::new(refused(vec![error])))?;
        if checked.type_ != OperationType::Subscription {
            return Err(Box::new(only_subscriptions()));
        }
        let field_errors = Refused::default();
        let request = checked.request.data(field_errors.clone());
        let answers = built.schema.execute_stream_with_session_data(request, session);
        Ok(changed_only(answers, field_errors, permit).boxed())
    }
}

fn only_subscriptions() -> Answer {
    let sentence = "a WebSocket takes subscriptions only: send queries and mutations with POST";
    refused(vec![refused_at(&Problem::bad_request(sentence), None)])
}

/// Leaves out an answer that is the same as the one before: what has changed was not asked for.
fn changed_only(
    answers: BoxStream<'static, Answer>,
    field_errors: Refused,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Answer> + Send + 'static {
    stream::unfold((answers, None, field_errors, permit), async |(mut answers, mut last, field_errors, permit)| {
        loop {
            let mut answer = answers.next().await?;
            answer.errors.extend(field_errors.take());
            let answer = with_codes(answer);
            // An answer that cannot be written as JSON is told by the connection.
            let digest = serde_json::to_vec(&answer).ok().map(|bytes| Digest::of(&bytes));
            if digest.is_none() || digest != last {
                last = digest;
                return Some((answer, (answers, last, field_errors, permit)));
            }
        }
    })
}
