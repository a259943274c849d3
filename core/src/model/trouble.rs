//! What is wrong with an operation on a node itself, while it goes on or waits.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sentence::bounded;
use crate::schema::without_description;

/// Something that is wrong with an operation itself: no workload is in its way, but a Lease, a right or the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Which kind.
    pub reason: TroubleReason,
    /// A sentence that names the object in the way.
    pub message: String,
}

/// The kinds of troubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum TroubleReason {
    /// The spec cannot be understood.
    InvalidSpec,
    /// The node is not in the cluster, or came back as another.
    NodeGone,
    /// Somebody else holds the node Lease.
    NodeLeaseHeld,
    /// The node Lease could not be renewed in time.
    NodeLeaseUnconfirmed,
    /// The namespace of the node Leases is missing.
    NamespaceMissing,
    /// The node carries the record of another actor.
    RecordOfAnother,
    /// The record on the node cannot be read.
    RecordUnreadable,
    /// The API server does not accept the change of the node.
    NodeNotChanged,
    /// A kind of object is not listed yet.
    CachesNotFilled,
    /// A kind of object has not been followed for a while: what is known of it may be old.
    CachesOld,
    /// Careen lacks a right.
    Forbidden,
    /// Somebody else changed the object in between.
    Contended,
    /// The API server cannot be reached or cannot serve now.
    ApiServerUnavailable,
}

impl TroubleReason {
    /// Its name, the same everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::NodeGone => "NodeGone",
            Self::NodeLeaseHeld => "NodeLeaseHeld",
            Self::NodeLeaseUnconfirmed => "NodeLeaseUnconfirmed",
            Self::NamespaceMissing => "NamespaceMissing",
            Self::RecordOfAnother => "RecordOfAnother",
            Self::RecordUnreadable => "RecordUnreadable",
            Self::NodeNotChanged => "NodeNotChanged",
            Self::CachesNotFilled => "CachesNotFilled",
            Self::CachesOld => "CachesOld",
            Self::Forbidden => "Forbidden",
            Self::Contended => "Contended",
            Self::ApiServerUnavailable => "ApiServerUnavailable",
        }
    }
}

impl fmt::Display for TroubleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Trouble {
    /// A trouble. A message of more than 1,000 characters is cut.
    pub fn new(reason: TroubleReason, message: impl Into<String>) -> Self {
        Self { reason, message: bounded(message.into()) }
    }
}
