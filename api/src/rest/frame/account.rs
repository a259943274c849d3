//! What is known of one request as it comes to light: the layers write, and what is told of it at its end reads.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, Uri, request::Parts},
};
use tokio::time::Instant;

use super::audit::{Audit, Note, Touched};
use crate::{
    auth::{Caller, Operation},
    rest::problem::Problem,
};

/// The account of one request. Cloning shares it; handlers find it in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    method: Method,
    path: String,
    is_dry_run: bool,
    begun: Instant,
    route: OnceLock<String>,
    operation: OnceLock<&'static Operation>,
    caller: OnceLock<Arc<Caller>>,
    node: OnceLock<String>,
    object: OnceLock<String>,
    audit: Mutex<Audit>,
}

impl Account {
    /// Opens one.
    pub(super) fn open(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let id = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_sound(id));
        Self(Arc::new(Inner {
            id: id.map_or_else(|| format!("{:016x}", fastrand::u64(..)), str::to_owned),
            method: method.clone(),
            path: uri.path().to_owned(),
            is_dry_run: is_dry_run(uri),
            begun: Instant::now(),
            route: OnceLock::new(),
            operation: OnceLock::new(),
            caller: OnceLock::new(),
            node: OnceLock::new(),
            object: OnceLock::new(),
            audit: Mutex::default(),
        }))
    }

    /// Names this request in logs and answers.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// For how long it has been answered.
    pub(crate) fn age(&self) -> Duration {
        self.0.begun.elapsed()
    }

    pub(super) fn method(&self) -> &Method {
        &self.0.method
    }

    pub(super) fn path(&self) -> &str {
        &self.0.path
    }

    /// Whether it may change something.
    pub(super) fn is_change(&self) -> bool {
        ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.0.method)
    }

    /// The route that answers it, such as `/api/v1/nodes/{node}`.
    pub(super) fn route(&self) -> Option<&str> {
        self.0.route.get().map(String::as_str)
    }

    /// Its operation, if it is one of the contract.
    pub(super) fn operation(&self) -> Option<&'static Operation> {
        self.0.operation.get().copied()
    }

    /// Who sends it, once that is known.
    pub(crate) fn caller(&self) -> Option<&Arc<Caller>> {
        self.0.caller.get()
    }

    /// The name of who sends it.
    pub(crate) fn user(&self) -> Option<String> {
        self.caller().map(|caller| caller.user.clone())
    }

    /// What it is about.
    pub(super) fn touched(&self) -> Touched {
        let known = |cell: &OnceLock<String>| cell.get().cloned().unwrap_or_default();
        Touched { node: known(&self.0.node), object: known(&self.0.object) }
    }

    pub(crate) fn set_route(&self, route: &str) {
        self.0.route.set(route.to_owned()).ok();
    }

    pub(super) fn set_operation(&self, operation: &'static Operation) {
        let is_first = self.0.operation.set(operation).is_ok();
        // Only operations of the contract read it: what else is sent to changes all the same.
        if is_first && self.0.is_dry_run && self.is_change() {
            self.note(Note::DryRun);
        }
    }

    pub(super) fn set_caller(&self, caller: Arc<Caller>) {
        self.0.caller.set(caller).ok();
    }

    /// Says which node it concerns, where the path does not.
    pub(crate) fn set_node(&self, node: impl Into<String>) {
        self.0.node.set(node.into()).ok();
    }

    /// Says which other object it concerns: by its name, or by `namespace/name`.
    pub(crate) fn set_object(&self, object: impl Into<String>) {
        self.0.object.set(object.into()).ok();
    }

    /// What it leaves in the audit log.
    pub(super) fn audit_mut(&self) -> MutexGuard<'_, Audit> {
        // Nobody panics while holding it.
        self.0.audit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Account {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let account = parts.extensions.get::<Self>().cloned();
        account.ok_or_else(|| Problem::internal("a request came to its handler past the frame"))
    }
}

/// Whether the query asks only what would happen. Each operation reads it by itself; the log does not rely on that.
fn is_dry_run(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query).any(|(name, value)| name == "dryRun" && value == "true")
}

/// Whether a request id that came from outside can go into a log.
fn is_sound(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_from_outside_is_kept_if_it_is_sound() {
        let id = |sent: &str| {
            let headers = HeaderMap::from_iter([("x-request-id".parse().unwrap(), sent.parse().unwrap())]);
            Account::open(&Method::GET, &Uri::from_static("/"), &headers).id().to_owned()
        };
        assert_eq!(id("CHG0031-7.a_b"), "CHG0031-7.a_b");
        for bad in ["", "a b", "a\"b", &"a".repeat(65)] {
            assert_eq!(id(bad).len(), 16, "{bad}");
        }
    }
}
