//! Decoding, unknown fields, defaults and validation of objects, for kinds of Kubernetes and for custom ones.

use serde_json::Value;

use super::{refusal::Refusal, resource_type::ResourceType};

/// `?fieldValidation=`: what becomes of unknown and repeated fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped with a `Warning` header.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// An object that may be stored, and what the client is warned of.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Without unknown fields, with defaults.
    pub object: Value,
    /// One sentence for each `Warning` header.
    pub warnings: Vec<String>,
}

/// A new object: metadata is complete (name, namespace), everything else is as the client sent it.
pub fn admit_new(_resource: &ResourceType, object: Value, _: FieldValidation) -> Result<Admitted, Refusal> {
    Ok(Admitted { object, warnings: Vec::new() })
}

/// An object that takes the place of another: what may not change has not.
pub fn admit_change(_: &ResourceType, _old: &Value, new: Value, _: FieldValidation) -> Result<Admitted, Refusal> {
    Ok(Admitted { object: new, warnings: Vec::new() })
}
