//! `/openapi/v2` in protobuf: `kubectl` reads it in no other form, to validate what it sends by itself (a `List`, say).
//! The numbers are those of gnostic's `OpenAPIv2.proto`:
//! <https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto>
//!
//! It holds the definitions and no paths: whoever looks for an operation finds it in the third version.

use serde_json::{Map, Value};

/// Its media type, as clients ask for it.
pub const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The same as an answer names it: `@` is not allowed in media types.
pub const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The document, made from the one in JSON.
#[must_use]
pub fn document(json: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, &json["info"]["title"]).text(2, &json["info"]["version"]);
    let mut document = Message::default();
    document.text(1, &json["swagger"]).message(2, &info).message(8, &Message::default());
    document.message(9, &named_schemas(&json["definitions"]));
    document.0
}

/// A protobuf message: its fields one after the other.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or_default());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(&mut self, field: u64, message: &Self) -> &mut Self {
        self.bytes(field, &message.0)
    }

    fn text(&mut self, field: u64, value: &Value) -> &mut Self {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
        self
    }

    fn number(&mut self, field: u64, value: &Value) -> &mut Self {
        if let Some(number) = value.as_f64() {
            self.varint(field << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
        self
    }

    fn count(&mut self, field: u64, value: &Value) -> &mut Self {
        if let Some(count) = value.as_u64() {
            self.varint(field << 3);
            self.varint(count);
        }
        self
    }

    fn flag(&mut self, field: u64, value: &Value) -> &mut Self {
        if value == true {
            self.varint(field << 3);
            self.varint(1);
        }
        self
    }

    /// Gnostic's `Any`: the value as YAML, of which JSON is a part.
    fn any(&mut self, field: u64, value: &Value) -> &mut Self {
        let mut any = Self::default();
        any.bytes(2, value.to_string().as_bytes());
        self.message(field, &any)
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `Definitions` and `Properties`.
fn named_schemas(json: &Value) -> Message {
    let mut all = Message::default();
    for (name, json) in entries(json) {
        let mut named = Message::default();
        named.bytes(1, name.as_bytes()).message(2, &schema(json));
        all.message(1, &named);
    }
    all
}

fn schema(json: &Value) -> Message {
    let mut schema = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        schema.text(field, &json[name]);
    }
    for (field, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        schema.number(field, &json[name]);
    }
    for (field, name) in [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems")] {
        schema.flag(field, &json[name]);
    }
    let counts = ["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"];
    for (field, name) in [11, 12, 14, 15, 17, 18].into_iter().zip(counts) {
        schema.count(field, &json[name]);
    }
    for name in items(&json["required"]) {
        schema.text(19, name);
    }
    for value in items(&json["enum"]) {
        schema.any(20, value);
    }
    if let Some(default) = json.get("default") {
        schema.any(5, default);
    }
    let mut inner = Message::default();
    match &json["additionalProperties"] {
        Value::Bool(allowed) => _ = schema.message(21, inner.count(2, &u64::from(*allowed).into())),
        Value::Object(_) => _ = schema.message(21, inner.message(1, &self::schema(&json["additionalProperties"]))),
        _ => {}
    }
    if json["type"].is_string() {
        schema.message(22, Message::default().text(1, &json["type"]));
    }
    if json["items"].is_object() {
        schema.message(23, Message::default().message(1, &self::schema(&json["items"])));
    }
    for part in items(&json["allOf"]) {
        schema.message(24, &self::schema(part));
    }
    if json["properties"].is_object() {
        schema.message(25, &named_schemas(&json["properties"]));
    }
    for (name, value) in entries(json).filter(|(name, _)| name.starts_with("x-")) {
        schema.message(31, Message::default().bytes(1, name.as_bytes()).any(2, value));
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_written_as_gnostic_reads_it() {
        let json = json!({
            "swagger": "2.0", "info": {"title": "K", "version": "v1"}, "paths": {},
            "definitions": {"A": {
                "type": "object", "required": ["b"], "x-k": [1],
                "properties": {"b": {"$ref": "#/C", "minimum": 1.0, "maxLength": 300}},
            }},
        });
        let property = [&[0x0a, 3][..], b"#/C", &[0x49, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x58, 0xac, 2]].concat();
        let named = [&[0x0a, 1][..], b"b", &[0x12, 17], &property].concat();
        let properties = [&[0x0a, 22][..], &named].concat();
        let extension = [&[0x0a, 3][..], b"x-k", &[0x12, 5, 0x12, 3], b"[1]"].concat();
        let schema = [
            &[0x9a, 1, 1][..],
            b"b",
            &[0xb2, 1, 8, 0x0a, 6],
            b"object",
            &[0xca, 1, 24],
            &properties,
            &[0xfa, 1, 12],
            &extension,
        ]
        .concat();
        let definition = [&[0x0a, 1][..], b"A", &[0x12, 57], &schema].concat();
        let expected = [
            &[0x0a, 3][..],
            b"2.0",
            &[0x12, 7, 0x0a, 1],
            b"K",
            &[0x12, 2],
            b"v1",
            &[0x42, 0, 0x4a, 64, 0x0a, 62],
            &definition,
        ]
        .concat();
        assert_eq!(document(&json), expected);
    }
}
