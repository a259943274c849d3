//! Bodies in protobuf: `kubectl create deployment` and `kubectl auth can-i` send nothing else. They are read into JSON by
//! the Go types of the kinds and the numbers of their fields (`numbers.txt`, written by `generate.go` from the same
//! `k8s.io/api`). Answers are always JSON: whoever sends protobuf accepts that, too.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>

mod wire;

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::{Scalar, fields};

use super::{
    refusal::Refusal,
    schema::types::{GoType, JSON_SCHEMA_PROPS, Keep, Struct, TYPES},
    store::{microseconds, seconds},
};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// What such a body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// What a number in a message means.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// The field of that name.
    Field(&'static str),
    /// The fields of that struct, which Go embeds.
    Embedded(&'static str),
}

/// The numbers of a struct's fields.
type Numbers = BTreeMap<u64, Meaning>;

static NUMBERS: LazyLock<BTreeMap<&'static str, Numbers>> = LazyLock::new(|| {
    let mut types = BTreeMap::<&'static str, Numbers>::new();
    let mut current = "";
    for line in include_str!("numbers.txt").lines() {
        let words: Vec<&'static str> = line.split(' ').collect();
        let (number, meaning) = match words[..] {
            ["type", name] => {
                current = name;
                continue;
            }
            ["", number, "embeds", name] => (number, Meaning::Embedded(name)),
            ["", number, name] => (number, Meaning::Field(name)),
            _ => continue,
        };
        if let Ok(number) = number.parse() {
            types.entry(current).or_default().insert(number, meaning);
        }
    }
    types
});

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    #[error("unexpected EOF")]
    Short,
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\"")]
    UnknownKind { kind: String, version: String },
}

impl From<Unreadable> for Refusal {
    fn from(error: Unreadable) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// The object in a body, with its kind.
pub(super) fn decode(body: &[u8]) -> Result<Value, Unreadable> {
    let envelope = body.strip_prefix(MAGIC).ok_or(Unreadable::NoMagic)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(envelope) {
        match field? {
            (1, Scalar::Bytes(type_meta)) => {
                for field in fields(type_meta) {
                    match field? {
                        (1, Scalar::Bytes(text)) => version = text_of(text),
                        (2, Scalar::Bytes(text)) => kind = text_of(text),
                        _ => {}
                    }
                }
            }
            (2, Scalar::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, only_version) = version.split_once('/').unwrap_or(("", &version));
    // DeleteOptions are of every group.
    let of = match kind.as_str() {
        "DeleteOptions" => TYPES.kind("meta.k8s.io", "v1", "DeleteOptions"),
        _ => TYPES.kind(group, only_version, &kind),
    };
    let Some(of) = of else { return Err(Unreadable::UnknownKind { kind, version }) };
    let mut object = Map::new();
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    message(of, of.name, raw, &mut object)?;
    Ok(Value::Object(object))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads the fields of a message into an object. `numbers` names the message: the struct itself, or one that it embeds.
fn message(of: &Struct, numbers: &str, bytes: &[u8], object: &mut Map<String, Value>) -> Result<(), Unreadable> {
    let Some(numbers) = NUMBERS.get(numbers) else { return Ok(()) };
    for field in fields(bytes) {
        let (number, scalar) = field?;
        match (numbers.get(&number), scalar) {
            (Some(Meaning::Embedded(name)), Scalar::Bytes(bytes)) => message(of, name, bytes, object)?,
            (Some(Meaning::Field(name)), scalar) => {
                if let Some(field) = of.field(name) {
                    put(object, name, &field.of, field.keep, scalar)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn put(object: &mut Map<String, Value>, name: &str, of: &GoType, keep: Keep, scalar: Scalar) -> Result<(), Unreadable> {
    match of.pointee() {
        GoType::Slice(item) => {
            let list = object.entry(name).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.extend(items(item, scalar)?);
            }
        }
        GoType::Map(item) => {
            let map = object.entry(name).or_insert_with(|| json!({}));
            if let (Value::Object(map), Scalar::Bytes(entry)) = (map, scalar) {
                let (key, value) = entry_of(item, entry)?;
                map.insert(key, value);
            }
        }
        of_value => {
            let value = value(of_value, scalar)?;
            // Go's encoder writes zeros that its JSON leaves out.
            let is_pointer = matches!(of, GoType::Pointer(_));
            let is_left_out = keep != Keep::Always && !is_pointer && is_zero(&value, keep);
            if !is_left_out {
                object.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn is_zero(value: &Value, keep: Keep) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => keep == Keep::OmitZero && fields.is_empty(),
        Value::Array(_) => false,
    }
}

/// Items of a list: one, or, of numbers, as many as are packed.
fn items(of: &GoType, scalar: Scalar) -> Result<Vec<Value>, Unreadable> {
    match (of, scalar) {
        (GoType::Int32 | GoType::Int64, Scalar::Bytes(mut packed)) => {
            let mut numbers = Vec::new();
            while !packed.is_empty() {
                let number;
                (number, packed) = wire::varint(packed)?;
                numbers.push(json!(number.cast_signed()));
            }
            Ok(numbers)
        }
        (of, scalar) => Ok(vec![value(of, scalar)?]),
    }
}

fn entry_of(of: &GoType, bytes: &[u8]) -> Result<(String, Value), Unreadable> {
    let (mut key, mut found) = (String::new(), None);
    for field in fields(bytes) {
        match field? {
            (1, Scalar::Bytes(text)) => key = text_of(text),
            (2, scalar) => found = Some(value(of, scalar)?),
            _ => {}
        }
    }
    let empty = match of.pointee() {
        GoType::String(_) | GoType::Bytes => json!(""),
        _ => Value::Null,
    };
    Ok((key, found.unwrap_or(empty)))
}

fn value(of: &GoType, scalar: Scalar) -> Result<Value, Unreadable> {
    Ok(match (of, scalar) {
        (GoType::Pointer(of), scalar) => value(of, scalar)?,
        (GoType::Bool, Scalar::Number(number)) => json!(number != 0),
        (GoType::Int32 | GoType::Int64, Scalar::Number(number)) => json!(number.cast_signed()),
        (GoType::Float64, Scalar::Number(bits)) => json!(f64::from_bits(bits)),
        (GoType::String(_), Scalar::Bytes(bytes)) => text_of(bytes).into(),
        (GoType::Bytes, Scalar::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (GoType::Struct(name), Scalar::Bytes(bytes)) => {
            let mut object = Map::new();
            if let Some(of) = TYPES.get(name) {
                message(of, of.name, bytes, &mut object)?;
            }
            Value::Object(object)
        }
        (GoType::Time, Scalar::Bytes(bytes)) => time(bytes)?.map_or(Value::Null, |time| seconds(time).into()),
        (GoType::MicroTime, Scalar::Bytes(bytes)) => time(bytes)?.map_or(Value::Null, |time| microseconds(time).into()),
        (GoType::Quantity, Scalar::Bytes(bytes)) => {
            let text = fields(bytes).next().transpose()?;
            text.map_or_else(|| json!("0"), |(_, scalar)| scalar.text().into())
        }
        (GoType::IntOrString, Scalar::Bytes(bytes)) => int_or_string(bytes)?,
        (GoType::SchemaOrBool, Scalar::Bytes(bytes)) => schema_or(bytes, |number, scalar| match (number, scalar) {
            (1, Scalar::Number(allows)) => Some(json!(*allows != 0)),
            _ => None,
        })?,
        (GoType::SchemaOrArray | GoType::SchemaOrStringArray, Scalar::Bytes(bytes)) => schema_or(bytes, |_, _| None)?,
        // JSON itself, in a message of one field.
        (GoType::Any, Scalar::Bytes(bytes)) => {
            let raw = fields(bytes).next().transpose()?;
            raw.and_then(|(_, scalar)| serde_json::from_str(&scalar.text()).ok()).unwrap_or_default()
        }
        // A list in a map is a message of its own.
        (GoType::Slice(of), Scalar::Bytes(bytes)) => {
            let mut list = Vec::new();
            for field in fields(bytes) {
                list.extend(items(of, field?.1)?);
            }
            list.into()
        }
        _ => Value::Null,
    })
}

/// A `Timestamp` message; none for Go's zero time.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>, Unreadable> {
    let (mut whole, mut nanoseconds) = (0, 0);
    for field in fields(bytes) {
        match field? {
            (1, Scalar::Number(number)) => whole = number.cast_signed(),
            (2, Scalar::Number(number)) => nanoseconds = number,
            _ => {}
        }
    }
    let time = Timestamp::from_second(whole).ok().filter(|_| !bytes.is_empty());
    Ok(time.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds)).ok()))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Unreadable> {
    let (mut is_string, mut number, mut text) = (false, 0, String::new());
    for field in fields(bytes) {
        match field? {
            (1, Scalar::Number(kind)) => is_string = kind == 1,
            (2, Scalar::Number(value)) => number = value.cast_signed(),
            (3, Scalar::Bytes(value)) => text = text_of(value),
            _ => {}
        }
    }
    Ok(if is_string { text.into() } else { json!(number) })
}

/// A schema, or something else that `other` reads, or strings or schemas in a list.
fn schema_or(bytes: &[u8], other: impl Fn(u64, &Scalar) -> Option<Value>) -> Result<Value, Unreadable> {
    let mut found = Value::Null;
    for field in fields(bytes) {
        let (number, scalar) = field?;
        if let Some(value) = other(number, &scalar) {
            // What allows is only asked where there is no schema.
            if found.is_null() {
                found = value;
            }
        } else if let Scalar::Bytes(bytes) = scalar {
            let mut schema = Map::new();
            if let Some(of) = TYPES.get(JSON_SCHEMA_PROPS) {
                message(of, of.name, bytes, &mut schema)?;
            }
            found = Value::Object(schema);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubectl v1.37.2 sends for `auth can-i list pods`.
    #[test]
    fn a_review_of_kubectl() {
        let mut body = MAGIC.to_vec();
        let type_meta = [&b"\x0a\x17authorization.k8s.io/v1"[..], b"\x12\x17SelfSubjectAccessReview"].concat();
        // metadata, spec { resourceAttributes { namespace, verb, resource } }
        let attributes = b"\x0a\x07default\x12\x04list\x2a\x04pods";
        let mut spec = vec![0x0a, u8::try_from(attributes.len()).unwrap()];
        spec.extend(attributes);
        let mut raw = vec![0x0a, 0x02, 0x0a, 0x00, 0x12, u8::try_from(spec.len()).unwrap()];
        raw.extend(spec);
        body.extend([0x0a, u8::try_from(type_meta.len()).unwrap()]);
        body.extend(type_meta);
        body.extend([0x12, u8::try_from(raw.len()).unwrap()]);
        body.extend(raw);
        let review = decode(&body).unwrap();
        assert_eq!(review["kind"], "SelfSubjectAccessReview");
        assert_eq!(
            review["spec"],
            json!({ "resourceAttributes": { "namespace": "default", "verb": "list", "resource": "pods" } })
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(decode(b"{}"), Err(Unreadable::NoMagic));
        assert_eq!(decode(b"k8s\0\x0a\x7f"), Err(Unreadable::Short));
        assert_eq!(decode(b"k8s\0\x0f"), Err(Unreadable::WireType(7)));
    }

    #[test]
    fn every_field_of_a_known_type_has_a_number() {
        for (group, version, kind) in TYPES.kinds() {
            let of = TYPES.kind(group, version, kind).unwrap();
            let numbers = NUMBERS.get(of.name).unwrap_or_else(|| panic!("{kind} has no numbers"));
            for field in of.fields.iter().filter(|field| !matches!(field.name, "kind" | "apiVersion")) {
                let is_it = |meaning: &Meaning| matches!(meaning, Meaning::Field(name) if *name == field.name);
                let embeds = numbers.values().any(|meaning| matches!(meaning, Meaning::Embedded(_)));
                assert!(numbers.values().any(is_it) || embeds, "{kind}.{} has no number", field.name);
            }
        }
    }
}
