//! Requests about one Lease, each bounded in time, and what can go wrong with them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};

use crate::{
    answer::{Answer, lacks_right, reason_of},
    model::ObjectKey,
    names::FIELD_MANAGER,
};

/// Three of them fit between two deadlines of the leader Lease.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a Lease could not be read or written. Trying again is harmless in every case.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Its namespace is not there.
    #[error("{object} cannot be made, because the namespace {namespace} does not exist: create the namespace")]
    NamespaceMissing {
        /// What was to be written.
        object: String,
        /// The namespace.
        namespace: String,
    },
    /// The right is missing.
    #[error("not allowed to {verb} {object}: grant the right to {verb} {resource} ({message})")]
    Forbidden {
        /// `get`, `create`, `update` or `delete`.
        verb: &'static str,
        /// The resource that the right is about.
        resource: &'static str,
        /// What was to be read or written.
        object: String,
        /// What the API server says.
        message: String,
    },
    /// No answer in time: a write may have been made, or not.
    #[error("no answer from the API server within {} s when asked to {verb} {object}", after.as_secs())]
    Timeout {
        /// `get`, `create`, `update` or `delete`.
        verb: &'static str,
        /// What was to be read or written.
        object: String,
        /// How long was waited.
        after: Duration,
    },
    /// The API server cannot be reached or cannot serve now.
    #[error("the API server could not be asked to {verb} {object}: {source}")]
    Unreachable {
        /// `get`, `create`, `update` or `delete`.
        verb: &'static str,
        /// What was to be read or written.
        object: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// The API server says no for another reason: the namespace is being deleted, an admission webhook, no such API.
    #[error("the API server refuses to {verb} {object}: {message}")]
    Rejected {
        /// `get`, `create`, `update` or `delete`.
        verb: &'static str,
        /// What was to be read or written.
        object: String,
        /// What it says.
        message: String,
        /// Kubernetes' own word for why, if it has said one: `Forbidden`, `Invalid`.
        reason: Option<String>,
    },
    /// Somebody else wrote it each time.
    #[error("{object} was written by somebody else each time it was to be written")]
    Contended {
        /// What was to be written.
        object: String,
    },
}

impl LeaseError {
    /// Whether time alone will not help: somebody has to change something.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NamespaceMissing { .. } | Self::Forbidden { .. } | Self::Rejected { .. })
    }
}

/// The requests. Writes give `None` where the Lease is not what it was thought to be (conflict): read it again.
#[derive(Debug)]
pub(super) struct LeaseRequests {
    api: Api<Lease>,
    pub key: ObjectKey,
}

impl LeaseRequests {
    pub(super) fn new(client: Client, key: ObjectKey) -> Self {
        Self { api: Api::namespaced(client, &key.namespace), key }
    }

    /// `None` if there is none.
    pub(super) async fn get(&self) -> Result<Option<Lease>, LeaseError> {
        match Answer::within(REQUEST_TIMEOUT, self.api.get(&self.key.name)).await {
            Answer::Done(lease) => Ok(Some(lease)),
            Answer::Refused(status) if status.is_not_found() => Ok(None),
            failed => Err(self.failure("get", failed)),
        }
    }

    pub(super) async fn create(&self, lease: &Lease) -> Result<Option<Lease>, LeaseError> {
        match Answer::within(REQUEST_TIMEOUT, self.api.create(&post_params(), lease)).await {
            Answer::Done(lease) => Ok(Some(lease)),
            Answer::Refused(status) if status.code == 409 => Ok(None),
            Answer::Refused(status) if status.is_not_found() => {
                Err(LeaseError::NamespaceMissing { object: self.object(), namespace: self.key.namespace.clone() })
            }
            failed => Err(self.failure("create", failed)),
        }
    }

    /// Replaces the Lease if it still has the resourceVersion in `lease`.
    pub(super) async fn replace(&self, lease: &Lease) -> Result<Option<Lease>, LeaseError> {
        match Answer::within(REQUEST_TIMEOUT, self.api.replace(&self.key.name, &post_params(), lease)).await {
            Answer::Done(lease) => Ok(Some(lease)),
            Answer::Refused(status) if status.is_conflict() || status.is_not_found() => Ok(None),
            failed => Err(self.failure("update", failed)),
        }
    }

    /// Deletes the Lease if it is still exactly this one.
    pub(super) async fn delete(&self, lease: &Lease) -> Result<Option<()>, LeaseError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: lease.metadata.uid.clone(),
            resource_version: lease.metadata.resource_version.clone(),
        });
        match Answer::within(REQUEST_TIMEOUT, self.api.delete(&self.key.name, &params)).await {
            Answer::Done(_) => Ok(Some(())),
            Answer::Refused(status) if status.is_not_found() => Ok(Some(())),
            Answer::Refused(status) if status.is_conflict() => Ok(None),
            failed => Err(self.failure("delete", failed)),
        }
    }

    pub(super) fn object(&self) -> String {
        format!("the Lease {}", self.key)
    }

    fn failure<T>(&self, verb: &'static str, answer: Answer<T>) -> LeaseError {
        failure(answer, verb, "leases.coordination.k8s.io", self.object())
    }
}

pub(super) fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// What to say of an answer that was of no use.
pub(super) fn failure<T>(answer: Answer<T>, verb: &'static str, resource: &'static str, object: String) -> LeaseError {
    match answer {
        Answer::Refused(status) if lacks_right(&status) => {
            LeaseError::Forbidden { verb, resource, object, message: status.message }
        }
        Answer::Refused(status) => {
            LeaseError::Rejected { verb, object, reason: reason_of(&status), message: status.message }
        }
        Answer::Unavailable(source) => LeaseError::Unreachable { verb, object, source },
        Answer::TimedOut | Answer::Done(_) => LeaseError::Timeout { verb, object, after: REQUEST_TIMEOUT },
    }
}
