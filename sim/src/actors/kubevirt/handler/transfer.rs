//! A guest that migrates: what virt-handler on source and target node write to the VMI.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-handler/migration-target.go>

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Guest, Handler};
use crate::actors::{
    actor::Turn,
    kubevirt::{
        event::{Happening, Source},
        launchers::{is_up, migrations_of},
        names::{
            EVICTION_SOURCE, INSTANCE, MIGRATES_FOR, MIGRATION_FAILS, MIGRATION_MODE, NODE, NODE_NAME, PREPARES_FOR,
        },
        object::{is_final, list, name_of, take, text, time, uid_of},
        timing::Timing,
    },
    rules::PREFIX,
};

/// Why a transfer is given up that gets nowhere.
const STUCK: &str = "Live migration stuck for 150 seconds and has been aborted";

impl Handler {
    /// One step further, in `next`.
    pub(super) fn transfer(&mut self, guest: &Guest, next: &mut Value, turn: &mut Turn) {
        let state = &guest.vmi["status"]["migrationState"];
        if text(state, "/migrationUid").is_empty() || state["completed"] == true {
            return;
        }
        let is_target_up = target_of(guest).is_some_and(is_up);
        let is_set = |field: &str| state[field].is_string();
        if is_set("endTimestamp") {
            next["status"]["migrationState"]["completed"] = true.into();
        } else if is_set("startTimestamp") {
            self.go_on(guest, is_target_up, next, turn);
        } else if is_target_up && is_set("targetNodeAddress") && self.hears_from_target(guest) {
            let connect = self.timing.rules.scale(self.timing.connect);
            if guest.may_leave(&self.timing, "TargetReady") && self.is_done(guest, "connects", connect, turn) {
                next["status"]["migrationState"]["startTimestamp"] = time(guest.now);
                next["status"]["migrationState"]["mode"] =
                    self.timing.setting(guest.vmi, MIGRATION_MODE).unwrap_or("PreCopy").into();
                let uid = text(state, "/migrationUid");
                let message = format!("VirtualMachineInstance is migrating. migration uid {uid}");
                guest.record(Happening::normal(Source::Handler, "Migrating", message), turn);
            }
        } else if let Some(prepared) = self.prepare_target(guest, turn) {
            next["status"]["migrationState"] = prepared["status"]["migrationState"].clone();
        }
    }

    /// What the target node does before the source node has to do with it.
    pub(super) fn prepare_target(&mut self, guest: &Guest, turn: &mut Turn) -> Option<Value> {
        let state = &guest.vmi["status"]["migrationState"];
        let is_begun = !text(state, "/migrationUid").is_empty() && state["completed"] != true;
        let has_target = target_of(guest).is_some_and(is_up) && self.hears_from_target(guest);
        if !is_begun || !has_target || state["targetNodeAddress"].is_string() {
            return None;
        }
        let prepare = self.timing.duration(guest.vmi, PREPARES_FOR, self.timing.prepare);
        if !guest.may_leave(&self.timing, "PreparingTarget") || !self.is_done(guest, "prepares", prepare, turn) {
            return None;
        }
        let mut next = guest.vmi.clone();
        let address = guest.address_of(text(state, "/targetNode"));
        let message = format!("Migration Target is listening at {address}, on ports: 49152");
        next["status"]["migrationState"]["targetNodeAddress"] = address.into();
        next["status"]["migrationState"]["targetDirectMigrationNodePorts"] = json!({"49152": 49152});
        guest.record(Happening::normal(Source::Handler, "PreparingTarget", message), turn);
        Some(next)
    }

    fn hears_from_target(&self, guest: &Guest) -> bool {
        self.hears_from(guest.view, text(guest.vmi, "/status/migrationState/targetNode"))
    }

    /// The memory is on its way.
    fn go_on(&mut self, guest: &Guest, is_target_up: bool, next: &mut Value, turn: &mut Turn) {
        let state = &guest.vmi["status"]["migrationState"];
        if state["abortRequested"] == true {
            let abort = self.timing.rules.scale(self.timing.abort);
            if self.is_done(guest, "aborts", abort, turn) {
                next["status"]["migrationState"]["abortStatus"] = "Succeeded".into();
                fail(guest, "Live migration has been aborted", next, turn);
            }
            return;
        }
        if !is_target_up {
            return fail(guest, "Target pod is down", next, turn);
        }
        if !self.hears_from_target(guest) {
            let stuck = self.timing.rules.scale(self.timing.stuck);
            if self.is_done(guest, "is stuck", stuck, turn) {
                fail(guest, STUCK, next, turn);
            }
            return;
        }
        let migrate = self.timing.duration(guest.vmi, MIGRATES_FOR, self.timing.migrate);
        if !guest.may_leave(&self.timing, "Running") || !self.is_done(guest, "transfers", migrate, turn) {
            return;
        }
        let failures: u32 =
            self.timing.setting(guest.vmi, MIGRATION_FAILS).and_then(|count| count.parse().ok()).unwrap_or(0);
        if failures > 0 {
            next["metadata"]["annotations"][format!("{PREFIX}{MIGRATION_FAILS}")] = (failures - 1).to_string().into();
            fail(guest, STUCK, next, turn);
        } else if state["targetNodeDomainReadyTimestamp"].is_string() {
            change_hands(guest, next, turn);
        } else {
            next["status"]["migrationState"]["targetNodeDomainDetected"] = true.into();
            next["status"]["migrationState"]["targetNodeDomainReadyTimestamp"] = time(guest.now);
        }
    }

    fn is_done(&mut self, guest: &Guest, what: &str, duration: SignedDuration, turn: &mut Turn) -> bool {
        let key = format!("{} {what}", text(guest.vmi, "/status/migrationState/migrationUid"));
        self.stopwatch.has_passed(key, duration, guest.now, turn)
    }
}

/// The launcher pod on the target node.
fn target_of<'a>(guest: &Guest<'a>) -> Option<&'a Value> {
    let name = text(guest.vmi, "/status/migrationState/targetPod");
    guest.launchers.iter().find(|pod| name_of(pod) == name).copied()
}

/// The guest runs on the target node. Its migration is not over before the next write says so.
fn change_hands(guest: &Guest, next: &mut Value, turn: &mut Turn) {
    let target = text(guest.vmi, "/status/migrationState/targetNode");
    next["metadata"]["labels"][NODE_NAME] = target.into();
    next["status"]["nodeName"] = target.into();
    next["status"]["migrationState"]["endTimestamp"] = time(guest.now);
    next["status"]["migrationTransport"] = "Unix".into();
    take(next, "/status", "evacuationNodeName");
    take(next, "/metadata/annotations", EVICTION_SOURCE);
    let message = format!("The VirtualMachineInstance migrated to node {target}.");
    guest.record(Happening::normal(Source::Handler, "Migrated", message), turn);
}

fn fail(guest: &Guest, reason: &str, next: &mut Value, turn: &mut Turn) {
    let state = &mut next["status"]["migrationState"];
    state["failed"] = true.into();
    state["completed"] = true.into();
    state["endTimestamp"] = time(guest.now);
    state["failureReason"] = reason.into();
    let uid = text(guest.vmi, "/status/migrationState/migrationUid");
    let message = format!("VirtualMachineInstance migration uid {uid} failed. reason:{reason}");
    guest.record(Happening::warning(Source::Handler, "Migrated", message), turn);
}

impl Guest<'_> {
    /// No annotation holds the migration in that phase.
    fn may_leave(&self, timing: &Timing, phase: &str) -> bool {
        let state_uid = text(self.vmi, "/status/migrationState/migrationUid");
        let mut own = migrations_of(self.view, self.vmi).filter(|found| uid_of(found) == state_uid && !is_final(found));
        !own.any(|migration| timing.is_held_in(self.vmi, migration, phase))
    }

    fn address_of(&self, node: &str) -> String {
        let addresses = self.view.get(NODE, "", node).map_or(&[][..], |node| list(node, "/status/addresses"));
        let internal = addresses.iter().find(|address| address["type"] == "InternalIP");
        internal.map_or("127.0.0.1", |address| text(address, "/address")).to_owned()
    }

    fn record(&self, happening: Happening, turn: &mut Turn) {
        turn.writes.push(happening.about(INSTANCE, self.vmi, self.now));
    }
}
