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
    /// Whether there are details, even if they are empty: so with answers that tell nothing but the HTTP status.
    pub has_details: bool,
    /// `metadata.continue`: how a list that is too old can be gone on with.
    pub continue_token: Option<String>,
    /// Answered as plain text: there is nobody at this path who knows a `Status`.
    pub is_plain: bool,
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
        Self {
            code,
            reason: Cow::Borrowed(reason),
            message: message.into(),
            details: Map::new(),
            has_details: false,
            continue_token: None,
            is_plain: false,
        }
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
        Self::invalid_kind(&resource.group, &resource.kind, name, causes)
    }

    /// The same, of a kind that is no resource: `ListOptions.meta.k8s.io "" is invalid: …`.
    #[must_use]
    pub fn invalid_kind(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let say = |cause: &Cause| format!("{}: {}", cause.field, cause.message);
        let sentence = match causes {
            [only] => say(only),
            several => format!("[{}]", several.iter().map(say).collect::<Vec<_>>().join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut refusal = Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {sentence}"));
        refusal.name_object(group, kind, name);
        let causes: Vec<_> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        refusal.details.insert("causes".into(), causes.into());
        refusal
    }

    /// `Operation cannot be fulfilled on Pod "web-1": …`: of a precondition, where Kubernetes names the kind.
    #[must_use]
    pub fn precondition(resource: &ResourceType, name: &str, why: &str) -> Self {
        let group = &resource.group;
        let qualified = if group.is_empty() { resource.kind.to_string() } else { format!("{}.{group}", resource.kind) };
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        let mut refusal = Self::new(409, "Conflict", message);
        refusal.name_object(group, &resource.kind, name);
        refusal
    }

    /// `pods "web-1" is forbidden: …`.
    #[must_use]
    pub fn forbidden(resource: &ResourceType, name: &str, why: &str) -> Self {
        Self::forbidden_resource(&resource.group, &resource.plural, name, why)
    }

    /// The same, of a resource that need not be served.
    #[must_use]
    pub fn forbidden_resource(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let qualified = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let message = match (plural, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{qualified} is forbidden: {why}"),
            _ => format!("{qualified} \"{name}\" is forbidden: {why}"),
        };
        let mut refusal = Self::new(403, "Forbidden", message);
        refusal.name_object(group, plural, name);
        refusal
    }

    /// What is said where nothing is known but the HTTP status.
    #[must_use]
    pub fn generic(code: u16, reason: &'static str, message: &str) -> Self {
        Self { has_details: true, ..Self::new(code, reason, message) }
    }

    /// Nobody knows this token.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// There is nothing at this path.
    #[must_use]
    pub fn no_such_resource() -> Self {
        Self::generic(404, "NotFound", "the server could not find the requested resource")
    }

    /// There is nothing at this path, and nobody who knows the group.
    #[must_use]
    pub fn page_not_found() -> Self {
        Self { is_plain: true, ..Self::new(404, "NotFound", "404 page not found\n") }
    }

    /// That cannot be done with it.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::generic(405, "MethodNotAllowed", message)
    }

    /// Something went wrong inside, or in a webhook.
    #[must_use]
    pub fn internal(why: &str) -> Self {
        let mut refusal = Self::new(500, "InternalError", format!("Internal error occurred: {why}"));
        refusal.details.insert("causes".into(), json!([{ "message": why }]));
        refusal
    }

    /// Adds a cause without a field.
    #[must_use]
    pub fn because(mut self, reason: &str, message: &str) -> Self {
        let cause = json!({ "reason": reason, "message": message });
        match self.details.get_mut("causes").and_then(Value::as_array_mut) {
            Some(causes) => causes.push(cause),
            None => drop(self.details.insert("causes".into(), json!([cause]))),
        }
        self
    }

    /// The client is asked to wait that long: also the header `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.insert("retryAfterSeconds".into(), seconds.into());
        self
    }

    fn name_object(&mut self, group: &str, kind: &str, name: &str) {
        for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                self.details.insert(field.into(), value.into());
            }
        }
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
        if self.has_details || !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        if let Some(token) = &self.continue_token {
            status["metadata"]["continue"] = token.as_str().into();
        }
        status
    }
}
