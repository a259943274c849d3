//! The messages of the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use async_graphql::{Response as Answer, ServerError};
use axum::extract::ws::Message;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use crate::{graphql::document::Asked, rest::Strict};

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Heard {
    /// Who it is.
    ConnectionInit {
        #[serde(default)]
        payload: Value,
    },
    /// Whether the server is there.
    Ping { payload: Option<Value> },
    /// That it is there.
    Pong {},
    /// What it wants to follow.
    Subscribe {
        id: String,
        #[serde(deserialize_with = "strictly")]
        payload: Asked,
    },
    /// What it does not follow any more.
    Complete { id: String },
}

/// A request as over HTTP: only an object is one.
fn strictly<'de, D: Deserializer<'de>>(payload: D) -> Result<Asked, D::Error> {
    Strict::deserialize(payload)?.read().map_err(|(_, error)| D::Error::custom(error))
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said<'a> {
    /// It is known who the client is.
    ConnectionAck,
    /// The answer to a ping.
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Value>,
    },
    /// A state.
    Next { id: &'a str, payload: &'a Answer },
    /// It is not followed: nothing more comes.
    Error { id: &'a str, payload: &'a [ServerError] },
    /// Nothing more comes.
    Complete { id: &'a str },
}

impl Said<'_> {
    pub(super) fn message(&self) -> Message {
        // Structs, strings and numbers: this does not fail.
        Message::Text(serde_json::to_string(self).unwrap_or_default().into())
    }
}
