//! What a kind refuses, in Kubernetes' words, with the paths of the fields: as much as makes malformed objects be refused as
//! the real API server does.

use serde_json::Value;

use super::super::{custom::definition, resource_type::ResourceType};

pub mod field;
pub mod metadata;
pub mod names;

/// Says what is wrong with an object; with what it takes the place of, if it does.
pub fn object(resource: &ResourceType, old: Option<&Value>, object: &Value, errors: &mut field::Errors) {
    metadata::validate(resource, old, object, errors);
    if resource.kind == "CustomResourceDefinition" {
        definition::validate(old, object, errors);
    }
}
