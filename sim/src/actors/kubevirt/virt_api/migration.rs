//! The webhook for new migrations.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/webhooks/validating-webhook/admitters/migration-create-admitter.go>

use serde_json::{Value, json};

use super::{admission::CONTROLLER, allowed, denied};
use crate::actors::{
    kubevirt::{
        launchers::{migrations_of, vmi_name, vmi_of},
        object::{condition, is_final, namespace_of, text, uid_of},
    },
    view::View,
};

/// Judges the new migration in an `AdmissionReview`: the `response`. `live` holds its VMI and that one's migrations;
/// `actors` is the account of those who play virt-controller.
#[must_use]
pub fn review_migration(live: &View, actors: &str, review: &Value) -> Value {
    let request = &review["request"];
    let mut migration = request["object"].clone();
    if namespace_of(&migration).is_empty() {
        migration["metadata"]["namespace"] = request["namespace"].clone();
    }
    let user = text(request, "/userInfo/username");
    if !migration["spec"]["priority"].is_null() && user != CONTROLLER && user != actors {
        let message = "Migration priority queue, only virt-controller is allowed to set priority field";
        return invalid(review, "FieldValueForbidden", message, "spec.migrationPriority");
    }
    if vmi_name(&migration).is_empty() {
        return invalid(review, "FieldValueRequired", "vmiName is missing", "spec.vmiName");
    }
    match refusal(live, &migration) {
        None => allowed(review),
        Some(message) => denied(review, json!({"message": message, "code": 400})),
    }
}

fn invalid(review: &Value, reason: &str, message: &str, field: &str) -> Value {
    let causes = json!([{"reason": reason, "message": message, "field": field}]);
    denied(review, json!({"message": message, "reason": "Invalid", "code": 422, "details": {"causes": causes}}))
}

/// Why this migration may not be.
pub(super) fn refusal(live: &View, migration: &Value) -> Option<String> {
    let Some(vmi) = vmi_of(live, migration) else {
        return Some(format!("the VMI \"{}/{}\" does not exist", namespace_of(migration), vmi_name(migration)));
    };
    if is_final(vmi) {
        return Some("Cannot migrate VMI in finalized state.".to_owned());
    }
    if let Some(found) = condition(vmi, "LiveMigratable").filter(|found| found["status"] == "False") {
        let (reason, message) = (text(found, "/reason"), text(found, "/message"));
        return Some(format!("Cannot migrate VMI, Reason: {reason}, Message: {message}"));
    }
    let other = migrations_of(live, vmi).find(|found| !is_final(found))?;
    Some(format!(
        "in-flight migration detected. Active migration job ({}) is currently already in progress for VMI {}.",
        uid_of(other),
        vmi_name(migration)
    ))
}
