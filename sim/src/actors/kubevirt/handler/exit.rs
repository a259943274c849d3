//! Launchers that end: their guest has ended or gone to another node, or they were told to and hold none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::actors::{
    actor::Write,
    kubevirt::{
        launchers::{current, launchers_of},
        names::{APP, INSTANCE, LAUNCHER, POD},
        object::{change, is_deleting, is_final, label, list, name_of, phase, set_condition, text, time, uid_of},
    },
    view::View,
};

/// What becomes of the launcher pods that end now, on nodes that are heard of. One that the kubelet has not started yet, it never starts when it is
/// deleted.
pub fn ended(view: &View, hears_from: impl Fn(&str) -> bool, now: Timestamp) -> Vec<Write> {
    let vmis: BTreeMap<&str, &Value> = view.all(INSTANCE).map(|vmi| (uid_of(vmi), vmi)).collect();
    let running = view.all(POD).filter(|pod| label(pod, APP) == Some(LAUNCHER) && phase(pod) == "Running");
    let end = |pod: &Value| {
        let mut owners = list(pod, "/metadata/ownerReferences").iter();
        let vmi = owners.find_map(|owner| vmis.get(text(owner, "/uid")).copied());
        let ended = match vmi {
            Some(vmi) => end_of(view, vmi, pod)?,
            // Its VMI was taken away by force, or there never was one.
            None => is_deleting(pod).then_some("Succeeded")?,
        };
        change(POD, Some("status"), pod, &exited(pod, ended, now))
    };
    running.filter(|pod| hears_from(text(pod, "/spec/nodeName"))).filter_map(end).collect()
}

/// The phase that the pod comes to, if it ends.
fn end_of(view: &View, vmi: &Value, pod: &Value) -> Option<&'static str> {
    if is_final(vmi) {
        return Some(if phase(vmi) == "Succeeded" { "Succeeded" } else { "Failed" });
    }
    let has_guest = matches!(phase(vmi), "Scheduled" | "Running");
    let is_current = current(vmi, &launchers_of(view, vmi)).is_some_and(|current| uid_of(current) == uid_of(pod));
    if has_guest && (is_current || is_deleting(vmi)) {
        // It waits for the guest to shut down, as the target of a migration does with it.
        return None;
    }
    let state = &vmi["status"]["migrationState"];
    let is_over = state["completed"] == true
        && [text(state, "/sourcePod"), text(state, "/targetPod")].contains(&name_of(pod))
        && has_guest;
    (is_over || is_deleting(pod)).then_some("Succeeded")
}

/// The status of a pod whose containers have exited.
fn exited(pod: &Value, phase: &str, now: Timestamp) -> Value {
    let mut next = pod.clone();
    next["status"]["phase"] = phase.into();
    let (code, reason) = if phase == "Succeeded" { (0, "Completed") } else { (1, "Error") };
    let mut containers = list(pod, "/status/containerStatuses").to_vec();
    for container in &mut containers {
        let started = container["state"]["running"]["startedAt"].clone();
        let mut terminated = json!({"exitCode": code, "reason": reason, "finishedAt": time(now)});
        if started.is_string() {
            terminated["startedAt"] = started;
        }
        container["state"] = json!({"terminated": terminated});
        container["ready"] = false.into();
        container["started"] = false.into();
    }
    if !containers.is_empty() {
        next["status"]["containerStatuses"] = containers.into();
    }
    let why = if phase == "Succeeded" { "PodCompleted" } else { "PodFailed" };
    for condition in ["Ready", "ContainersReady"] {
        set_condition(&mut next, [condition, "False", why, ""], now);
    }
    next
}
