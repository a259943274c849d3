//! What is told of a request at its end: a line in the access log, its audit lines, its numbers. Never a token, a query
//! or a body.

use std::time::Duration;

use axum::http::StatusCode;

use super::{Account, HttpMetrics};
use crate::rest::reason::Reason;

/// Tells of a request.
pub(super) fn tell(
    metrics: &HttpMetrics,
    account: &Account,
    status: StatusCode,
    reason: Option<&'static Reason>,
    took: Duration,
) {
    metrics.count(account, status, took);
    let (method, path, request_id) = (account.method(), account.path(), account.id());
    let user = account.caller().map_or("", |caller| &caller.user);
    let code = status.as_u16();
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    account.write_audit(code, reason);
    let reason = reason.map_or("", |reason| reason.name);
    if account.operation().is_some() || account.is_change() {
        tracing::info!(target: "careen::access", request_id, %method, path, code, reason, user, milliseconds, "answered");
    } else {
        // Probes, documents, and paths that do not exist.
        tracing::debug!(target: "careen::access", request_id, %method, path, code, reason, milliseconds, "answered");
    }
}
