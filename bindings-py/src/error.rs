//! What goes wrong, as Python's exceptions. The classes are in `careen.errors`; which one it is follows from the engine's
//! own kind of failure, and `reason` is the engine's name for it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use careen_core::{
    cluster::{ConnectError, WatchState},
    lease::LeaseError,
    model::NodeName,
    operation::{OperationError, OperationErrorKind},
};
use pyo3::prelude::*;
use serde_json::{Value, json};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error(transparent)]
    Connect(ConnectError),
    /// The engine's own sentence names a flag of the command line.
    #[error("found no cluster: {0}; name a kubeconfig, or set KUBECONFIG")]
    NoKubeconfig(String),
    #[error("{message}")]
    InvalidArgument { argument: &'static str, message: String },
    #[error("the connection is closed: make another Cluster")]
    Closed,
    #[error(
        "careen does not survive os.fork(): start the child process with \"spawn\", or fork before careen is first used"
    )]
    Forked,
    #[error("{what} has not come within {} s", limit.as_secs_f64())]
    Timeout { what: String, limit: Duration },
    #[error("the drain of node {node} has not begun within {} s: the API server has not answered", limit.as_secs_f64())]
    NotBegun { node: NodeName, limit: Duration },
    #[error("may not read what it takes: {0}")]
    Unreadable(String),
    #[error("the API server refuses the credentials by now: {0}")]
    Unauthorized(String),
    #[error("cannot read what it takes: {}", sentence(.0))]
    NotFilled(BTreeMap<&'static str, WatchState>),
    #[error("a controller cannot stand for election: {0}")]
    NoElection(Arc<LeaseError>),
    #[error("a fault of careen, please report it: {0}")]
    Internal(String),
    #[cfg(feature = "testing")]
    #[error(transparent)]
    Manifest(#[from] careen_sim::cluster::ManifestError),
}

fn sentence(waiting: &BTreeMap<&'static str, WatchState>) -> String {
    waiting.iter().map(|(kind, state)| format!("{kind}: {state}")).collect::<Vec<_>>().join("; ")
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NotFound { message } => Self::NoKubeconfig(message),
            error => Self::Connect(error),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl Error {
    /// The class of the exception, by its name in `careen.errors`, and the engine's name for the failure.
    fn class_and_reason(&self) -> (&'static str, &'static str) {
        match self {
            Self::Operation(error) => (class_of(error), error.reason()),
            Self::Connect(ConnectError::Kubeconfig { .. }) => ("InvalidArgumentError", "Kubeconfig"),
            Self::Connect(ConnectError::Context { .. }) => ("InvalidArgumentError", "Kubeconfig"),
            Self::Connect(ConnectError::Address { .. }) => ("InvalidArgumentError", "InvalidArgument"),
            Self::Connect(ConnectError::NotFound { .. }) | Self::NoKubeconfig(_) => {
                ("ConfigurationError", "NoKubeconfig")
            }
            Self::Connect(ConnectError::Client { .. }) => ("ConfigurationError", "Client"),
            Self::Connect(ConnectError::Unreachable { .. }) => ("UnreachableError", "Unreachable"),
            Self::Connect(ConnectError::Unauthorized { .. }) => ("UnauthorizedError", "Unauthorized"),
            Self::InvalidArgument { .. } => ("InvalidArgumentError", "InvalidArgument"),
            Self::Closed => ("ClosedError", "Closed"),
            Self::Forked => ("CareenError", "Forked"),
            Self::Timeout { .. } | Self::NotBegun { .. } => ("TimeoutError", "Timeout"),
            Self::Unreadable(_) => ("ForbiddenError", "Forbidden"),
            Self::Unauthorized(_) => ("UnauthorizedError", "Unauthorized"),
            Self::NotFilled(_) => ("UnreachableError", "ApiServerUnavailable"),
            Self::NoElection(error) => match **error {
                LeaseError::NamespaceMissing { .. } => ("NotFoundError", "NamespaceMissing"),
                LeaseError::Forbidden { .. } => ("ForbiddenError", "Forbidden"),
                _ => ("RejectedError", "Rejected"),
            },
            Self::Internal(_) => ("CareenError", "Internal"),
            #[cfg(feature = "testing")]
            Self::Manifest(careen_sim::cluster::ManifestError::Refused { .. }) => ("RejectedError", "Rejected"),
            #[cfg(feature = "testing")]
            Self::Manifest(_) => ("InvalidArgumentError", "InvalidArgument"),
        }
    }

    /// What a script may want to know, by the names of the exception's attributes.
    fn details(&self) -> Value {
        match self {
            Self::Operation(error) => details_of(error),
            Self::InvalidArgument { argument, .. } => json!({ "argument": argument }),
            Self::NotBegun { node, .. } => json!({ "node": node }),
            Self::Connect(ConnectError::Kubeconfig { .. }) => json!({ "argument": "kubeconfig" }),
            Self::Connect(ConnectError::Context { .. }) => json!({ "argument": "context" }),
            Self::Connect(ConnectError::Address { field, .. }) => json!({ "argument": field }),
            #[cfg(feature = "testing")]
            Self::Manifest(_) => json!({ "argument": "manifests" }),
            _ => json!({}),
        }
    }
}

fn class_of(error: &OperationError) -> &'static str {
    match error.kind() {
        OperationErrorKind::NotFound => "NotFoundError",
        OperationErrorKind::Conflict => "ConflictError",
        OperationErrorKind::PreconditionFailed => "PreconditionFailedError",
        OperationErrorKind::Unavailable => "UnreachableError",
        OperationErrorKind::Invalid if matches!(error, OperationError::Rejected { .. }) => "RejectedError",
        OperationErrorKind::Invalid => "InvalidArgumentError",
        OperationErrorKind::NotPossible if matches!(error, OperationError::NotServed { .. }) => "NotServedError",
        OperationErrorKind::NotPossible => "ForbiddenError",
    }
}

fn details_of(error: &OperationError) -> Value {
    use OperationError as E;
    match error {
        E::InvalidArgument { field, .. } => json!({ "argument": field }),
        E::KubeVirtDrainTaint(_) => json!({ "argument": "key" }),
        E::NodeNotFound { node } | E::DrainNotFound { node, .. } => json!({ "node": node }),
        E::NodeLeaseHeld { node, holder } => json!({ "node": node, "holder": holder }),
        E::UnderMaintenance { node, by }
        | E::DrainInProgress { node, by, .. }
        | E::AlreadyUnderMaintenance { node, by, .. }
        | E::MaintenanceStopping { node, name: by } => json!({ "node": node, "holder": by }),
        E::AlreadyMigrating { migration, .. } => json!({ "migration": migration }),
        _ => json!({}),
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let (class, reason) = error.class_and_reason();
        let made = Python::attach(|py| {
            let make = py.import("careen.errors")?.getattr("_make")?;
            let arguments = (class, reason, error.to_string(), error.details().to_string());
            Ok(PyErr::from_value(make.call1(arguments)?))
        });
        made.unwrap_or_else(|failure: PyErr| failure)
    }
}

impl Error {
    /// A request of our own that failed.
    pub(crate) fn of_request(what: &str, error: &kube::Error) -> Self {
        let operation = match error {
            kube::Error::Api(status) if status.code == 401 => return Self::Unauthorized(status.message.clone()),
            kube::Error::Api(status) if status.is_forbidden() => {
                OperationError::Forbidden { message: status.message.clone() }
            }
            // Of a kind: that is often bare text, which `is_not_found` does not see.
            kube::Error::Api(status) if status.code == 404 => {
                OperationError::NotServed { message: format!("cannot {what}: the cluster does not have that kind") }
            }
            kube::Error::Api(status) if status.code >= 500 || status.code == 429 => {
                OperationError::ApiServerUnavailable { message: format!("cannot {what}: {}", status.message) }
            }
            kube::Error::Api(status) => OperationError::Rejected {
                message: format!("cannot {what}: {}", status.message),
                kubernetes_reason: Some(status.reason.clone()),
            },
            error => OperationError::ApiServerUnavailable { message: format!("cannot {what}: {error}") },
        };
        operation.into()
    }
}
