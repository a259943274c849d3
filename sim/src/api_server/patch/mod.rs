//! JSON, merge and strategic merge patches.

use serde_json::Value;

use super::{
    refusal::Refusal,
    resource_type::{Definition, ResourceType},
    schema::{decode::go_kind, types::TYPES},
};

mod json;
mod strategic;
#[cfg(test)]
mod tests;

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    StrategicMerge,
}

/// The object after the patch; it has not been validated.
pub fn apply(patch_type: PatchType, resource: &ResourceType, current: &Value, patch: &Value) -> Result<Value, Refusal> {
    match patch_type {
        PatchType::Json => json::apply(current, patch),
        PatchType::Merge => {
            if !patch.is_object() {
                return Err(undecodable(patch, "map[string]interface {}"));
            }
            let mut object = current.clone();
            json_patch::merge(&mut object, patch);
            Ok(object)
        }
        PatchType::StrategicMerge => {
            let builtin = matches!(resource.definition, Definition::Builtin);
            match TYPES.kind(&resource.group, &resource.version, &resource.kind).filter(|_| builtin) {
                Some(of) => strategic::apply(of, current, patch),
                None => Err(Refusal::new(
                    415,
                    "UnsupportedMediaType",
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                )),
            }
        }
    }
}

/// The patch is no patch, as Go's decoder says it.
fn undecodable(patch: &Value, wanted: &str) -> Refusal {
    let kind = go_kind(patch);
    Refusal::bad_request(format!("error decoding patch: json: cannot unmarshal {kind} into Go value of type {wanted}"))
}
