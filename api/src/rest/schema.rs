//! The schemas of the contract. They come from schemars, for bodies of `core` and of this crate alike: one system, and
//! `core` knows nothing of OpenAPI, whose 3.1 takes JSON Schema as it is.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, extensions::Extensions, schema},
};

/// Carries a schema through utoipa, which would not keep all of it; [`unpack`] puts it in its place.
const PACKED: &str = "x-packed-schema";

/// A body, for `#[utoipa::path]`, under an alias: `type NodeAnswer = Of<NodeStatus>`. utoipa would give a generic type
/// that it sees a name of its own.
pub(crate) struct Of<T>(PhantomData<T>);

impl<T: JsonSchema> PartialSchema for Of<T> {
    fn schema() -> RefOr<schema::Schema> {
        let mut generator = generator();
        packed(&T::json_schema(&mut generator))
    }
}

impl<T: JsonSchema> ToSchema for Of<T> {
    fn name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<schema::Schema>)>) {
        let mut generator = generator();
        T::json_schema(&mut generator);
        let used = generator.take_definitions(true).into_iter();
        schemas.extend(used.filter_map(|(name, value)| Some((name, packed(&Schema::try_from(value).ok()?)))));
    }
}

fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.into_generator()
}

fn packed(schema: &Schema) -> RefOr<schema::Schema> {
    let packed = Extensions::from_iter([(PACKED, schema.as_value().clone())]);
    RefOr::T(ObjectBuilder::new().extensions(Some(packed)).build().into())
}

/// Puts the schemas in their places in a contract.
pub(crate) fn unpack(contract: &mut Value) {
    match contract {
        Value::Object(fields) => {
            if let Some(schema) = fields.remove(PACKED) {
                *contract = schema;
                return;
            }
            fields.values_mut().for_each(unpack);
        }
        Value::Array(items) => items.iter_mut().for_each(unpack),
        _ => {}
    }
}
