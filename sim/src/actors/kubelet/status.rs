//! The status of a pod, as a kubelet writes it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::addresses;
use crate::actors::object::{condition, items, seconds, set_condition, time, uid_of};

/// What the containers of a pod are doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Containers {
    /// Not started yet, for that reason.
    Waiting(&'static str),
    /// They run; whether the readiness probe succeeds.
    Running { since: Timestamp, ready: bool, restarts: u64 },
    /// They have ended, with that exit code.
    Ended { code: i64 },
}

/// The status that says so; none where the pod's already does.
pub(super) fn patch(node: &Value, pod: &Value, containers: Containers, now: Timestamp) -> Option<Value> {
    let mut conditions = items(&pod["status"]["conditions"]).to_vec();
    let mut changed = false;
    for (type_, (is_true, reason)) in wanted_conditions(pod, containers) {
        let mut condition = json!({"type": type_, "status": if is_true { "True" } else { "False" }});
        let known = conditions.iter_mut().find(|known| known["type"] == type_);
        match reason {
            Some(reason) => condition["reason"] = reason.into(),
            None => {
                if let Some(known) = known.and_then(Value::as_object_mut) {
                    known.remove("reason");
                    known.remove("message");
                }
            }
        }
        changed |= set_condition(&mut conditions, condition, now);
    }
    let phase = phase(containers);
    let statuses = statuses(pod, &pod["spec"]["containers"], containers, now);
    changed |= pod["status"]["phase"] != phase || states(&pod["status"]["containerStatuses"]) != states(&statuses);
    if !changed {
        return None;
    }
    let host = host_address(node);
    let mut status = json!({
        "phase": phase, "conditions": conditions, "containerStatuses": statuses,
        "hostIP": host, "hostIPs": [{"ip": host}],
        "startTime": pod["status"]["startTime"].as_str().map_or_else(|| seconds(now), str::to_owned),
    });
    if !items(&pod["spec"]["initContainers"]).is_empty() {
        status["initContainerStatuses"] = init_statuses(pod, containers, now);
    }
    if !matches!(containers, Containers::Waiting(_)) {
        let own = addresses::of_pod(uid_of(pod));
        let address = if pod["spec"]["hostNetwork"] == true { host } else { own };
        status["podIPs"] = json!([{"ip": address}]);
        status["podIP"] = address.into();
    }
    // Others write conditions, too, and a merge patch replaces the list.
    let version = &pod["metadata"]["resourceVersion"];
    Some(json!({"metadata": {"uid": uid_of(pod), "resourceVersion": version}, "status": status}))
}

fn phase(containers: Containers) -> &'static str {
    match containers {
        Containers::Waiting(_) => "Pending",
        Containers::Running { .. } => "Running",
        Containers::Ended { code: 0 } => "Succeeded",
        Containers::Ended { .. } => "Failed",
    }
}

fn wanted_conditions(pod: &Value, containers: Containers) -> [(&'static str, (bool, Option<&'static str>)); 5] {
    let unready = Some("ContainersNotReady");
    let (started, ready) = match containers {
        Containers::Waiting(_) => (false, (false, unready)),
        Containers::Running { ready: true, .. } => (true, (true, None)),
        Containers::Running { .. } => (true, (false, unready)),
        Containers::Ended { code: 0 } => (false, (false, Some("PodCompleted"))),
        Containers::Ended { .. } => (false, (false, Some("PodFailed"))),
    };
    let gates = items(&pod["spec"]["readinessGates"]);
    let is_open = |gate: &Value| {
        gate["conditionType"]
            .as_str()
            .and_then(|type_| condition(pod, type_))
            .is_some_and(|own| own["status"] == "True")
    };
    let all = if ready.0 && !gates.iter().all(is_open) { (false, Some("ReadinessGatesNotReady")) } else { ready };
    let initialized = !matches!(containers, Containers::Waiting(_)) || items(&pod["spec"]["initContainers"]).is_empty();
    [
        ("PodReadyToStartContainers", (started, None)),
        ("Initialized", (initialized, (!initialized).then_some("ContainersNotInitialized"))),
        ("Ready", all),
        ("ContainersReady", ready),
        ("PodScheduled", (true, None)),
    ]
}

fn statuses(pod: &Value, specs: &Value, containers: Containers, now: Timestamp) -> Value {
    items(specs).iter().map(|spec| container(pod, spec, containers, now)).collect()
}

fn container(pod: &Value, spec: &Value, containers: Containers, now: Timestamp) -> Value {
    let name = spec["name"].as_str().unwrap_or_default();
    let known = items(&pod["status"]["containerStatuses"]).iter().find(|known| known["name"] == name);
    let restarts_before = known.and_then(|known| known["restartCount"].as_u64()).unwrap_or(0);
    let (state, ready, restarts) = match containers {
        Containers::Waiting(reason) => (json!({"waiting": {"reason": reason}}), false, restarts_before),
        Containers::Running { since, ready, restarts } => {
            (json!({"running": {"startedAt": seconds(since)}}), ready, restarts)
        }
        Containers::Ended { code } => {
            let started = known.and_then(|known| known["state"]["running"]["startedAt"].as_str().map(str::to_owned));
            let reason = if code == 0 { "Completed" } else { "Error" };
            let ended = json!({
                "exitCode": code, "reason": reason, "finishedAt": seconds(now),
                "startedAt": started.unwrap_or_else(|| seconds(now)),
            });
            (json!({"terminated": ended}), false, restarts_before)
        }
    };
    let image = spec["image"].as_str().unwrap_or_default();
    let is_running = matches!(containers, Containers::Running { .. });
    let mut status = json!({
        "name": name, "image": image, "imageID": "", "ready": ready, "started": is_running,
        "restartCount": restarts, "state": state,
    });
    if !matches!(containers, Containers::Waiting(_)) {
        status["imageID"] = format!("{image}@sim").into();
        status["containerID"] = format!("sim://{}/{name}/{restarts}", uid_of(pod)).into();
    }
    status
}

fn init_statuses(pod: &Value, containers: Containers, now: Timestamp) -> Value {
    let of = |spec: &Value| {
        let is_sidecar = spec["restartPolicy"] == "Always";
        let before = matches!(containers, Containers::Waiting(_));
        let state = if before || is_sidecar { containers } else { Containers::Ended { code: 0 } };
        let mut status = container(pod, spec, state, now);
        status["ready"] = (!before).into();
        status
    };
    items(&pod["spec"]["initContainers"]).iter().map(of).collect()
}

/// What decides whether container statuses are news.
fn states(statuses: &Value) -> Vec<(String, String, bool, u64)> {
    items(statuses)
        .iter()
        .map(|status| {
            let state = status["state"].as_object().and_then(|state| state.iter().next());
            let (state, reason) = state
                .map_or(("", ""), |(state, details)| (state.as_str(), details["reason"].as_str().unwrap_or_default()));
            let name = status["name"].as_str().unwrap_or_default();
            let restarts = status["restartCount"].as_u64().unwrap_or(0);
            (name.to_owned(), format!("{state} {reason}"), status["ready"] == true, restarts)
        })
        .collect()
}

fn host_address(node: &Value) -> String {
    items(&node["status"]["addresses"])
        .iter()
        .find(|address| address["type"] == "InternalIP")
        .and_then(|address| address["address"].as_str())
        .map_or_else(|| addresses::of_node(node["metadata"]["name"].as_str().unwrap_or_default()), str::to_owned)
}

/// When the containers of a pod that runs were started, as its status says.
pub(super) fn running_since(pod: &Value) -> Option<Timestamp> {
    let started = |status: &Value| time(&status["state"]["running"]["startedAt"]);
    items(&pod["status"]["containerStatuses"]).iter().filter_map(started).max()
}

/// How often its containers were started again.
pub(super) fn restarts(pod: &Value) -> u64 {
    items(&pod["status"]["containerStatuses"])
        .iter()
        .filter_map(|status| status["restartCount"].as_u64())
        .max()
        .unwrap_or(0)
}
