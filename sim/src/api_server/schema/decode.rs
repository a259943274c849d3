//! Reads an object as Go's decoder does: wrong types are refused, unknown fields are dropped and told, empty fields are left
//! out or written as Go would. What comes out is what a real API server would store.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    quantity::Quantity,
    types::{Field, GoType, JSON_SCHEMA_PROPS, Keep, Struct, TYPES},
};

/// What was read.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    /// Without unknown fields.
    pub object: Value,
    /// The paths of fields that the type does not have: `spec.containers[0].foo`.
    pub unknown: Vec<String>,
}

/// The object as one of this type; the error is Go's sentence: `json: cannot unmarshal …`.
pub fn decode(of: &Struct, object: &Value) -> Result<Decoded, String> {
    let mut decoder = Decoder::default();
    let object = decoder.read_struct(of, object, &At::default())?;
    match decoder.saved {
        Some(error) => Err(error),
        None => Ok(Decoded { object, unknown: decoder.unknown }),
    }
}

#[derive(Default)]
struct Decoder {
    unknown: Vec<String>,
    /// Go goes on after a wrong type and reports the first.
    saved: Option<String>,
}

/// Where the decoder is.
#[derive(Clone, Default)]
struct At {
    /// With indices: `spec.containers[0].image`.
    path: String,
    /// As Go's errors name fields, without indices and with the innermost struct: `Container.spec.containers.image`.
    fields: String,
    of: &'static str,
}

impl At {
    fn field(&self, of: &Struct, name: &str) -> Self {
        let join = |path: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Self { path: join(&self.path), fields: join(&self.fields), of: of.short_name() }
    }

    fn index(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), ..self.clone() }
    }

    fn key(&self, key: &str) -> Self {
        Self { path: format!("{}.{key}", self.path), ..self.clone() }
    }

    /// Go's sentence about a value there that is of another type.
    fn cannot_unmarshal(&self, what: &str, into: &str) -> String {
        let Self { of, fields, .. } = self;
        if fields.is_empty() {
            format!("json: cannot unmarshal {what} into Go value of type {into}")
        } else {
            format!("json: cannot unmarshal {what} into Go struct field {of}.{fields} of type {into}")
        }
    }
}

/// What Go calls a JSON value.
#[must_use]
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Decoder {
    fn wrong(&mut self, what: &str, of: &GoType, at: &At) -> Value {
        self.saved.get_or_insert_with(|| at.cannot_unmarshal(what, &of.go_name()));
        zero(of)
    }

    fn read(&mut self, of: &GoType, value: &Value, at: &At) -> Result<Value, String> {
        if value.is_null() {
            return Ok(zero(of));
        }
        Ok(match (of, value) {
            (GoType::Pointer(to), _) => self.read(to, value, at)?,
            (GoType::Bool | GoType::SchemaOrBool, Value::Bool(_))
            | (GoType::String(_) | GoType::IntOrString, Value::String(_))
            | (GoType::Float64, Value::Number(_))
            | (GoType::Any, _) => value.clone(),
            (GoType::Int64, Value::Number(number)) if number.is_i64() => value.clone(),
            (GoType::Int32, Value::Number(number))
                if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) =>
            {
                value.clone()
            }
            (GoType::Int32 | GoType::Int64, Value::Number(number)) => self.wrong(&format!("number {number}"), of, at),
            (GoType::Bytes, Value::String(text)) => {
                BASE64_STANDARD.decode(text).map_err(|error| illegal_base64(&error))?;
                value.clone()
            }
            (GoType::Slice(of), Value::Array(items)) => self.read_slice(of, items, at)?,
            (GoType::Map(of), Value::Object(entries)) => self.read_map(of, entries, at)?,
            (GoType::Struct(name), Value::Object(_)) => match TYPES.get(name) {
                Some(of) => self.read_struct(of, value, at)?,
                None => value.clone(),
            },
            (GoType::Time, Value::String(text)) => time(text, false)?,
            (GoType::MicroTime, Value::String(text)) => time(text, true)?,
            (GoType::Time | GoType::MicroTime, other) => return Err(at.cannot_unmarshal(go_kind(other), "string")),
            (GoType::Quantity, Value::String(text)) => Quantity::parse(text)?.canonical().into(),
            (GoType::Quantity, other) => Quantity::parse(&other.to_string())?.canonical().into(),
            (GoType::IntOrString, other) => self.read(&GoType::Int32, other, at)?,
            (GoType::SchemaOrArray, Value::Array(items)) => {
                let of = GoType::Struct(JSON_SCHEMA_PROPS);
                let mut read = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    read.push(self.read(&of, item, &at.index(index))?);
                }
                read.into()
            }
            (GoType::SchemaOrStringArray, Value::Array(_)) => {
                self.read(&GoType::Slice(Box::new(GoType::String("string"))), value, at)?
            }
            (GoType::SchemaOrBool | GoType::SchemaOrArray | GoType::SchemaOrStringArray, Value::Object(_)) => {
                self.read(&GoType::Struct(JSON_SCHEMA_PROPS), value, at)?
            }
            (GoType::SchemaOrBool, _) => return Err("boolean or JSON schema expected".to_owned()),
            (of, other) => self.wrong(go_kind(other), of, at),
        })
    }

    fn read_slice(&mut self, of: &GoType, items: &[Value], at: &At) -> Result<Value, String> {
        let mut read = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            read.push(self.read(of, item, &at.index(index))?);
        }
        // An empty list does not survive etcd.
        Ok(if read.is_empty() { Value::Null } else { read.into() })
    }

    fn read_map(&mut self, of: &GoType, entries: &Map<String, Value>, at: &At) -> Result<Value, String> {
        let mut read = Map::new();
        for (key, item) in entries {
            read.insert(key.clone(), self.read(of, item, &at.key(key))?);
        }
        Ok(if read.is_empty() { Value::Null } else { read.into() })
    }

    fn read_struct(&mut self, of: &Struct, value: &Value, at: &At) -> Result<Value, String> {
        let Value::Object(given) = value else {
            return Ok(self.wrong(go_kind(value), &GoType::Any, at));
        };
        let mut read = Map::new();
        for (name, value) in given {
            let at = at.field(of, name);
            match of.field(name) {
                Some(field) => {
                    let value = self.read(&field.of, value, &at)?;
                    read.insert(name.clone(), value);
                }
                None => self.unknown.push(at.path),
            }
        }
        let mut object = Map::new();
        for field in &of.fields {
            put(&mut object, field, read.remove(field.name).unwrap_or_else(|| zero(&field.of)));
        }
        Ok(object.into())
    }
}

/// Writes a field unless Go would leave it out.
fn put(object: &mut Map<String, Value>, field: &Field, value: Value) {
    let empty = match &field.of {
        GoType::Pointer(_) => value.is_null(),
        GoType::Struct(_) | GoType::Quantity | GoType::IntOrString => false,
        _ => match &value {
            Value::Null => !matches!(field.of, GoType::Time | GoType::MicroTime),
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty() && !matches!(field.of, GoType::Any),
        },
    };
    let left_out = match field.keep {
        Keep::Always => false,
        Keep::OmitEmpty => empty,
        Keep::OmitZero => empty || value == zero(&field.of),
    };
    if !left_out {
        object.insert(field.name.to_owned(), value);
    }
}

/// What Go writes for a field that was not given.
fn zero(of: &GoType) -> Value {
    match of {
        GoType::Bool => false.into(),
        GoType::Int32 | GoType::Int64 | GoType::IntOrString | GoType::Float64 => 0.into(),
        GoType::String(_) => "".into(),
        GoType::Quantity => "0".into(),
        GoType::Struct(name) => {
            let mut object = Map::new();
            for field in TYPES.get(name).map(|of| of.fields.iter()).into_iter().flatten() {
                put(&mut object, field, zero(&field.of));
            }
            object.into()
        }
        _ => Value::Null,
    }
}

fn illegal_base64(error: &base64::DecodeError) -> String {
    let byte = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(length) => length - length % 4,
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {byte}")
}

/// Whole seconds, or microseconds, in UTC.
fn time(text: &str, micros: bool) -> Result<Value, String> {
    if text.is_empty() && micros {
        return Ok(Value::Null);
    }
    let layout = if micros { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    // Go's layout with microseconds wants exactly six digits.
    let fraction = text.get(19..26).is_some_and(|part| {
        part.strip_prefix('.').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
    });
    let strict = text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T') && (fraction || !micros);
    let parsed = if strict { text.parse::<Timestamp>().ok() } else { None };
    let Some(timestamp) = parsed else {
        return Err(unparsed_time(text, layout));
    };
    let format = if micros { "%Y-%m-%dT%H:%M:%S%.6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(json!(timestamp.to_zoned(TimeZone::UTC).strftime(format).to_string()))
}

/// Go's sentence about the first part of a time that it cannot read.
fn unparsed_time(text: &str, layout: &str) -> String {
    let mut rest = text;
    for part in ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"] {
        let fits = rest.get(..part.len()).is_some_and(|given| {
            if part.starts_with(|first: char| first.is_ascii_digit()) {
                given.bytes().all(|byte| byte.is_ascii_digit())
            } else {
                given == part
            }
        });
        if !fits {
            return format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}");
        }
        rest = &rest[part.len()..];
    }
    let part = if layout.contains(".000000") && !rest.starts_with('.') { ".000000" } else { "Z07:00" };
    format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}")
}
