//! The schemas of the contract. They come from schemars, for bodies of `core` and of this crate alike: one system, and
//! `core` knows nothing of OpenAPI, whose 3.1 takes JSON Schema as it is.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, extensions::Extensions, schema},
};

/// Carries a schema through utoipa, which would not keep all of it; [`unpack`] puts it in its place.
const PACKED: &str = "x-packed-schema";

/// The body of a request, for `#[utoipa::path]`, under an alias: `type TaintRequest = Of<Taint>`. utoipa would give a
/// generic type that it sees a name of its own.
pub(crate) struct Of<T>(PhantomData<T>);

/// The body of an answer, likewise: every field that is always there is required.
pub(crate) struct Given<T>(PhantomData<T>);

impl<T: JsonSchema> PartialSchema for Of<T> {
    fn schema() -> RefOr<schema::Schema> {
        packed(&T::json_schema(&mut generator(Contract::Deserialize)))
    }
}

impl<T: JsonSchema> ToSchema for Of<T> {
    fn name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<schema::Schema>)>) {
        schemas.extend(used_by::<T>(Contract::Deserialize));
    }
}

impl<T: JsonSchema> PartialSchema for Given<T> {
    fn schema() -> RefOr<schema::Schema> {
        packed(&T::json_schema(&mut generator(Contract::Serialize)))
    }
}

impl<T: JsonSchema> ToSchema for Given<T> {
    fn name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<schema::Schema>)>) {
        schemas.extend(used_by::<T>(Contract::Serialize));
    }
}

/// The schemas that the one of a type refers to.
fn used_by<T: JsonSchema>(contract: Contract) -> impl Iterator<Item = (String, RefOr<schema::Schema>)> {
    let mut generator = generator(contract);
    T::json_schema(&mut generator);
    let used = generator.take_definitions(true).into_iter();
    used.filter_map(|(name, value)| Some((name, packed(&Schema::try_from(value).ok()?))))
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.contract = contract;
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
                    "description": "The objects of this page, in the order of their keys.",
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
