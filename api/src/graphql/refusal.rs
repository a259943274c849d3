//! What is refused, as GraphQL tells it: `extensions.code` is the reason that REST's problem has.

use async_graphql::{
    Error, ErrorExtensions, Value,
    dynamic::{FieldValue, ResolverContext},
};

use crate::rest::Problem;

/// What of a problem stands in `extensions` besides `code`.
const MEMBERS: [&str; 6] = ["type", "title", "status", "field", "missing", "see"];

/// The error of a problem.
pub(super) fn refusal(problem: &Problem) -> Error {
    Error::new(problem.detail()).extend_with(|_, extensions| {
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

/// Null in the place of a field, and the error with the path of that field.
pub(super) fn null_with(context: &ResolverContext<'_>, problem: &Problem) -> Option<FieldValue<'static>> {
    let error = context.set_error_path(refusal(problem).into_server_error(context.item.pos));
    context.add_error(error);
    None
}
