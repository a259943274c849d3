//! The schemas of the contract. They come from schemars, for bodies of `core` and of this crate alike: one system, and
//! `core` knows nothing of OpenAPI, whose 3.1 takes JSON Schema as it is.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
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

/// A page of a list, for `#[utoipa::path]`, under an alias.
pub(crate) struct ListOf<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for ListOf<T> {
    fn schema() -> RefOr<schema::Schema> {
        let item = format!("#/components/schemas/{}", T::name());
        packed_value(json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "items": {
                    "type": "array",
                    "description": "The objects of this page, in the order of their names.",
                    "items": { "$ref": item },
                },
                "continue": {
                    "type": "string",
                    "description": "Where the next page begins: send it as `continue`. Absent on the last page.",
                },
            },
        }))
    }
}

impl<T: ToSchema> ToSchema for ListOf<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<schema::Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// Defines bodies of `core` that have a name in the contract and no schema yet.
macro_rules! untyped {
    ($($(#[doc = $text:literal])* $body:ident = $name:literal;)*) => {$(
        $(#[doc = $text])*
        pub(super) struct $body;

        impl utoipa::PartialSchema for $body {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let description = concat!($($text),*).trim();
                crate::rest::schema::packed_value(serde_json::json!({ "type": "object", "description": description }))
            }
        }

        impl utoipa::ToSchema for $body {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}
pub(crate) use untyped;

/// A schema, in the form in which utoipa carries it.
pub(crate) fn packed_value(schema: Value) -> RefOr<schema::Schema> {
    let packed = Extensions::from_iter([(PACKED, schema)]);
    RefOr::T(ObjectBuilder::new().extensions(Some(packed)).build().into())
}

fn packed(schema: &Schema) -> RefOr<schema::Schema> {
    packed_value(schema.as_value().clone())
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
