//! What is refused, as GraphQL tells it: `extensions.code` is the reason that REST's problem has.

use async_graphql::{
    Error, ErrorExtensions,
    dynamic::{FieldValue, ResolverContext},
};

use crate::rest::Problem;

/// The error of a problem.
pub(super) fn refusal(problem: &Problem) -> Error {
    Error::new(problem.detail()).extend_with(|_, extensions| {
        let members = serde_json::from_slice::<serde_json::Map<_, _>>(&problem.json(None)).unwrap_or_default();
        extensions.set("code", problem.reason().name);
        for name in ["type", "title", "status", "field", "missing", "see"] {
            if let Some(value) =
                members.get(name).cloned().and_then(|value| async_graphql::Value::from_json(value).ok())
            {
                extensions.set(name, value);
            }
        }
    })
}

/// Null in the place of a field, and the error with the path of that field.
pub(super) fn null_with(context: &ResolverContext<'_>, problem: &Problem) -> Option<FieldValue<'static>> {
    let error = refusal(problem).into_server_error(context.item.pos);
    context.add_error(context.set_error_path(error));
    None
}
