//! Whether a VM starts or stops its VMI: `syncRunStrategy` of the real controller.

use jiff::Timestamp;
use serde_json::Value;

use crate::actors::kubevirt::object::{is_deleting, is_final, text, uid_of};

/// What is to be done about a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// A VMI is made.
    Start,
    /// The same, but not before: the ones before it failed.
    StartAt(Timestamp),
    /// The VMI is deleted.
    Stop,
    /// The VM was halted and is asked to start: its run strategy becomes `Always`.
    RunAlways,
}

/// The run strategy, also that of a VM with the older `spec.running`.
pub fn run_strategy(vm: &Value) -> &str {
    match (vm["spec"]["runStrategy"].as_str(), vm["spec"]["running"].as_bool()) {
        (Some(strategy), _) => strategy,
        (None, Some(true)) => "Always",
        (None, _) => "Halted",
    }
}

/// The action of the first request to start or stop: `Start`, `Stop`.
pub fn requested(vm: &Value) -> &str {
    text(vm, "/status/stateChangeRequests/0/action")
}

/// What is to be done now.
pub fn step(vm: &Value, vmi: Option<&Value>, now: Timestamp) -> Step {
    if is_deleting(vm) {
        return if vmi.is_some() { Step::Stop } else { Step::Rest };
    }
    match vmi {
        Some(vmi) => step_with(vm, vmi),
        None => step_without(vm, now),
    }
}

fn step_with(vm: &Value, vmi: &Value) -> Step {
    let is_stop_requested = requested(vm) == "Stop" && text(vm, "/status/stateChangeRequests/0/uid") == uid_of(vmi);
    let must_stop = match run_strategy(vm) {
        "Always" | "RerunOnFailure" => is_stop_requested || is_final(vmi),
        "Manual" => is_stop_requested,
        "Halted" => true,
        _ => false,
    };
    if must_stop && !is_deleting(vmi) { Step::Stop } else { Step::Rest }
}

fn step_without(vm: &Value, now: Timestamp) -> Step {
    let is_start_requested = requested(vm) == "Start";
    let must_start = match run_strategy(vm) {
        "Always" => true,
        // Once after it became the strategy; then only after a failure, or on request.
        "RerunOnFailure" => is_start_requested || text(vm, "/status/runStrategy") != "RerunOnFailure",
        "Manual" => is_start_requested,
        "Once" => return Step::Start,
        "Halted" if is_start_requested => return Step::RunAlways,
        _ => false,
    };
    if !must_start {
        return Step::Rest;
    }
    let retry_after = text(vm, "/status/startFailure/retryAfterTimestamp").parse().ok();
    match retry_after.filter(|time: &Timestamp| *time > now && run_strategy(vm) != "Manual") {
        Some(time) => Step::StartAt(time),
        None => Step::Start,
    }
}
