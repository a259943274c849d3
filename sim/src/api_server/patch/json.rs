//! JSON patches (RFC 6902).

use json_patch::Patch;
use serde_json::Value;

use super::{super::refusal::Refusal, undecodable};

/// As many operations as Kubernetes takes.
const MOST_OPERATIONS: usize = 10_000;

/// The object after the operations.
pub(super) fn apply(current: &Value, patch: &Value) -> Result<Value, Refusal> {
    let operations = match patch {
        Value::Array(operations) => operations,
        other => return Err(undecodable(other, "[]handlers.jsonPatchOp")),
    };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        return Err(undecodable(other, "handlers.jsonPatchOp"));
    }
    if operations.len() > MOST_OPERATIONS {
        let count = operations.len();
        let message = format!("The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {count}");
        return Err(Refusal::new(413, "RequestEntityTooLarge", message));
    }
    let mut object = current.clone();
    let rejected = || Refusal::new(422, "Invalid", "the server rejected our request due to an error in our request");
    let Patch(operations) = serde_json::from_value(patch.clone()).map_err(|_| rejected())?;
    json_patch::patch(&mut object, &operations).map_err(|_| rejected())?;
    Ok(object)
}
