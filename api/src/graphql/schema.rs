//! The schema: put together once, printed by `careen schema`, and held by a test to `openapi/schema.graphql`.

use std::io::{self, Write};

use async_graphql::{
    SDLExportOptions, Value,
    dynamic::{Scalar, Schema, SchemaBuilder, SchemaError},
};

use super::{
    cost::{Price, Prices},
    limits::Limits,
    resources,
    shape::{DATE_TIME, STRING_MAP},
    shown::Types,
    stream::Streams,
};
use crate::error::Error;

/// The schema, and what its fields cost.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) schema: Schema,
    pub(super) prices: Prices,
}

/// The whole of the schema is as much work as so many objects.
const SCHEMA: u64 = 5000;

/// Puts the schema together. That it fails is a fault of the code, and a test finds it.
pub(super) fn build(limits: &Limits) -> Result<Built, SchemaError> {
    let mut types = Types::default();
    resources::register(&mut types);
    let subscription = resources::subscription(Streams::new(&mut types)).done();
    let Types { shapes, mut prices, objects, inputs } = types;
    // Whoever has a token may ask for the schema, so it is not asked for many times at once: once is 300 kB.
    prices.set("Query", "__schema", Price::like(SCHEMA));
    prices.set("Query", "__type", Price::like(SCHEMA / 50));
    // What is too large was refused before; these are what the library can hold to as well.
    let mut builder = Schema::build("Query", Some("Mutation"), Some("Subscription"))
        .limit_depth(usize::try_from(limits.depth).unwrap_or(usize::MAX))
        .disable_suggestions()
        .register(date_time())
        .register(string_map())
        .register(subscription);
    if !limits.introspection {
        builder = builder.disable_introspection();
    }
    let builder = shapes.into_types().fold(builder, SchemaBuilder::register);
    let builder = objects.into_values().fold(builder, SchemaBuilder::register);
    let builder = inputs.into_iter().fold(builder, SchemaBuilder::register);
    Ok(Built { schema: builder.finish()?, prices })
}

fn date_time() -> Scalar {
    Scalar::new(DATE_TIME)
        .description("A point in time in UTC, as in RFC 3339: `2026-11-28T15:00:00Z`.")
        .specified_by_url("https://www.rfc-editor.org/rfc/rfc3339")
        .validator(|value| matches!(value, Value::String(_)))
}

fn string_map() -> Scalar {
    Scalar::new(STRING_MAP)
        .description("An object whose values are strings, such as labels.")
        .validator(|value| matches!(value, Value::Object(_)))
}

/// The schema as text, the same each time.
pub(super) fn text() -> Result<String, Error> {
    let built = build(&Limits::default()).map_err(|error| Error::Schema(error.0))?;
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items();
    Ok(format!("{}\n", built.schema.sdl_with_options(options).trim()))
}

/// `careen schema`: prints the schema.
pub(crate) fn print() -> Result<(), Error> {
    match io::stdout().write_all(text()?.as_bytes()) {
        // `careen schema | head`: who reads has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}
