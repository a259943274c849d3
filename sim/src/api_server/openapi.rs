//! `/openapi/v2` and `/openapi/v3`, made from the kinds that are served.

use serde_json::{Value, json};

use super::resource_type::ResourceType;

/// `/openapi/v3`: where the documents are.
#[must_use]
pub fn v3_index(_resources: &[&ResourceType]) -> Value {
    json!({})
}

/// `/openapi/v3/apis/apps/v1`: the document of one group and version.
#[must_use]
pub fn v3(_resources: &[&ResourceType]) -> Value {
    json!({})
}

/// `/openapi/v2`: the document of all.
#[must_use]
pub fn v2(_resources: &[&ResourceType]) -> Value {
    json!({})
}
