//! The outermost layer that knows what a request is: a request id, the time-out, a panic's answer.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{Request, State},
    http::HeaderValue,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::{Account, Frame, render, size, tell};
use crate::{
    health,
    rest::{problem::Problem, reason::Reason},
};

/// Answers a request, and tells of it. A change is carried on when its caller goes away: half of one helps nobody, and
/// its audit line is written.
pub(super) async fn observe(State(frame): State<Frame>, mut request: Request, next: Next) -> Response {
    let account = Account::open(request.method(), request.uri(), request.headers());
    request.extensions_mut().insert(account.clone());
    let is_change = account.is_change();
    let changes = frame.0.changes.clone();
    let answered = answer_and_tell(frame, account, request, next);
    if is_change {
        let answered = changes.spawn(answered).await;
        answered.unwrap_or_else(|error| Problem::internal(error).into_response())
    } else {
        answered.await
    }
}

async fn answer_and_tell(frame: Frame, account: Account, request: Request, next: Next) -> Response {
    let _in_flight = frame.0.metrics.in_flight();
    let begun = Instant::now();
    let response = answer(&frame, request, next).await;
    let (mut response, reason) = render::render(response, &account).await;
    if let Ok(id) = HeaderValue::from_str(account.id()) {
        response.headers_mut().insert("x-request-id", id);
    }
    tell::tell(&frame.0.metrics, &account, response.status(), reason, begun.elapsed());
    response
}

async fn answer(frame: &Frame, request: Request, next: Next) -> Response {
    if let Err(problem) = size::check(&request) {
        return problem.into_response();
    }
    // However much is asked of the server: it lives, and its numbers say why it is slow.
    let is_probe = health::PATHS.contains(&request.uri().path());
    let permit = if is_probe { None } else { Some(frame.0.permits.try_acquire()) };
    if let Some(Err(_)) = permit {
        return size::too_many_at_once().into_response();
    }
    let within = frame.0.limits.within;
    let answered = timeout(within, AssertUnwindSafe(next.run(request)).catch_unwind());
    match answered.await {
        Ok(Ok(response)) => response,
        // The panic's message and place are on stderr.
        Ok(Err(_panic)) => Problem::internal("a handler panicked").into_response(),
        Err(_) => {
            let sentence = format!("there was no answer within {} s", within.as_secs());
            Problem::new(Reason::TIMEOUT, sentence).into_response()
        }
    }
}
