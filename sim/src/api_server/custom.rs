//! Kinds that a CustomResourceDefinition brings.

use serde_json::Value;

use super::{refusal::Refusal, resource_type::ResourceType};

/// What a CustomResourceDefinition says of one version of its kind.
#[derive(Debug)]
pub struct CustomDefinition {}

/// The kinds, one for each served version, that a CustomResourceDefinition brings.
pub fn resource_types(_definition: &Value) -> Result<Vec<ResourceType>, Refusal> {
    Ok(Vec::new())
}
