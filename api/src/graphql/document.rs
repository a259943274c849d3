//! A request, checked before anything of it runs.

use async_graphql::{
    Pos, Positioned, Request, ServerError, Value as ConstValue, Variables,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, VariableDefinition},
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    cost::{self, TooMuch},
    limits::Limits,
    refusal::refusal,
    roots,
    schema::Built,
    text,
};
use crate::rest::{Problem, Reason};

/// A request as clients send it. A list of several is none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    /// The document.
    pub(super) query: String,
    /// Which of its operations; needed where it has several.
    #[serde(default)]
    pub(super) operation_name: Option<String>,
    /// The values of its variables.
    #[serde(default)]
    pub(super) variables: Option<Map<String, Value>>,
    /// `{"cost": true}`: the answer says what it cost.
    #[serde(default)]
    pub(super) extensions: Option<Map<String, Value>>,
}

/// A request that may run.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) request: Request,
    pub(super) type_: OperationType,
    /// So many requests it counts as: each change is one.
    pub(super) requests: usize,
    pub(super) cost: u64,
    pub(super) tells_cost: bool,
}

impl Asked {
    /// Checks it, in a time that its size bounds.
    pub(super) fn checked(self, built: &Built, limits: &Limits) -> Result<Checked, ServerError> {
        let Self { query, operation_name, variables, extensions } = self;
        text::check(&query, limits).map_err(|too_much| too_expensive(&too_much))?;
        let document = parse_query(&query).map_err(|error| {
            let error = ServerError::from(error);
            let place = error.locations.first().copied();
            // The parser draws the line that it is about, however long; the place is told besides.
            let expected = error.message.rsplit_once("= ").map_or("", |(_, expected)| expected);
            refused_at(&Problem::bad_request(format!("the document cannot be read: {expected}")), place)
        })?;
        let mut variables = Variables::from_json(Value::Object(variables.unwrap_or_default()));
        let operation = operation(&document, operation_name.as_deref())?;
        demand_values(operation, &variables)?;
        add_defaults(operation, &mut variables);
        let weight = cost::weigh(&document, operation, &variables, &built.prices, limits);
        let weight = weight.map_err(|too_much| too_expensive(&too_much))?;
        let requests = roots::requests(&document, operation).map_err(|too_much| too_expensive(&too_much))?;
        let type_ = operation.ty;
        let tells_cost = extensions.is_some_and(|extensions| extensions.get("cost") == Some(&Value::Bool(true)));
        let mut request = Request::new(query).variables(variables);
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        Ok(Checked { request, type_, requests, cost: weight.cost, tells_cost })
    }
}

/// The operation that would run.
fn operation<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, ServerError> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        (DocumentOperations::Single(_), Some(_)) | (DocumentOperations::Multiple(_), None) => None,
    };
    let none = || match name {
        Some(name) => format!("operationName: the document has no operation {name:?}"),
        None => "operationName: the document has several operations; say which".to_owned(),
    };
    let operation = found.ok_or_else(|| refused_at(&Problem::bad_request(none()).field("operationName"), None))?;
    Ok(&operation.node)
}

/// Refuses null for a variable that has none. The library takes it as if the argument were not there: a dry run would
/// be none.
fn demand_values(operation: &OperationDefinition, variables: &Variables) -> Result<(), ServerError> {
    let is_wrong = |definition: &VariableDefinition| {
        !definition.var_type.node.nullable && variables.get(&definition.name.node) == Some(&ConstValue::Null)
    };
    let wrong = operation.variable_definitions.iter().find(|definition| is_wrong(&definition.node));
    let Some(Positioned { pos, node: definition }) = wrong else { return Ok(()) };
    let (name, type_) = (&definition.name.node, &definition.var_type.node);
    let problem = Problem::new(Reason::INVALID, format!("variables.{name} is null, and {type_} is never null"));
    Err(refused_at(&problem.field(format!("variables.{name}")), Some(*pos)))
}

/// Gives each variable that was not sent the value that it has when the document runs: its default, or null. The library
/// does not look at arguments with a variable whose value it does not know; what is no field of theirs would be ignored.
fn add_defaults(operation: &OperationDefinition, variables: &mut Variables) {
    for Positioned { node: definition, .. } in &operation.variable_definitions {
        if let Some(default) = definition.default_value() {
            variables.entry(definition.name.node.clone()).or_insert_with(|| default.clone());
        }
    }
}

fn too_expensive(too_much: &TooMuch) -> ServerError {
    let reason = match too_much {
        TooMuch::Cycle(_)
        | TooMuch::SeveralStreams
        | TooMuch::Twice(_)
        | TooMuch::NoFragment(_)
        | TooMuch::Unused(_) => Reason::INVALID,
        _ => Reason::TOO_EXPENSIVE,
    };
    refused_at(&Problem::new(reason, too_much), None)
}

/// The error of a request of which nothing ran.
pub(super) fn refused_at(problem: &Problem, place: Option<Pos>) -> ServerError {
    let mut error = refusal(problem).into_server_error(place.unwrap_or_default());
    if place.is_none() {
        error.locations.clear();
    }
    error
}
