//! What is refused, as GraphQL tells it: `extensions.code` is the reason that REST's problem has.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Error, ErrorExtensions, ServerError, Value,
    dynamic::{FieldValue, ResolverContext},
};

use crate::rest::Problem;

/// What of a problem stands in `extensions` besides `code`.
const MEMBERS: [&str; 7] = ["type", "title", "status", "field", "missing", "see", "kubernetesReason"];

/// The error of a problem.
pub(super) fn refusal(problem: &Problem) -> Error {
    // Whoever sends the answer sees by it what the status or the end of the stream is.
    let error = Error { source: Some(Arc::new(problem.clone())), ..Error::new(problem.detail()) };
    error.extend_with(|_, extensions| {
        extensions.set("code", problem.reason().name);
        // Strings and numbers: this does not fail.
        let Ok(Value::Object(mut members)) = async_graphql::to_value(problem.body(None)) else { return };
        for name in MEMBERS {
            if let Some(value) = members.swap_remove(name) {
                extensions.set(name, value);
            }
        }
    })
}

/// The errors of the fields of a stream's answer. The library collects them where it never looks when it answers a
/// subscription: they would not be told, and be kept as long as the stream lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused(Arc<Mutex<Vec<ServerError>>>);

impl Refused {
    fn add(&self, error: ServerError) {
        // Nobody panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// Those since it was asked last; none is kept.
    pub(super) fn take(&self) -> Vec<ServerError> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Null in the place of a field, and the error with the path of that field.
pub(super) fn null_with(context: &ResolverContext<'_>, problem: &Problem) -> Option<FieldValue<'static>> {
    let error = context.set_error_path(refusal(problem).into_server_error(context.item.pos));
    match context.data_opt::<Refused>() {
        Some(refused) => refused.add(error),
        None => context.add_error(error),
    }
    None
}
