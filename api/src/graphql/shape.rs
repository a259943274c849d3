//! GraphQL types from JSON schemas: what core shows and what handlers read is described where it is defined, and
//! nowhere a second time.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, Type, TypeRef,
};
use careen_core::model::{
    ActorKind, BlockClass, BlockReason, EvictOrBlock, LeaveOrAbort, MigrateBy, ShutDownBy, ShutDownOrBlock,
    ShutDownOrMigrate, SkipReason, TaintEffect, TroubleReason,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The scalar of points in time.
pub(super) const DATE_TIME: &str = "DateTime";
/// The scalar of labels and the like.
pub(super) const STRING_MAP: &str = "StringMap";

/// What a schema says about an object, or about the arguments of a field.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) members: Vec<Member>,
}

/// One of its fields, or an argument.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) type_: TypeRef,
}

/// Whether something is shown to clients or sent by them: GraphQL has different types for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Shown,
    Sent,
}

/// The types that were found in schemas so far.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    types: BTreeMap<String, Type>,
}

impl Shapes {
    /// The shape of a type; `leave_out` names members that are not wanted.
    pub(super) fn of<T: JsonSchema>(&mut self, way: Way, leave_out: &BTreeSet<&str>) -> Shape {
        let mut settings = SchemaSettings::draft2020_12();
        if way == Way::Shown {
            settings = settings.for_serialize();
        }
        let root = settings.into_generator().into_root_schema_for::<T>();
        let reader = Reader { way, definitions: &root.as_value()["$defs"] };
        Shape {
            name: T::schema_name().into_owned(),
            description: description(root.as_value()),
            members: reader.members(self, root.as_value(), leave_out),
        }
    }

    /// All types that were found.
    pub(super) fn into_types(self) -> impl Iterator<Item = Type> {
        self.types.into_values()
    }
}

struct Reader<'a> {
    way: Way,
    definitions: &'a Value,
}

impl Reader<'_> {
    fn members(&self, shapes: &mut Shapes, schema: &Value, leave_out: &BTreeSet<&str>) -> Vec<Member> {
        let required: BTreeSet<&str> = strings(&schema["required"]).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let wanted = properties.filter(|(name, _)| !leave_out.contains(name.as_str()));
        let member = |(name, property): (&String, &Value)| {
            let type_ = self.type_of(shapes, property);
            let is_there = required.contains(name.as_str()) && !is_nullable(property);
            Member {
                name: name.clone(),
                description: description(property),
                type_: if is_there { TypeRef::NonNull(Box::new(type_)) } else { type_ },
            }
        };
        wanted.map(member).collect()
    }

    /// The type, without its being nullable or not.
    fn type_of(&self, shapes: &mut Shapes, schema: &Value) -> TypeRef {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.named(shapes, reference.trim_start_matches("#/$defs/"));
        }
        let alternatives = schema["anyOf"].as_array().into_iter().flatten();
        if let Some(other) = alternatives.into_iter().find(|part| part["type"] != "null") {
            return self.type_of(shapes, other);
        }
        let values = enum_values(schema);
        if !values.is_empty() {
            return inlined(shapes, &values);
        }
        match type_word(schema) {
            "array" => TypeRef::List(Box::new(TypeRef::NonNull(Box::new(self.type_of(shapes, &schema["items"]))))),
            "integer" => TypeRef::named(TypeRef::INT),
            "number" => TypeRef::named(TypeRef::FLOAT),
            "boolean" => TypeRef::named(TypeRef::BOOLEAN),
            "object" => TypeRef::named(STRING_MAP),
            _ if schema["format"] == "date-time" => TypeRef::named(DATE_TIME),
            _ => TypeRef::named(TypeRef::STRING),
        }
    }

    fn named(&self, shapes: &mut Shapes, name: &str) -> TypeRef {
        let schema = &self.definitions[name];
        let values = enum_values(schema);
        if values.is_empty() && schema["properties"].is_null() {
            return self.type_of(shapes, schema);
        }
        let is_sent_object = values.is_empty() && self.way == Way::Sent;
        let type_name = if is_sent_object { Cow::from(format!("{name}Input")) } else { Cow::from(name) };
        if !shapes.types.contains_key(&*type_name) {
            let type_ = if values.is_empty() {
                let members = self.members(shapes, schema, &BTreeSet::new());
                let shape = Shape { name: type_name.to_string(), description: description(schema), members };
                if is_sent_object { Type::from(input_object(shape)) } else { Type::from(plain_object(shape)) }
            } else {
                Type::from(enumeration(name, &description(schema), values))
            };
            shapes.types.insert(type_name.to_string(), type_);
        }
        TypeRef::named(type_name)
    }
}

/// An object whose value is plain data.
fn plain_object(shape: Shape) -> Object {
    let mut object = Object::new(shape.name).description(shape.description);
    for Member { name, description, type_ } in shape.members {
        let key = name.clone();
        let field = Field::new(name, type_, move |context| {
            FieldFuture::Value(context.parent_value.as_value().and_then(|value| member_of(value, &key)))
        });
        object = object.field(field.description(description));
    }
    object
}

/// A member of plain data, unless it is null.
pub(super) fn member_of(value: &async_graphql::Value, name: &str) -> Option<FieldValue<'static>> {
    let async_graphql::Value::Object(members) = value else { return None };
    let member = members.get(name).filter(|member| **member != async_graphql::Value::Null);
    member.map(|member| FieldValue::value(member.clone()))
}

pub(super) fn input_object(shape: Shape) -> InputObject {
    let object = InputObject::new(shape.name).description(shape.description);
    shape.members.into_iter().fold(object, |object, member| object.field(argument(member)))
}

/// An argument of a field, or a field of an input object.
pub(super) fn argument(Member { name, description, type_ }: Member) -> InputValue {
    InputValue::new(name, type_).description(description)
}

fn enumeration(name: &str, description: &str, values: Vec<(String, String)>) -> Enum {
    let items = values.into_iter().map(|(value, description)| EnumItem::new(value).description(description));
    Enum::new(name).description(description).items(items)
}

/// Enumerations whose schemas have no name, because the CustomResourceDefinition shows them in the place of each use.
fn inlined(shapes: &mut Shapes, values: &[(String, String)]) -> TypeRef {
    macro_rules! named {
        ($($type:ident: $description:literal;)*) => {
            [$((stringify!($type), $description, enum_values(<$type>::json_schema(&mut generator()).as_value()))),*]
        };
    }
    let named = named! {
        ActorKind: "What kind of operation acts on a node.";
        BlockClass: "Whether waiting can help.";
        BlockReason: "The kinds of obstacles.";
        EvictOrBlock: "What becomes of a pod that is lost with the node's data.";
        LeaveOrAbort: "What becomes of running migrations when a drain is cancelled.";
        MigrateBy: "Who migrates.";
        ShutDownBy: "How a VM is shut down.";
        ShutDownOrBlock: "What becomes of a VM that cannot go in a good way.";
        ShutDownOrMigrate: "What becomes of a VM that says nothing about how it wants to go.";
        SkipReason: "Why a workload stays.";
        TaintEffect: "The effect of a taint.";
        TroubleReason: "What is wrong with an operation itself.";
    };
    match named.into_iter().find(|(_, _, found)| found == values) {
        Some((name, description, values)) => {
            let enumeration = || Type::from(enumeration(name, description, values));
            shapes.types.entry(name.to_owned()).or_insert_with(enumeration);
            TypeRef::named(name)
        }
        None => TypeRef::named(TypeRef::STRING),
    }
}

fn generator() -> schemars::SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// The values of an enumeration, each with its description; none if it is none.
fn enum_values(schema: &Value) -> Vec<(String, String)> {
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    let constants = constants.flat_map(|part| match part["const"].as_str() {
        Some(value) => vec![(value.to_owned(), description(part))],
        None => strings(&part["enum"]).map(|value| (value.to_owned(), String::new())).collect(),
    });
    let bare = strings(&schema["enum"]).map(|value| (value.to_owned(), String::new()));
    constants.chain(bare).collect()
}

fn is_nullable(schema: &Value) -> bool {
    let is_null = |part: &Value| part == "null" || part["type"] == "null";
    ["type", "anyOf"].iter().any(|word| schema[word].as_array().is_some_and(|parts| parts.iter().any(is_null)))
}

/// The word for the type, whether or not it may be null as well.
fn type_word(schema: &Value) -> &str {
    let among = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    schema["type"].as_str().or_else(|| among.into_iter().find(|word| *word != "null")).unwrap_or_default()
}

fn strings(array: &Value) -> impl Iterator<Item = &str> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The description, in one paragraph; links to Rust items become their names.
fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraph = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    paragraph.replace("[`", "`").replace("`]", "`")
}
