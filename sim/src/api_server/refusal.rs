//! The answers that are no success, as the API server words them.
//! <https://github.com/kubernetes/apimachinery/blob/master/pkg/api/errors/errors.go>

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::resource_type::ResourceType;

/// A `meta/v1.Status` with `status: Failure`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// For machines: `NotFound`, `Conflict`. Empty where Kubernetes leaves it empty.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// `details`: name, group, kind, causes, retryAfterSeconds.
    pub details: Map<String, Value>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid`, …
    pub reason: &'static str,
    /// `Required value`, `Invalid value: "x": must be …`
    pub message: String,
    /// `spec.containers[0].name`
    pub field: String,
}

impl Refusal {
    /// Any.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: Cow::Borrowed(reason), message: message.into(), details: Map::new() }
    }

    fn about(mut self, resource: &ResourceType, name: &str) -> Self {
        self.details.insert("name".into(), name.into());
        if !resource.group.is_empty() {
            self.details.insert("group".into(), resource.group.as_ref().into());
        }
        self.details.insert("kind".into(), resource.plural.as_ref().into());
        self
    }

    /// `pods "web-1" not found`.
    #[must_use]
    pub fn not_found(resource: &ResourceType, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified())).about(resource, name)
    }

    /// `pods "web-1" already exists`.
    #[must_use]
    pub fn already_exists(resource: &ResourceType, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// `Operation cannot be fulfilled on pods "web-1": …`.
    #[must_use]
    pub fn conflict(resource: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// `Pod "web-1" is invalid: spec.containers: Required value`.
    #[must_use]
    pub fn invalid(resource: &ResourceType, name: &str, causes: &[Cause]) -> Self {
        let say = |cause: &Cause| format!("{}: {}", cause.field, cause.message);
        let sentence = match causes {
            [only] => say(only),
            several => format!("[{}]", several.iter().map(say).collect::<Vec<_>>().join(", ")),
        };
        let kind = if resource.group.is_empty() {
            resource.kind.to_string()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let mut refusal = Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {sentence}"));
        refusal = refusal.about(resource, name);
        refusal.details.insert("kind".into(), resource.kind.as_ref().into());
        let causes: Vec<_> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        refusal.details.insert("causes".into(), causes.into());
        refusal
    }

    /// What the client sent makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// What a real API server could do and this one cannot: said, and never guessed.
    #[must_use]
    pub fn not_implemented(what: impl std::fmt::Display) -> Self {
        Self::new(501, "NotImplemented", format!("careen-sim, the API server in memory, does not implement {what}"))
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.as_ref().into();
        }
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }
}
