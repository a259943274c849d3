//! What was sent, decoded; and whether it is of the kind that the path names.

use std::borrow::Cow;

use serde_json::Value;

use super::super::{
    kinds::Kinds,
    protobuf,
    refusal::{Cause, Refusal},
    request::Request,
    resource_type::ResourceType,
};

fn unsupported_media_type() -> Refusal {
    Refusal::new(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json, \
         application/yaml, application/vnd.kubernetes.protobuf",
    )
}

/// A JSON or YAML body; none if there is no body.
pub(in super::super) fn any(request: &Request) -> Result<Option<Value>, Refusal> {
    match request.content_type() {
        // Go's own clients may leave the type away.
        "" | "application/json" if request.body.is_empty() => Ok(None),
        "" | "application/json" => {
            serde_json::from_slice(&request.body).map(Some).map_err(|error| malformed(&request.body, &error, None))
        }
        "application/yaml" => {
            let text = std::str::from_utf8(&request.body).map_err(|error| Refusal::bad_request(error.to_string()))?;
            serde_saphyr::from_str(text)
                .map(Some)
                .map_err(|error| Refusal::bad_request(format!("error converting YAML to JSON: {error}")))
        }
        protobuf::MEDIA_TYPE => Ok(Some(protobuf::decode(&request.body)?)),
        _ => Err(unsupported_media_type()),
    }
}

/// As Go's decoder words it, as near as can be.
fn parse_error(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.chars().nth(error.column().saturating_sub(1)) {
        Some(character) if error.to_string().starts_with("key must be a string") => {
            format!("invalid character {character:?} looking for beginning of object key string")
        }
        Some(character) => format!("invalid character {character:?} looking for beginning of value"),
        None => error.to_string(),
    }
}

/// As Go prints what is not even the beginning of an object.
fn hexadecimal(body: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    body.iter().take(512).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn malformed(body: &[u8], error: &serde_json::Error, kind: Option<&str>) -> Refusal {
    let text = match body {
        [] => Cow::Borrowed("<empty>"),
        [b'{', ..] => String::from_utf8_lossy(&body[..body.len().min(1024)]),
        other => Cow::Owned(hexadecimal(other)),
    };
    let kind = kind.map(|kind| format!(" (must be of type {kind})")).unwrap_or_default();
    let error = parse_error(body, error);
    Refusal::bad_request(format!(
        "the object provided is unrecognized{kind}: couldn't get version/kind; json parse error: {error} ({text})"
    ))
}

/// The object that a request carries; it is of the resource's kind.
pub(in super::super) fn object(request: &Request, resource: &ResourceType, kinds: &Kinds) -> Result<Value, Refusal> {
    let object = object_of(request, &resource.kind)?;
    check_kind(&object, resource, kinds)?;
    Ok(with_metadata(object))
}

/// Some object; where there is none, the refusal says of which kind it should be.
pub(in super::super) fn object_of(request: &Request, kind: &str) -> Result<Value, Refusal> {
    let object = match request.content_type() {
        "" | "application/json" => {
            serde_json::from_slice(&request.body).map_err(|error| malformed(&request.body, &error, Some(kind)))?
        }
        _ => any(request)?.unwrap_or_default(),
    };
    if !object.is_object() {
        let what = match &object {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            _ => "bool",
        };
        let hex = hexadecimal(&request.body);
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: \
             json: cannot unmarshal {what} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }} ({hex})"
        )));
    }
    Ok(object)
}

/// An object always has metadata.
fn with_metadata(mut object: Value) -> Value {
    if object["metadata"].is_null() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    object
}

/// Whether an object is what the path says.
pub(in super::super) fn check_kind(object: &Value, resource: &ResourceType, kinds: &Kinds) -> Result<(), Refusal> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let expected = resource.api_version();
    if resource.is_custom() {
        return check_custom(object, resource, kind, version, &expected);
    }
    let kind = if kind.is_empty() { resource.kind.as_ref() } else { kind };
    let version = if version.is_empty() { expected.as_str() } else { version };
    if kind == resource.kind && version == expected {
        return Ok(());
    }
    let (_, only_version) = version.split_once('/').unwrap_or(("", version));
    let known = kinds.all().find(|known| known.kind == kind && known.api_version() == version);
    let why = match known {
        Some(known) => {
            let group = known.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
            let own = resource.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
            if group == own && known.kind == resource.kind {
                return Ok(());
            }
            format!("converting ({}.{kind}) to ({own}.{}): unknown conversion", known.version, resource.kind)
        }
        None => {
            format!("no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\"")
        }
    };
    Err(Refusal::bad_request(format!(
        "{kind} in version {only_version:?} cannot be handled as a {}: {why}",
        resource.kind
    )))
}

fn check_custom(
    object: &Value,
    resource: &ResourceType,
    kind: &str,
    version: &str,
    expected: &str,
) -> Result<(), Refusal> {
    for (field, value) in [("Kind", kind), ("apiVersion", version)] {
        if value.is_empty() {
            return Err(Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object '{field}' is missing in \
                 '{object}' ({object})",
                resource.kind
            )));
        }
    }
    if version != expected {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    if kind != resource.kind {
        let message = format!("Invalid value: {kind:?}: must be {}", resource.kind);
        let cause = Cause { reason: "FieldValueInvalid", message, field: "kind".into() };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Refusal::invalid_kind(&resource.group, kind, name, &[cause]));
    }
    Ok(())
}
