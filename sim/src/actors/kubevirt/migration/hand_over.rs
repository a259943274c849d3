//! What the VMI is told of its migration: virt-handler acts on that.

use serde_json::{Value, json};

use super::Case;
use crate::actors::{
    actor::Turn,
    kubevirt::{
        configuration::Configuration,
        event::{Happening, Source},
        launchers::is_up,
        names::{INSTANCE, MIGRATION_TARGET_NODE},
        object::{change, is_final, name_of, text, time, uid_of},
    },
};

/// The target pod runs: virt-handler may prepare it. False if it is not yet so far.
pub fn begin(case: &Case, configuration: &Configuration, turn: &mut Turn) -> bool {
    let Some(target) = case.target().filter(|pod| is_up(pod) && !case.is_on_vmi()) else { return false };
    let mut next = case.vmi.clone();
    next["metadata"]["labels"][MIGRATION_TARGET_NODE] = target["spec"]["nodeName"].clone();
    next["status"]["migrationState"] = json!({
        "migrationConfiguration": configuration.migrations, "migrationUid": uid_of(case.migration),
        "sourceNode": case.vmi["status"]["nodeName"],
        "sourcePod": text(case.migration, "/status/migrationState/sourcePod"),
        "targetMemoryOverhead": "295168Ki", "targetNode": target["spec"]["nodeName"], "targetPod": name_of(target),
    });
    turn.writes.extend(change(INSTANCE, None, case.vmi, &next));
    let message = "Migration target pod is ready for preparation by virt-handler.";
    case.record(Happening::normal(Source::Controller, "SuccessfulHandOver", message), turn);
    true
}

/// virt-handler cannot prepare a pod that is gone.
pub fn fail_if_target_is_down(case: &Case, turn: &mut Turn) {
    let state = &case.vmi["status"]["migrationState"];
    let has_begun = state["startTimestamp"].is_string() || state["completed"] == true;
    if case.target().is_none_or(is_final) && !has_begun {
        fail(case, turn);
    }
}

/// The migration has failed, and the VMI does not say so.
pub fn fail_after_the_migration(case: &Case, turn: &mut Turn) {
    if case.vmi["status"]["migrationState"]["failed"] != true {
        fail(case, turn);
    }
}

fn fail(case: &Case, turn: &mut Turn) {
    if !case.is_on_vmi() {
        return;
    }
    let mut next = case.vmi.clone();
    let state = &mut next["status"]["migrationState"];
    state["failed"] = true.into();
    state["completed"] = true.into();
    set_if_missing(state, "startTimestamp", time(case.now));
    set_if_missing(state, "endTimestamp", time(case.now));
    set_if_missing(state, "failureReason", "Target pod is down".into());
    turn.writes.extend(change(INSTANCE, None, case.vmi, &next));
    let message =
        format!("VirtualMachineInstance migration uid {} failed. reason: Target pod is down", uid_of(case.migration));
    case.record_on_vmi(Happening::warning(Source::Controller, "FailedMigration", message), turn);
}

fn set_if_missing(state: &mut Value, field: &str, value: Value) {
    if state[field].is_null() {
        state[field] = value;
    }
}

/// The migration was deleted while it runs: virt-handler shall end it.
pub fn request_abort(case: &Case, turn: &mut Turn) {
    if !case.is_on_vmi() || case.vmi["status"]["migrationState"]["abortRequested"] == true {
        return;
    }
    let mut next = case.vmi.clone();
    next["status"]["migrationState"]["abortRequested"] = true.into();
    turn.writes.extend(change(INSTANCE, None, case.vmi, &next));
    let message = "Migration is ready to be canceled by virt-handler.";
    case.record(Happening::normal(Source::Controller, "SuccessfulAbortMigration", message), turn);
}
