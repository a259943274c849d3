//! A migration's phase: `updateStatus` of the real controller, in its order.

use serde_json::Value;

use super::{Case, queue::may_take_over};
use crate::actors::{
    actor::Turn,
    kubevirt::{
        event::{Happening, Source},
        launchers::is_up,
        object::{condition, is_deleting, is_final, list, name_of, phase, set_phase, text, time},
    },
};

const ABORT_REQUESTED: &str = "migrationAbortRequested";

/// The migration as it should be now.
pub fn next(case: &Case, is_handed_over: bool, turn: &mut Turn) -> Value {
    let mut next = case.migration.clone();
    let state = &case.vmi["status"]["migrationState"];
    if is_final(case.migration) {
        // What became of it is kept with it.
        if case.is_on_vmi() {
            next["status"]["migrationState"] = state.clone();
        }
        return next;
    }
    let is_cancelled = is_deleting(case.migration);
    if let Some(why) = failure(case, is_handed_over) {
        if is_cancelled && !is_handed_over && !is_final(case.vmi) {
            request_abort(&mut next, case);
        }
        set_phase(&mut next, "Failed", case.now);
        case.record(Happening::warning(Source::Controller, "FailedMigration", why), turn);
    } else if is_cancelled && condition(case.migration, ABORT_REQUESTED).is_none() {
        request_abort(&mut next, case);
    } else if let Some(phase) = next_phase(case) {
        if phase == "Failed" {
            let why = "VMI is not eligible for migration because another migration job is in progress.";
            case.record(Happening::warning(Source::Controller, "FailedMigration", why), turn);
        }
        if phase == "Succeeded" {
            let happening = "Source node reported migration succeeded";
            case.record(Happening::normal(Source::Controller, "SuccessfulMigration", happening), turn);
        }
        set_phase(&mut next, phase, case.now);
    }
    if let Some(source) = case.source().filter(|_| phase(&next) == "Pending") {
        next["status"]["migrationState"]["sourcePod"] = name_of(source).into();
    }
    next
}

/// Why it fails, if it does.
fn failure(case: &Case, is_handed_over: bool) -> Option<&'static str> {
    let is_created = !matches!(phase(case.migration), "" | "Pending");
    let is_prepared = is_created && !matches!(phase(case.migration), "Scheduling" | "Scheduled");
    let state = &case.vmi["status"]["migrationState"];
    if is_final(case.vmi) {
        Some("Migration failed vmi shutdown during migration.")
    } else if is_deleting(case.migration) && !is_handed_over {
        Some("Migration failed due to being canceled")
    } else if case.target().is_some_and(is_final) {
        Some("Migration failed because target pod shutdown during migration")
    } else if is_created && case.target().is_none() {
        Some("Migration target pod was removed during active migration.")
    } else if is_prepared && state.is_null() {
        Some("VMI's migration state was cleared during the active migration.")
    } else if is_prepared && !case.is_on_vmi() {
        Some("VMI's migration state was taken over by another migration job during active migration.")
    } else if case.is_on_vmi() && state["failed"] == true {
        Some("source node reported migration failed")
    } else {
        None
    }
}

/// The phase after this one, if it is time.
fn next_phase(case: &Case) -> Option<&'static str> {
    let state = &case.vmi["status"]["migrationState"];
    let is_set = |field: &str| !text(state, field).is_empty();
    match phase(case.migration) {
        "" if may_take_over(case) => Some("Pending"),
        "" => Some("Failed"),
        "Pending" => case.target().map(|_| "Scheduling"),
        "Scheduling" if !case.is_held_in("Scheduling") => {
            case.target().filter(|target| is_up(target)).map(|_| "Scheduled")
        }
        "Scheduled" => (case.is_on_vmi() && is_set("/targetNode")).then_some("PreparingTarget"),
        "PreparingTarget" => is_set("/targetNodeAddress").then_some("TargetReady"),
        "TargetReady" => is_set("/startTimestamp").then_some("Running"),
        "Running" => (state["completed"] == true).then_some("Succeeded"),
        _ => None,
    }
}

fn request_abort(next: &mut Value, case: &Case) {
    if condition(next, ABORT_REQUESTED).is_none() {
        let mut conditions = list(next, "/status/conditions").to_vec();
        conditions.push(serde_json::json!({
            "type": ABORT_REQUESTED, "status": "True", "lastProbeTime": time(case.now),
        }));
        next["status"]["conditions"] = conditions.into();
    }
}
