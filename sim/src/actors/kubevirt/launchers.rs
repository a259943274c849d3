//! Launcher pods: whose they are, and how they are.

use serde_json::Value;

use super::{
    names::{APP, INSTANCE, LAUNCHER, MIGRATION, MIGRATION_JOB_UID, POD},
    object::{is_controlled_by, is_deleting, is_final, label, list, name_of, namespace_of, phase, text, uid_of},
};
use crate::actors::view::View;

/// The launcher pods of a VMI, finished ones too.
pub fn launchers_of<'a>(view: &'a View, vmi: &Value) -> Vec<&'a Value> {
    let owned = |pod: &&Value| namespace_of(pod) == namespace_of(vmi) && is_controlled_by(pod, uid_of(vmi));
    view.all(POD).filter(|pod| label(pod, APP) == Some(LAUNCHER)).filter(owned).collect()
}

/// The newest launcher pod on the VMI's node, or of all while it has none.
pub fn current<'a>(vmi: &Value, launchers: &[&'a Value]) -> Option<&'a Value> {
    let node = text(vmi, "/status/nodeName");
    let here = launchers.iter().filter(|pod| node.is_empty() || text(pod, "/spec/nodeName") == node);
    // Among those of one second, the one that has not ended.
    here.max_by_key(|pod| (text(pod, "/metadata/creationTimestamp"), !is_final(pod))).copied()
}

/// The target pod of a migration.
pub fn target_of<'a>(migration: &Value, launchers: &[&'a Value]) -> Option<&'a Value> {
    launchers.iter().find(|pod| label(pod, MIGRATION_JOB_UID) == Some(uid_of(migration))).copied()
}

/// How many launcher pods of a VMI have not ended.
pub fn active(launchers: &[&Value]) -> usize {
    launchers.iter().filter(|pod| !is_final(pod)).count()
}

/// Whether a launcher runs and stays. Its condition Ready does not matter: that waits for the guest.
pub fn is_up(pod: &Value) -> bool {
    let containers = list(pod, "/status/containerStatuses");
    let compute = containers.iter().find(|container| container["name"] == "compute");
    let runs = compute.is_none_or(|compute| compute["state"]["running"].is_object());
    phase(pod) == "Running" && runs && !is_deleting(pod)
}

/// Whether a launcher has ended or was told to.
pub fn is_down_or_going_down(pod: &Value) -> bool {
    is_final(pod) || is_deleting(pod)
}

/// The migrations of a VMI, by name as KubeVirt counts them.
pub fn migrations_of<'a>(view: &'a View, vmi: &'a Value) -> impl Iterator<Item = &'a Value> {
    view.all(MIGRATION)
        .filter(move |migration| namespace_of(migration) == namespace_of(vmi) && vmi_name(migration) == name_of(vmi))
}

/// The VMI that a migration is about.
pub fn vmi_name(migration: &Value) -> &str {
    text(migration, "/spec/vmiName")
}

/// The VMI that a migration is about, if it exists.
pub fn vmi_of<'a>(view: &'a View, migration: &Value) -> Option<&'a Value> {
    view.get(INSTANCE, namespace_of(migration), vmi_name(migration))
}
