//! What is wrong with an object's fields, in Kubernetes' words. `k8s.io/apimachinery/pkg/util/validation/field/errors.go`

use serde_json::Value;

use super::super::super::{
    refusal::{Cause, Refusal},
    resource_type::ResourceType,
};

/// All that is wrong with an object.
#[derive(Debug, Default)]
pub struct Errors(Vec<Cause>);

impl Errors {
    /// Refuses the object if anything is wrong with it.
    pub fn refuse(self, resource: &ResourceType, name: &str) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut causes: Vec<Cause> = Vec::new();
        for cause in self.0 {
            // Kubernetes says each once.
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        if resource.kind == "Event" {
            // One strategy serves both groups, and names the older.
            let resource = ResourceType { group: "".into(), ..resource.clone() };
            return Err(Refusal::invalid(&resource, name, &causes));
        }
        Err(Refusal::invalid(resource, name, &causes))
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, reason: &'static str, field: impl Into<String>, kind: &str, detail: &str) {
        let message = if detail.is_empty() { kind.to_owned() } else { format!("{kind}: {detail}") };
        self.0.push(Cause { reason, message, field: field.into() });
    }

    /// It is missing.
    pub fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.push("FieldValueRequired", field, "Required value", detail);
    }

    /// It is not what it must be.
    pub fn invalid(&mut self, field: impl Into<String>, value: &Value, detail: &str) {
        self.push("FieldValueInvalid", field, &format!("Invalid value: {value}"), detail);
    }

    /// It is not what it must be; Kubernetes does not show it.
    pub fn invalid_unshown(&mut self, field: impl Into<String>, detail: &str) {
        self.push("FieldValueInvalid", field, "Invalid value", detail);
    }

    /// It is a text of which each of these is wrong.
    pub fn malformed(&mut self, field: impl Into<String>, value: &str, wrong: Vec<String>) {
        let field = field.into();
        for detail in wrong {
            self.invalid(field.clone(), &value.into(), &detail);
        }
    }

    /// It is of the wrong type.
    pub fn type_invalid(&mut self, field: impl Into<String>, value: &Value, detail: &str) {
        self.push("FieldValueTypeInvalid", field, &format!("Invalid value: {value}"), detail);
    }

    /// It is none of these.
    pub fn not_supported(&mut self, field: impl Into<String>, value: &Value, supported: &[&str]) {
        let supported: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let detail =
            if supported.is_empty() { String::new() } else { format!("supported values: {}", supported.join(", ")) };
        self.push("FieldValueNotSupported", field, &format!("Unsupported value: {value}"), &detail);
    }

    /// It is there twice.
    pub fn duplicate(&mut self, field: impl Into<String>, value: &Value) {
        self.push("FieldValueDuplicate", field, &format!("Duplicate value: {value}"), "");
    }

    /// It is there twice, and why that matters.
    pub fn duplicate_because(&mut self, field: impl Into<String>, value: &Value, detail: &str) {
        self.push("FieldValueDuplicate", field, &format!("Duplicate value: {value}"), detail);
    }

    /// What it names is not there.
    pub fn not_found(&mut self, field: impl Into<String>, value: &Value) {
        self.push("FieldValueNotFound", field, &format!("Not found: {value}"), "");
    }

    /// It may not be said here.
    pub fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.push("FieldValueForbidden", field, "Forbidden", detail);
    }

    /// It is too long, in bytes.
    pub fn too_long(&mut self, field: impl Into<String>, limit: usize) {
        self.push("FieldValueTooLong", field, "Too long", &format!("may not be more than {limit} bytes"));
    }

    /// A list or map with too many entries.
    pub fn too_many(&mut self, field: impl Into<String>, count: usize, limit: usize) {
        self.push(
            "FieldValueTooMany",
            field,
            &format!("Too many: {count}"),
            &format!("must have at most {limit} items"),
        );
    }

    /// One of these must be said.
    pub fn one_of(&mut self, field: impl Into<String>, value: &Value, supported: &[&str]) {
        if !supported.iter().any(|supported| value == supported) {
            self.not_supported(field, value, supported);
        }
    }

    /// What may not change has changed.
    pub fn immutable(&mut self, field: &str, old: &Value, new: &Value) {
        if old != new {
            self.invalid(field, new, "field is immutable");
        }
    }

    /// A number that may not be below zero.
    pub fn non_negative(&mut self, field: impl Into<String>, value: &Value) {
        if value.as_i64().is_some_and(|number| number < 0) {
            self.invalid(field, value, "must be greater than or equal to 0");
        }
    }
}
