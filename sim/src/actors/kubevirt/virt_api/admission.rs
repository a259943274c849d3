//! KubeVirt's webhooks for VMIs and migrations that are made or changed, as far as they keep users from what is KubeVirt's
//! own. Here they are a plugin of the API server in memory; a real one is not told of them.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/webhooks/mutating-webhook/mutators/vmi-mutator.go>

use serde_json::{Value, json};

use crate::{
    actors::kubevirt::{
        launchers::vmi_name,
        names::{INSTANCE, MIGRATION, MIGRATION_FINALIZER, VMI_NAME},
        object::add_finalizer,
    },
    api_server::plugin::{Asked, Denial},
};

/// virt-api's account.
pub const API_SERVER: &str = "system:serviceaccount:kubevirt:kubevirt-apiserver";
/// virt-controller's account.
pub const CONTROLLER: &str = "system:serviceaccount:kubevirt:kubevirt-controller";
/// virt-handler's account.
pub const HANDLER: &str = "system:serviceaccount:kubevirt:kubevirt-handler";

/// Admits an object. `actors` is the account of those who play KubeVirt.
pub fn admit(actors: &str, asked: &Asked<'_>, object: &mut Value) -> Result<(), Denial> {
    let is_kubevirt =
        asked.user.name == actors || [API_SERVER, CONTROLLER, HANDLER].contains(&asked.user.name.as_str());
    let is_of = |plural: &str| asked.resource.group == INSTANCE.group && asked.resource.plural == plural;
    match asked.old {
        Some(old) if is_of(INSTANCE.plural) && !is_kubevirt => keep_instance(old, object),
        Some(old) if is_of(MIGRATION.plural) && old["spec"] != object["spec"] => {
            let webhook = "migration-update-validator.kubevirt.io";
            Err(restricted(webhook, "update of Migration object's spec is restricted"))
        }
        None if is_of(MIGRATION.plural) => {
            complete_migration(object);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A VMI has no `/status`: what others write there is dropped without a word.
fn keep_instance(old: &Value, object: &mut Value) -> Result<(), Denial> {
    if old["spec"] != object["spec"] {
        let webhook = "virtualmachineinstances-update-validator.kubevirt.io";
        return Err(restricted(webhook, "update of VMI object is restricted"));
    }
    if let Some(fields) = object.as_object_mut() {
        match old.get("status") {
            Some(status) => drop(fields.insert("status".to_owned(), status.clone())),
            None => drop(fields.remove("status")),
        }
    }
    Ok(())
}

fn complete_migration(migration: &mut Value) {
    let vmi = vmi_name(migration).to_owned();
    if !vmi.is_empty() {
        migration["metadata"]["labels"][VMI_NAME] = vmi.into();
    }
    add_finalizer(migration, MIGRATION_FINALIZER);
}

fn restricted(webhook: &'static str, message: &str) -> Denial {
    let causes = json!([{"reason": "FieldValueNotSupported", "message": message}]);
    let status = json!({"code": 422, "reason": "Invalid", "message": message, "details": {"causes": causes}});
    Denial { webhook, status }
}
