//! A guest that starts, runs and ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Guest, Handler, MACHINE};
use crate::actors::{
    actor::Turn,
    kubevirt::{
        instance::pod::guest_grace_seconds,
        launchers::is_up,
        names::{
            CRASHES_AFTER, GUEST_NEVER_STARTS, GUEST_STARTS_AFTER, NODE, NOT_MIGRATABLE, POWERS_OFF_AFTER,
            SHUTS_DOWN_AFTER,
        },
        object::{is_deleting, is_final, label, set_condition, set_phase, text, uid_of},
        timing::Timing,
    },
};

impl Handler {
    /// Of a VMI in phase `Scheduled`.
    pub(super) fn start(&mut self, guest: &Guest, turn: &mut Turn) -> Option<Value> {
        let mut next = guest.vmi.clone();
        if guest.is_told_to_end() {
            // It never ran.
            set_phase(&mut next, "Failed", guest.now);
            return Some(next);
        }
        let pod = guest.pod.filter(|pod| is_up(pod))?;
        let start = self.timing.duration(guest.vmi, GUEST_STARTS_AFTER, self.timing.start);
        if !self.stopwatch.has_passed(format!("{} starts", uid_of(guest.vmi)), start, guest.now, turn) {
            return None;
        }
        if self.timing.setting(guest.vmi, GUEST_NEVER_STARTS) == Some("true") {
            set_phase(&mut next, "Failed", guest.now);
            return Some(next);
        }
        set_phase(&mut next, "Running", guest.now);
        describe(&mut next, guest, pod);
        set_migratable(&mut next, guest, &self.timing);
        Some(next)
    }

    /// Of a VMI in phase `Running`.
    pub(super) fn run(&mut self, guest: &Guest, turn: &mut Turn) -> Value {
        let mut next = guest.vmi.clone();
        let vmi = guest.vmi;
        if guest.pod.is_some_and(is_final) {
            // The launcher took the guest with it.
            set_phase(&mut next, "Failed", guest.now);
        } else if guest.is_told_to_end() {
            let wanted = self.timing.duration(vmi, SHUTS_DOWN_AFTER, self.timing.shut_down);
            let grace = self.timing.rules.scale(Duration::from_secs(guest_grace_seconds(vmi)));
            let key = format!("{} shuts down", uid_of(vmi));
            if self.stopwatch.has_passed(key, wanted.min(grace), guest.now, turn) {
                // A guest that had to be killed has not ended well.
                set_phase(&mut next, if wanted > grace { "Failed" } else { "Succeeded" }, guest.now);
            }
        } else if self.ends_by_itself(guest, CRASHES_AFTER, turn) {
            set_phase(&mut next, "Failed", guest.now);
        } else if self.ends_by_itself(guest, POWERS_OFF_AFTER, turn) {
            set_phase(&mut next, "Succeeded", guest.now);
        } else {
            set_migratable(&mut next, guest, &self.timing);
            self.transfer(guest, &mut next, turn);
        }
        next
    }

    fn ends_by_itself(&mut self, guest: &Guest, name: &str, turn: &mut Turn) -> bool {
        let key = format!("{} {name}", uid_of(guest.vmi));
        let after = self.timing.optional_duration(guest.vmi, name);
        after.is_some_and(|after| self.stopwatch.has_passed(key, after, guest.now, turn))
    }
}

impl Guest<'_> {
    /// The VMI was deleted, or its launcher pod was: an eviction that was let through, `kubectl delete pod`.
    fn is_told_to_end(&self) -> bool {
        is_deleting(self.vmi) || self.pod.is_some_and(is_deleting)
    }
}

/// What virt-handler reports of a guest that runs.
fn describe(next: &mut Value, guest: &Guest, pod: &Value) {
    let node = guest.view.get(NODE, "", text(guest.vmi, "/status/nodeName"));
    let system = node.and_then(|node| label(node, "kubernetes.io/arch")).unwrap_or("amd64");
    let status = &mut next["status"];
    status["machine"] = json!({"type": MACHINE});
    status["selinuxContext"] = "none".into();
    status["guestOSInfo"] =
        json!({"name": "Fedora Linux", "machine": if system == "amd64" { "x86_64" } else { system }});
    status["migrationMethod"] = "BlockMigration".into();
    let address = text(pod, "/status/podIP");
    if !address.is_empty() {
        status["interfaces"] =
            json!([{"name": "default", "ipAddress": address, "ipAddresses": [address], "infoSource": "domain"}]);
    }
}

/// Whether it can be migrated may change at any time.
fn set_migratable(next: &mut Value, guest: &Guest, timing: &Timing) {
    match timing.setting(guest.vmi, NOT_MIGRATABLE) {
        None => set_condition(next, ["LiveMigratable", "True", "", ""], guest.now),
        Some(reason) => {
            set_condition(next, ["LiveMigratable", "False", reason, message_of(reason)], guest.now);
        }
    }
}

/// As virt-handler words it.
fn message_of(reason: &str) -> &'static str {
    match reason {
        "InterfaceNotLiveMigratable" => {
            "cannot migrate VMI which does not use masquerade or a migratable plugin to connect to the pod network"
        }
        "HostDeviceNotLiveMigratable" => "VMI uses a PCI host devices",
        "DisksNotLiveMigratable" => {
            "cannot migrate VMI: PVC disk0 is not shared, live migration requires that all PVCs must be shared (using \
             ReadWriteMany access mode)"
        }
        "VirtIOFSNotLiveMigratable" => "VMI uses virtiofs",
        _ => "VMI is not migratable",
    }
}
