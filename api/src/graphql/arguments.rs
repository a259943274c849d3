//! The arguments of fields: read by serde, as REST's bodies and queries are.

use async_graphql::{
    Value,
    dynamic::{InputValue, ResolverContext, TypeRef},
};
use careen_core::model::NodeName;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Map;

use super::{
    shape::{self, Shape},
    shown::Types,
};
use crate::rest::{Problem, Reason, Strict, Touched};

/// No arguments.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) struct Nothing {}

/// Of which node.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfNode {
    /// The name of the node.
    pub(super) node: NodeName,
}

/// The arguments of a field.
pub(super) fn read<P: DeserializeOwned>(context: &ResolverContext<'_>) -> Result<P, Problem> {
    let arguments = context.args.iter().map(|(name, value)| (name.clone(), value.as_value().clone()));
    parsed(Value::Object(arguments.collect()))
}

/// The one argument `input` of a field that changes something.
pub(super) fn read_input<P: DeserializeOwned>(context: &ResolverContext<'_>) -> Result<P, Problem> {
    parsed(context.args.get("input").map_or(Value::Null, |input| input.as_value().clone()))
}

/// What a change is about, and whether it is only a dry run, as far as its input says: for the audit log, whatever else
/// is wrong.
pub(super) fn touched(context: &ResolverContext<'_>) -> (Touched, bool) {
    let input = context.args.get("input").map(|input| input.as_value().clone());
    let Some(Value::Object(members)) = input else { return (Touched::default(), false) };
    let text = |member: &str| match members.get(member) {
        // As in any name; what is longer is none.
        Some(Value::String(name)) => name.chars().take(253).collect(),
        _ => String::new(),
    };
    let (namespace, name) = (text("namespace"), text("name"));
    let object = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
    let is_dry_run = members.get("dryRun") == Some(&Value::Boolean(true));
    (Touched { node: text("node"), object }, is_dry_run)
}

/// The argument `input`, of a type of its own.
pub(super) fn input(types: &mut Types, shape: Shape) -> InputValue {
    let of_type = TypeRef::named_nn(&shape.name);
    types.inputs.push(shape::input_object(shape));
    InputValue::new("input", of_type).description("What is wanted.")
}

fn parsed<P: DeserializeOwned>(value: Value) -> Result<P, Problem> {
    // Numbers, strings, lists and objects: this does not fail.
    let json = without_nulls(value.into_json().unwrap_or_default());
    let strict = Strict::deserialize(json).map_err(|error| Problem::new(Reason::INVALID, error))?;
    strict.read().map_err(|(path, error)| match path.to_string().as_str() {
        "." => Problem::new(Reason::INVALID, error),
        path => Problem::new(Reason::INVALID, format!("{path}: {error}")).field(path),
    })
}

/// What is null is left out: for GraphQL both say "nothing".
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (name, without_nulls(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}
