//! Additional printer columns. `k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor`

use jiff::Timestamp;
use jsonpath_rust::JsonPath;
use serde_json::Value;

use super::super::table::age;

/// A column of `kubectl get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    pub of: String,
    /// `int32`, `date-time`, or empty.
    pub format: String,
    /// For people.
    pub description: String,
    /// More than 0: only with `-o wide`.
    pub priority: i64,
    /// `.spec.nodeName`
    path: String,
}

/// The columns of one version. Without any there is the age.
#[must_use]
pub fn read(version: &Value) -> Vec<Column> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let columns = version["additionalPrinterColumns"].as_array().map(Vec::as_slice).unwrap_or_default();
    if columns.is_empty() {
        let description = "CreationTimestamp is a timestamp representing the server time when this object was created. It is \
                           not guaranteed to be set in happens-before order across separate operations. Clients may not set \
                           this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. \
                           Read-only. Null for lists. More info: \
                           https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
        return vec![Column {
            name: "Age".into(),
            of: "date".into(),
            format: String::new(),
            description: description.into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    }
    let column = |column: &Value| {
        let path = text(&column["jsonPath"]);
        let description = text(&column["description"]);
        let fallback = format!("Custom resource definition column (in JSONPath format): {path}");
        Column {
            name: text(&column["name"]),
            of: text(&column["type"]),
            format: text(&column["format"]),
            description: if description.is_empty() { fallback } else { description },
            priority: column["priority"].as_i64().unwrap_or_default(),
            path,
        }
    };
    columns.iter().map(column).collect()
}

impl Column {
    /// What it shows of an object: the first value that the path finds.
    #[must_use]
    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let path = format!("${}", self.path);
        let found = object.query(&path).ok().and_then(|found| found.into_iter().next().cloned());
        let Some(value) = found.filter(|value| !value.is_null()) else { return Value::Null };
        match self.of.as_str() {
            "integer" if value.is_i64() || value.is_u64() => value,
            "integer" => match value.as_f64() {
                // A number such as 3.0 is shown as 3.
                #[expect(clippy::cast_possible_truncation, reason = "Go truncates as well")]
                Some(number) => (number as i64).into(),
                None => Value::Null,
            },
            "number" if value.is_number() => value,
            "boolean" if value.is_boolean() => value,
            "number" | "boolean" => Value::Null,
            "date" => match value.as_str().map(str::parse::<Timestamp>) {
                Some(Ok(time)) => age::since(time, now).into(),
                _ => "<invalid>".into(),
            },
            _ => match value {
                Value::String(text) => text.into(),
                other => other.to_string().into(),
            },
        }
    }
}
