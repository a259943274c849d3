//! What `kubectl get` prints: `meta.k8s.io/v1` Tables, with the columns of a real API server.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource_type::ResourceType;

/// How much of each object a row carries: `?includeObject=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All.
    Object,
}

/// A table of these objects.
#[must_use]
pub fn table<'a>(
    _resource: &ResourceType,
    _objects: impl IntoIterator<Item = &'a Value>,
    _include: IncludeObject,
    _now: Timestamp,
) -> Value {
    json!({})
}
