//! `PUT …/virtualmachines/NAME/migrate`: a migration that a user wants.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/rest/lifecycle.go>

use serde_json::{Value, json};

use super::{answer::Answer, migration::refusal};
use crate::actors::{
    actor::Write,
    kubevirt::{
        names::{MIGRATION, MIGRATION_FINALIZER, VMI_NAME},
        object::{name_of, namespace_of, phase, suffix, text, uid_of},
    },
    view::View,
};

/// `live` holds the migrations of the VMI.
pub(super) fn answer(live: &View, vmi: &Value, options: &Value) -> Answer {
    const PREFIX: &str = "kubevirt-migrate-vm-";
    if phase(vmi) != "Running" {
        return Answer::conflict("virtualmachine", name_of(vmi), "VM is not running");
    }
    // Another version of the VMI, another name: a request that is repeated at once does not make two.
    let seed = format!("{} {}", uid_of(vmi), text(vmi, "/metadata/resourceVersion"));
    let mut made = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {
            "name": format!("{PREFIX}{}", suffix(&seed)), "generateName": PREFIX, "namespace": namespace_of(vmi),
            "labels": {VMI_NAME: name_of(vmi)}, "finalizers": [MIGRATION_FINALIZER],
        },
        "spec": {"vmiName": name_of(vmi)},
    });
    if options["addedNodeSelector"].is_object() {
        made["spec"]["addedNodeSelector"] = options["addedNodeSelector"].clone();
    }
    if let Some(why) = refusal(live, &made) {
        let webhook = "migration-create-validator.kubevirt.io";
        return Answer::internal_error(&format!("admission webhook \"{webhook}\" denied the request: {why}"));
    }
    if text(options, "/dryRun/0") == "All" {
        return Answer::empty(202);
    }
    Answer::empty(202).after(Write::Create { kind: MIGRATION, object: made })
}
