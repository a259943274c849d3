//! A VM's status: what it says of its VMI, and of starts that failed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::run_strategy::{Step, requested, run_strategy};
use crate::actors::kubevirt::{
    evacuation::is_migrating,
    object::{
        condition, has_condition, is_deleting, is_final, list, phase, remove_condition, set_condition, since_phase,
        take, text, time, uid_of,
    },
};

/// The longest wait after starts that failed, in seconds.
const LONGEST_BACK_OFF: u64 = 300;

/// The VM as it should be now.
pub fn next(vm: &Value, vmi: Option<&Value>, step: &Step, now: Timestamp, random: &mut fastrand::Rng) -> Value {
    let mut next = vm.clone();
    let is_ready = vmi.is_some_and(|vmi| has_condition(vmi, "Ready", "True"));
    set_flag(&mut next, "created", vmi.is_some());
    set_flag(&mut next, "ready", is_ready);
    // From the first VMI on, so that one can tell whether the VM was ever started.
    if vmi.is_some() || vm["status"]["runStrategy"].is_string() {
        next["status"]["runStrategy"] = run_strategy(vm).into();
    }
    update_requests(&mut next, vm, vmi);
    update_start_failure(&mut next, vm, vmi, now, random);
    copy_conditions(&mut next, vmi, now);
    next["status"]["printableStatus"] = printable_status(&next, vmi, step, now).into();
    next
}

/// False is left out, as it is in KubeVirt's own objects.
fn set_flag(next: &mut Value, name: &str, value: bool) {
    if value {
        next["status"][name] = true.into();
    } else {
        take(next, "/status", name);
    }
}

fn update_requests(next: &mut Value, vm: &Value, vmi: Option<&Value>) {
    let is_done = match (requested(vm), vmi) {
        ("Stop", Some(vmi)) => text(vm, "/status/stateChangeRequests/0/uid") != uid_of(vmi),
        ("Stop", None) => true,
        ("Start", Some(vmi)) => !is_deleting(vmi) && !is_final(vmi),
        _ => false,
    };
    let mut requests = list(vm, "/status/stateChangeRequests").to_vec();
    if is_done {
        requests.remove(0);
    }
    let must_start_again = run_strategy(vm) == "RerunOnFailure" && vmi.is_some_and(|vmi| phase(vmi) == "Failed");
    if must_start_again && requests.is_empty() {
        requests.push(json!({"action": "Start"}));
    }
    if requests.is_empty() {
        take(next, "/status", "stateChangeRequests");
    } else {
        next["status"]["stateChangeRequests"] = requests.into();
    }
}

/// A VMI that ended before it ran is a start that failed: the next one waits.
fn update_start_failure(next: &mut Value, vm: &Value, vmi: Option<&Value>, now: Timestamp, random: &mut fastrand::Rng) {
    let has_run = vmi.is_some_and(|vmi| since_phase(vmi, "Running").is_some());
    if has_run || !matches!(run_strategy(vm), "Always" | "RerunOnFailure" | "Once") {
        take(next, "/status", "startFailure");
        return;
    }
    let Some(vmi) = vmi.filter(|vmi| is_final(vmi)) else { return };
    let before = &vm["status"]["startFailure"];
    if before["lastFailedVMIUID"] == uid_of(vmi) {
        return;
    }
    let count = before["consecutiveFailCount"].as_u64().unwrap_or(0) + 1;
    // 10 s times the square of the failures, and up to half as much again.
    let least = (LONGEST_BACK_OFF / 30).saturating_mul(count.saturating_mul(count));
    let seconds = least.saturating_add(random.u64(0..=least / 2)).min(LONGEST_BACK_OFF);
    let retry_after = now.checked_add(Duration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    next["status"]["startFailure"] = json!({
        "consecutiveFailCount": count, "lastFailedVMIUID": uid_of(vmi), "retryAfterTimestamp": time(retry_after),
    });
}

fn copy_conditions(next: &mut Value, vmi: Option<&Value>, now: Timestamp) {
    let Some(vmi) = vmi else {
        return set_condition(next, ["Ready", "False", "VMINotExists", "VMI does not exist"], now);
    };
    if condition(vmi, "Ready").is_none() {
        let missing = ["Ready", "False", "VMIConditionMissing", "VMI is missing the Ready condition"];
        set_condition(next, missing, now);
    }
    for found in list(vmi, "/status/conditions") {
        let part = |name: &str| found[name].as_str().unwrap_or_default();
        set_condition(next, [part("type"), part("status"), part("reason"), part("message")], now);
    }
    let kept = ["Ready", "Failure", "RestartRequired"];
    let kinds: Vec<String> =
        list(next, "/status/conditions").iter().map(|found| text(found, "/type").to_owned()).collect();
    for kind in kinds.iter().filter(|kind| !kept.contains(&kind.as_str()) && condition(vmi, kind).is_none()) {
        remove_condition(next, kind);
    }
}

/// What `kubectl get vm` shows; the first that is true.
fn printable_status(vm: &Value, vmi: Option<&Value>, step: &Step, now: Timestamp) -> &'static str {
    let is_stopping = *step == Step::Stop;
    let has_failed = vm["status"]["startFailure"].is_object();
    if is_deleting(vm) {
        return "Terminating";
    }
    let Some(vmi) = vmi else {
        return match step {
            Step::Start => "Starting",
            _ if has_failed => "CrashLoopBackOff",
            _ => "Stopped",
        };
    };
    let is_running = phase(vmi) == "Running";
    let is_unschedulable = condition(vmi, "PodScheduled")
        .is_some_and(|found| found["reason"] == "Unschedulable" && found["status"] == "False");
    match phase(vmi) {
        "Succeeded" | "Failed" if has_failed => "CrashLoopBackOff",
        "Succeeded" | "Failed" => "Stopped",
        _ if is_deleting(vmi) || is_stopping => "Stopping",
        _ if is_migrating(vmi, now) => "Migrating",
        _ if is_running && has_condition(vmi, "Paused", "True") => "Paused",
        _ if is_running => "Running",
        _ if is_unschedulable => "ErrorUnschedulable",
        _ => "Starting",
    }
}
