//! A client of subscriptions, on a connection in memory.

use axum::Router;
use futures::{SinkExt, StreamExt};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

/// A client, on a connection in memory.
pub(super) struct Client(WebSocketStream<DuplexStream>);

impl Client {
    pub(super) async fn connect(service: Router) -> Self {
        Self::try_connect(service).await.unwrap()
    }

    /// The same, or the status with which it is turned away.
    pub(super) async fn try_connect(service: Router) -> Result<Self, u16> {
        let (ours, theirs) = duplex(4096);
        let service = TowerToHyperService::new(service);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        tokio::spawn(connection.with_upgrades());
        let mut request = "ws://localhost/graphql".into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (socket, response) = match client_async(request, ours).await {
            Err(Error::Http(response)) => return Err(response.status().as_u16()),
            connected => connected.unwrap(),
        };
        assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-transport-ws");
        Ok(Self(socket))
    }

    /// One that has said who it is.
    pub(super) async fn of(service: Router, token: &str) -> Self {
        let mut client = Self::connect(service).await;
        client
            .send(json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } }))
            .await;
        assert_eq!(client.next().await, json!({ "type": "connection_ack" }));
        client
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "id": id, "type": "subscribe", "payload": { "query": query } })).await;
    }

    /// What comes next: a message, how the connection was closed, or null at its end.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.unwrap();
                    return json!({ "close": u16::from(frame.code), "reason": frame.reason.as_str() });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Value::Null,
            }
        }
    }

    /// The data of the next state.
    pub(super) async fn data(&mut self) -> Value {
        let mut message = self.next().await;
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"].get("errors"), None, "{message}");
        message["payload"]["data"].take()
    }
    /// The code with which the subscription of that id is refused.
    pub(super) async fn refused(&mut self, id: &str) -> Value {
        let mut message = self.next().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(id)), "{message}");
        message["payload"][0]["extensions"]["code"].take()
    }

    /// Checks that nothing more was said.
    pub(super) async fn is_quiet(&mut self) {
        self.send(json!({ "type": "ping", "payload": { "n": 7 } })).await;
        assert_eq!(self.next().await, json!({ "type": "pong", "payload": { "n": 7 } }));
    }
}
