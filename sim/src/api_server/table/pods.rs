//! Rows of pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, age_of, list, name_of, or, text};

pub(super) const COLUMNS: &[&str] =
    &["Name:name", "Ready", "Status", "Restarts", "Age", "IP+", "Node+", "Nominated Node+", "Readiness Gates+"];

/// Why and how a pod has ended, if it has.
pub(super) fn finished(pod: &Value) -> Option<(&'static str, &'static str)> {
    match text(&pod["status"]["phase"]) {
        "Succeeded" => Some(("Succeeded", "The pod has completed successfully.")),
        "Failed" => Some(("Failed", "The pod failed.")),
        _ => None,
    }
}

pub(super) fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let state = State::of(pod);
    let restarts = match state.last_restart.filter(|_| state.restarts != 0) {
        Some(time) => format!("{} ({} ago)", state.restarts, age::since(time, now)),
        None => state.restarts.to_string(),
    };
    let status = &pod["status"];
    let gates = list(&pod["spec"]["readinessGates"]);
    let passed = gates.iter().filter(|gate| has_condition(pod, text(&gate["conditionType"]))).count();
    vec![
        name_of(pod),
        format!("{}/{}", state.ready, state.containers).into(),
        state.reason.into(),
        restarts.into(),
        age_of(pod, now),
        or(&status["podIPs"][0]["ip"], "<none>").into(),
        or(&pod["spec"]["nodeName"], "<none>").into(),
        or(&status["nominatedNodeName"], "<none>").into(),
        if gates.is_empty() { json!("<none>") } else { format!("{passed}/{}", gates.len()).into() },
    ]
}

fn has_condition(pod: &Value, of: &str) -> bool {
    list(&pod["status"]["conditions"]).iter().any(|condition| condition["type"] == of && condition["status"] == "True")
}

struct State {
    reason: String,
    ready: usize,
    containers: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

fn last_restart(container: &Value) -> Option<Timestamp> {
    text(&container["lastState"]["terminated"]["finishedAt"]).parse().ok()
}

impl State {
    fn of(pod: &Value) -> Self {
        let status = &pod["status"];
        let mut state = Self {
            reason: or(&status["reason"], text(&status["phase"])).to_owned(),
            ready: 0,
            containers: list(&pod["spec"]["containers"]).len(),
            restarts: 0,
            last_restart: None,
        };
        let gated =
            |condition: &&Value| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated";
        if list(&status["conditions"]).iter().find(gated).is_some() {
            "SchedulingGated".clone_into(&mut state.reason);
        }
        let initializing = state.look_at_init_containers(pod);
        if !initializing || has_condition(pod, "Initialized") {
            state.look_at_containers(pod);
        }
        let deleted = !pod["metadata"]["deletionTimestamp"].is_null();
        if deleted && status["reason"] == "NodeLost" {
            "Unknown".clone_into(&mut state.reason);
        } else if deleted && finished(pod).is_none() {
            "Terminating".clone_into(&mut state.reason);
        }
        state
    }

    /// Whether they are still running. Restarts are those of containers that may restart alone only while they are.
    fn look_at_init_containers(&mut self, pod: &Value) -> bool {
        let specs = list(&pod["spec"]["initContainers"]);
        let restartable =
            |name: &Value| specs.iter().any(|spec| spec["name"] == *name && spec["restartPolicy"] == "Always");
        self.containers += specs.iter().filter(|spec| spec["restartPolicy"] == "Always").count();
        let (mut restarts, mut last) = (0, None);
        for (index, container) in list(&pod["status"]["initContainerStatuses"]).iter().enumerate() {
            restarts += container["restartCount"].as_i64().unwrap_or_default();
            last = last.max(last_restart(container));
            let restarts_alone = restartable(&container["name"]);
            if restarts_alone {
                self.restarts += container["restartCount"].as_i64().unwrap_or_default();
                self.last_restart = self.last_restart.max(last_restart(container));
            }
            let terminated = &container["state"]["terminated"];
            let waiting = text(&container["state"]["waiting"]["reason"]);
            if terminated.is_object() && terminated["exitCode"].as_i64().unwrap_or_default() == 0 {
                continue;
            }
            if restarts_alone && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            self.reason = if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            if !has_condition(pod, "Initialized") {
                (self.restarts, self.last_restart) = (restarts, last);
            }
            return true;
        }
        false
    }

    fn look_at_containers(&mut self, pod: &Value) {
        let (mut running, mut failed) = (false, None);
        for container in list(&pod["status"]["containerStatuses"]).iter().rev() {
            self.restarts += container["restartCount"].as_i64().unwrap_or_default();
            self.last_restart = self.last_restart.max(last_restart(container));
            let terminated = &container["state"]["terminated"];
            let waiting = text(&container["state"]["waiting"]["reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if terminated.is_object() {
                self.reason = ended(terminated);
                if terminated["exitCode"].as_i64().unwrap_or_default() != 0 {
                    failed = Some(self.reason.clone());
                }
            } else if container["ready"] == true && container["state"]["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && has_condition(pod, "Ready") {
                "Running".clone_into(&mut self.reason);
            } else if let Some(failed) = failed {
                self.reason = failed;
            } else if running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }
}

fn ended(terminated: &Value) -> String {
    match (text(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or_default()),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
