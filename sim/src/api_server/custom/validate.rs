//! What a schema refuses: types, bounds, formats, lists, and CEL rules. What was so before is excused (ratcheting).
//! `k8s.io/kube-openapi/pkg/validation`, and `k8s.io/apiextensions-apiserver/pkg/apiserver/validation`

use kube_cel::{CompiledSchema, ErrorKind, Validator};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::super::schema::validate::field::Errors;

thread_local! {
    // Making one registers all of CEL's functions.
    static VALIDATOR: Validator = Validator::new();
}

/// What was found to be wrong.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Finding>,
    /// Whether the object is so wrong that its rules cannot be looked at.
    pub blocks_rules: bool,
}

#[derive(Debug)]
struct Finding {
    path: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Type(Value, String),
    Required,
    Invalid(Value, String),
    NotSupported(Value, Vec<String>),
    Duplicate(Value),
    TooLong(u64),
    TooMany(usize, u64),
}

impl Findings {
    fn push(&mut self, path: &str, what: What) {
        self.blocks_rules |= matches!(
            what,
            What::Type(..) | What::Required | What::TooLong(_) | What::TooMany(..) | What::NotSupported(..)
        );
        self.found.push(Finding { path: path.to_owned(), what });
    }

    /// As causes.
    pub fn tell(self, errors: &mut Errors) {
        for Finding { path, what } in self.found {
            match what {
                What::Type(value, detail) => errors.type_invalid(path, &value, &detail),
                What::Required => errors.required(path, ""),
                What::Invalid(value, detail) => errors.invalid(path, &value, &detail),
                What::NotSupported(value, supported) => {
                    errors.not_supported(path, &value, &supported.iter().map(String::as_str).collect::<Vec<_>>());
                }
                What::Duplicate(value) => errors.duplicate(path, &value),
                What::TooLong(limit) => errors.too_long(path, usize::try_from(limit).unwrap_or(usize::MAX)),
                What::TooMany(count, limit) => {
                    errors.too_many(path, count, usize::try_from(limit).unwrap_or(usize::MAX));
                }
            }
        }
    }
}

/// Everything but the rules.
pub fn schema(schema: &Value, old: Option<&Value>, object: &Value, found: &mut Findings) {
    check(schema, old, object, "", found);
}

/// The same, of the status alone.
pub fn status(schema: &Value, old: &Value, object: &Value, found: &mut Findings) {
    if let (Some(schema), Some(status)) = (schema["properties"].get("status"), object.get("status")) {
        check(schema, old.get("status"), status, "status", found);
    }
}

/// `x-kubernetes-validations`, which are also in the schema.
pub fn rules(compiled: &CompiledSchema, schema: &Value, old: Option<&Value>, object: &Value, errors: &mut Errors) {
    let failed = VALIDATOR.with(|validator| validator.validate_compiled(compiled, object, old));
    for error in failed.err().into_iter().flat_map(kube_cel::ValidationErrors::into_vec) {
        if old.is_some_and(|old| is_excused(schema, old, object, &error.rule, &error.field_path)) {
            continue;
        }
        let path = if error.field_path.is_empty() { "<nil>".to_owned() } else { error.field_path.clone() };
        let value = at(object, &error.field_path);
        // Kubernetes does not show what is no scalar.
        let shown = match value {
            Some(value) if !value.is_object() && !value.is_array() => Some(value),
            _ => None,
        };
        let message = match error.kind {
            ErrorKind::ValidationFailure => error.message,
            _ => format!("rule: {}: {}", error.rule, error.message),
        };
        match error.reason.as_deref() {
            Some("FieldValueRequired") => errors.required(path, &message),
            Some("FieldValueForbidden") => errors.forbidden(path, &message),
            Some("FieldValueDuplicate") => errors.duplicate(path, &value.cloned().unwrap_or_default()),
            _ => match shown {
                Some(value) => errors.invalid(path, value, &message),
                None => errors.invalid_unshown(path, &message),
            },
        }
    }
}

/// Whether what a rule is about has not changed, and the rule is not about changes. It stands where the path of its error
/// leads, or above.
fn is_excused(schema: &Value, old: &Value, object: &Value, rule: &str, path: &str) -> bool {
    let stands = |schema: &Value| {
        let mut rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        rules.any(|other| other["rule"] == rule)
    };
    let mut level = Some((schema, Some(old), object));
    let mut parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    while let Some((schema, old, object)) = level {
        if stands(schema) {
            return old == Some(object) && !rule.contains("oldSelf");
        }
        level = parts.next().and_then(|part| {
            if let Some(index) = part.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
                let item = object.get(index)?;
                return Some((&schema["items"], counterpart(schema, old, item), item));
            }
            let name = part.trim_end_matches(']').trim_matches('"');
            let below = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            Some((below, old.and_then(|old| old.get(name)), object.get(name)?))
        });
    }
    false
}

/// The item of a list as it was before. Only in a list that is a map it can be told which one that is.
fn counterpart<'a>(schema: &Value, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
    let key = key_of(schema, item).filter(|_| schema["x-kubernetes-list-type"] == "map")?;
    old?.as_array()?.iter().find(|other| key_of(schema, other).as_ref() == Some(&key))
}

/// What an item of a list must not have in common with another: all of it in a set, its keys in a map.
fn key_of(schema: &Value, item: &Value) -> Option<Value> {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(item.clone()),
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let entries = keys.filter_map(|key| item.get(key).map(|value| (key.to_owned(), value.clone())));
            Some(Value::Object(entries.collect()))
        }
        _ => None,
    }
}

/// `spec.ports[0].name`
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        value = match part.strip_suffix(']') {
            Some(index) => match index.parse::<usize>() {
                Ok(index) => value.get(index)?,
                Err(_) => value.get(index.trim_matches('"'))?,
            },
            None => value.get(part)?,
        };
    }
    Some(value)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() && number.as_f64().is_none_or(|number| number.fract() != 0.0) => {
            "number"
        }
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check(schema: &Value, old: Option<&Value>, value: &Value, path: &str, found: &mut Findings) {
    // It was there when the schema was another one.
    if old == Some(value) {
        return;
    }
    if value.is_null() && (schema["nullable"] == true || path.is_empty()) {
        return;
    }
    let wanted = schema["type"].as_str().unwrap_or_default();
    let actual = type_of(value);
    let int_or_string = schema["x-kubernetes-int-or-string"] == true;
    let wrong_type =
        |wanted: &str| What::Type(actual.into(), format!("{path} in body must be of type {wanted}: \"{actual}\""));
    if int_or_string && !matches!(actual, "integer" | "string") {
        found.push(path, wrong_type("integer,string"));
        return;
    }
    let fits = wanted == actual || (wanted, actual) == ("number", "integer");
    if !wanted.is_empty() && !fits && !int_or_string {
        found.push(path, wrong_type(wanted));
        if !(wanted == "integer" && actual == "number") {
            return;
        }
        let detail = format!("Checked value must be of type integer (default format) in {path}");
        found.push("<nil>", What::Invalid("".into(), detail));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        found.push(path, What::NotSupported(shown(value).into(), allowed.iter().map(shown).collect()));
    }
    match value {
        Value::String(text) => check_text(schema, text, path, found),
        Value::Number(_) => check_number(schema, value, path, found),
        Value::Array(items) => check_list(schema, old, items, path, found),
        Value::Object(entries) => check_object(schema, old, entries, path, found),
        _ => {}
    }
    check_combined(schema, value, path, found);
}

fn check_text(schema: &Value, text: &str, path: &str, found: &mut Findings) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        found.push(path, What::TooLong(most));
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        let detail = format!("{path} in body should be at least {least} chars long");
        found.push(path, What::Invalid(text.into(), detail));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        // A pattern that cannot be read here was refused with its definition.
        if Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text)) {
            found.push(path, What::Invalid(text.into(), format!("{path} in body should match '{pattern}'")));
        }
    }
    if let Some(format) = schema["format"].as_str().filter(|format| !has_format(format, text)) {
        let detail = format!("{path} in body must be of type {format}: {text:?}");
        found.push(path, What::Type(text.into(), detail));
    }
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "byte" => base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).is_ok(),
        // Others are not looked at.
        _ => true,
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, found: &mut Findings) {
    let Some(number) = value.as_f64() else { return };
    let limits = match schema["format"].as_str() {
        Some("int32") => Some(("int32", f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => None,
    };
    if let Some((format, least, most)) = limits.filter(|(_, least, most)| number < *least || number > *most) {
        let detail = format!("Checked value must be of type integer with format {format} in {path}");
        found.push("<nil>", What::Invalid("".into(), detail));
        let (word, limit) = if number > most { ("less", most) } else { ("greater", least) };
        found.push(
            &format!(".{path}"),
            What::Invalid(value.clone(), format!("should be {word} than or equal to {limit}")),
        );
    }
    if let Some(most) = schema["maximum"].as_f64() {
        let exclusive = schema["exclusiveMaximum"] == true;
        if number > most || (exclusive && number >= most) {
            let or_equal = if exclusive { "less than" } else { "less than or equal to" };
            let detail = format!("{path} in body should be {or_equal} {}", schema["maximum"]);
            found.push(path, What::Invalid(value.clone(), detail));
        }
    }
    if let Some(least) = schema["minimum"].as_f64() {
        let exclusive = schema["exclusiveMinimum"] == true;
        if number < least || (exclusive && number <= least) {
            let or_equal = if exclusive { "greater than" } else { "greater than or equal to" };
            let detail = format!("{path} in body should be {or_equal} {}", schema["minimum"]);
            found.push(path, What::Invalid(value.clone(), detail));
        }
    }
    if let Some(factor) = schema["multipleOf"].as_f64().filter(|factor| *factor != 0.0) {
        let times = number / factor;
        if (times - times.round()).abs() > 1e-9 {
            let detail = format!("{path} in body should be a multiple of {}", schema["multipleOf"]);
            found.push(path, What::Invalid(value.clone(), detail));
        }
    }
}

fn check_list(schema: &Value, old: Option<&Value>, items: &[Value], path: &str, found: &mut Findings) {
    let count = items.len() as u64;
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| count > *most) {
        found.push(path, What::TooMany(items.len(), most));
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| count < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        found.push(path, What::Invalid(count.into(), detail));
    }
    for (index, item) in items.iter().enumerate() {
        check(&schema["items"], counterpart(schema, old, item), item, &format!("{path}[{index}]"), found);
    }
    let mut seen: Vec<Value> = Vec::new();
    for (index, key) in items.iter().enumerate().filter_map(|(index, item)| Some((index, key_of(schema, item)?))) {
        if seen.contains(&key) {
            found.push(&format!("{path}[{index}]"), What::Duplicate(key));
        } else {
            seen.push(key);
        }
    }
}

fn check_object(schema: &Value, old: Option<&Value>, entries: &Map<String, Value>, path: &str, found: &mut Findings) {
    let count = entries.len() as u64;
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| count > *most) {
        found.push(path, What::TooMany(entries.len(), most));
    }
    if let Some(least) = schema["minProperties"].as_u64().filter(|least| count < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        found.push(path, What::Invalid(count.into(), detail));
    }
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    for name in ["apiVersion", "kind"].into_iter().filter(|_| embedded) {
        if entries.get(name).and_then(Value::as_str).unwrap_or_default().is_empty() {
            found.push(&join(name), What::Required);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !entries.contains_key(name) {
            found.push(&join(name), What::Required);
        }
    }
    for (name, value) in entries {
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind") {
            continue;
        }
        let old = old.and_then(|old| old.get(name));
        let property = &schema["properties"][name];
        if property.is_object() {
            check(property, old, value, &join(name), found);
        } else if schema["additionalProperties"].is_object() {
            check(&schema["additionalProperties"], old, value, &join(name), found);
        }
    }
}

/// `allOf`, `anyOf`, `oneOf`, `not`. Nothing within them is excused.
fn check_combined(schema: &Value, value: &Value, path: &str, found: &mut Findings) {
    let fits = |schema: &Value| {
        let mut found = Findings::default();
        check(schema, None, value, path, &mut found);
        found.found.is_empty()
    };
    let list = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    for schema in list("allOf") {
        check(schema, None, value, path, found);
    }
    let place = if path.is_empty() { "<nil>" } else { path };
    let must = |words: &str| What::Invalid(Value::String(String::new()), format!("{path:?} must validate {words}"));
    if !list("anyOf").is_empty() && !list("anyOf").iter().any(fits) {
        found.push(place, must("at least one schema (anyOf)"));
    }
    let fitting = list("oneOf").iter().filter(|schema| fits(schema)).count();
    if !list("oneOf").is_empty() && fitting != 1 {
        let how_many =
            if fitting == 0 { "Found none valid".to_owned() } else { format!("Found {fitting} valid alternatives") };
        found.push(place, must(&format!("one and only one schema (oneOf). {how_many}")));
    }
    if schema["not"].is_object() && fits(&schema["not"]) {
        let detail = format!("{path:?} must not validate the schema (not)");
        found.push(place, What::Invalid(json!(""), detail));
    }
}
