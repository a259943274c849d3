//! Plays the disruption controller: what each PodDisruptionBudget allows.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/disruption/disruption.go>

mod scale;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    actor::{Actor, Turn, Write},
    kinds::{DEPLOYMENT, POD, POD_DISRUPTION_BUDGET, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET},
    object::{
        condition, int_or_percent, is_deleting, is_finished, is_ready, items, name_of, namespace_of, set_condition,
        time, uid_of,
    },
    rules::{Rules, after},
    view::{Kind, View, key_of},
};
use crate::selector::LabelSelector;

/// So long a pod whose eviction was granted counts as one that will go (`DeletionTimeout`).
const GRANTED_FOR: Duration = Duration::from_secs(120);

/// Plays the disruption controller.
#[derive(Debug)]
pub struct Disruption {
    rules: Rules,
}

impl Disruption {
    /// The rules say how fast time passes.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules }
    }
}

impl Actor for Disruption {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![POD_DISRUPTION_BUDGET, POD, REPLICATION_CONTROLLER, REPLICA_SET, DEPLOYMENT, STATEFUL_SET]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        for budget in view.all(POD_DISRUPTION_BUDGET) {
            self.work_out(view, budget, now, &mut turn);
        }
        self.forget_disruptions(view, now, &mut turn);
        turn
    }
}

impl Disruption {
    fn work_out(&self, view: &View, budget: &Value, now: Timestamp, turn: &mut Turn) {
        let pods = covered(view, budget);
        let (expected, desired) = match expectation(view, budget, &pods) {
            Ok(expectation) => expectation,
            Err(why) => return fail_safe(budget, &why, now, turn),
        };
        let mut granted = Map::new();
        let known = &budget["status"]["disruptedPods"];
        for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
            let Some(since) = time(&known[name_of(pod)]) else { continue };
            let until = after(since, self.rules.scale(GRANTED_FOR));
            if until >= now {
                turn.look_again(until);
                granted.insert(name_of(pod).to_owned(), known[name_of(pod)].clone());
            }
        }
        let is_healthy = |pod: &&&Value| !is_deleting(pod) && !granted.contains_key(name_of(pod)) && is_ready(pod);
        let healthy = i64::try_from(pods.iter().filter(is_healthy).count()).unwrap_or(i64::MAX);
        let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
        write(budget, &Worked { healthy, desired, expected, allowed, granted }, now, turn);
    }

    /// A pod that was to be evicted and is still there: its condition is taken back after a while.
    fn forget_disruptions(&self, view: &View, now: Timestamp, turn: &mut Turn) {
        for pod in view.all(POD).filter(|pod| !is_deleting(pod) && !is_finished(pod)) {
            let Some(target) = condition(pod, "DisruptionTarget").filter(|target| target["status"] == "True") else {
                continue;
            };
            let Some(since) = time(&target["lastTransitionTime"]) else { continue };
            let until = after(since, self.rules.scale(GRANTED_FOR));
            if target["reason"] == "TerminationByKubelet" {
                continue;
            }
            if until > now {
                turn.look_again(until);
                continue;
            }
            let mut conditions = items(&pod["status"]["conditions"]).to_vec();
            conditions.retain(|condition| condition["type"] != "DisruptionTarget");
            set_condition(&mut conditions, json!({"type": "DisruptionTarget", "status": "False"}), now);
            let version = &pod["metadata"]["resourceVersion"];
            let patch = json!({
                "metadata": {"uid": uid_of(pod), "resourceVersion": version}, "status": {"conditions": conditions},
            });
            turn.writes.push(Write::Patch { kind: POD, key: key_of(pod), subresource: Some("status"), patch });
        }
    }
}

/// The pods that the budget means. No selector means none, an empty one all of the namespace.
fn covered<'a>(view: &'a View, budget: &Value) -> Vec<&'a Value> {
    let selector = &budget["spec"]["selector"];
    let Some(selector) = LabelSelector::from_json(selector).ok().filter(|_| !selector.is_null()) else {
        return Vec::new();
    };
    let is_meant =
        |pod: &&Value| namespace_of(pod) == namespace_of(budget) && selector.matches(&pod["metadata"]["labels"]);
    view.all(POD).filter(is_meant).collect()
}

/// How many pods there should be, and how many of them healthy.
fn expectation(view: &View, budget: &Value, pods: &[&Value]) -> Result<(i64, i64), String> {
    let (most, least) = (&budget["spec"]["maxUnavailable"], &budget["spec"]["minAvailable"]);
    let number = |value: &Value, total| {
        int_or_percent(value, total, true).ok_or_else(|| "invalid value for IntOrString".to_owned())
    };
    if !most.is_null() {
        let expected = scale::expected(view, pods)?;
        Ok((expected, (expected - number(most, expected)?).max(0)))
    } else if let Some(desired) = least.as_i64() {
        Ok((i64::try_from(pods.len()).unwrap_or(i64::MAX), desired))
    } else if least.is_string() {
        let expected = scale::expected(view, pods)?;
        Ok((expected, number(least, expected)?))
    } else {
        Ok((0, 0))
    }
}

struct Worked {
    healthy: i64,
    desired: i64,
    expected: i64,
    allowed: i64,
    granted: Map<String, Value>,
}

fn write(budget: &Value, worked: &Worked, now: Timestamp, turn: &mut Turn) {
    let known = &budget["status"];
    let (state, reason) = if worked.allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let no_pods = Map::new();
    let known_granted = known["disruptedPods"].as_object().unwrap_or(&no_pods);
    let is_known = known["currentHealthy"] == worked.healthy
        && known["desiredHealthy"] == worked.desired
        && known["expectedPods"] == worked.expected
        && known["disruptionsAllowed"] == worked.allowed
        && *known_granted == worked.granted
        && known["observedGeneration"] == budget["metadata"]["generation"]
        && condition(budget, "DisruptionAllowed")
            .is_some_and(|condition| condition["status"] == state && condition["reason"] == reason);
    if is_known {
        return;
    }
    let condition = json!({
        "type": "DisruptionAllowed", "status": state, "reason": reason, "message": "",
        "observedGeneration": budget["metadata"]["generation"],
    });
    let mut conditions = items(&known["conditions"]).to_vec();
    set_condition(&mut conditions, condition, now);
    // Who is no longer counted has to be taken out of the map by name.
    let mut granted: BTreeMap<&str, Value> = known_granted.keys().map(|name| (name.as_str(), Value::Null)).collect();
    granted.extend(worked.granted.iter().map(|(name, since)| (name.as_str(), since.clone())));
    let status = json!({
        "currentHealthy": worked.healthy, "desiredHealthy": worked.desired, "expectedPods": worked.expected,
        "disruptionsAllowed": worked.allowed, "disruptedPods": granted, "conditions": conditions,
        "observedGeneration": budget["metadata"]["generation"],
    });
    push(budget, &status, turn);
}

fn fail_safe(budget: &Value, why: &str, now: Timestamp, turn: &mut Turn) {
    let mut conditions = items(&budget["status"]["conditions"]).to_vec();
    let condition = json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": why,
        "observedGeneration": budget["status"]["observedGeneration"].as_i64().unwrap_or(0),
    });
    let changed = set_condition(&mut conditions, condition, now);
    if changed || budget["status"]["disruptionsAllowed"] != 0 {
        let status = &budget["status"];
        // The API server wants the counts, which a budget that was never worked out does not have.
        let count = |field: &str| status[field].as_i64().unwrap_or(0);
        let status = json!({
            "disruptionsAllowed": 0, "conditions": conditions, "currentHealthy": count("currentHealthy"),
            "desiredHealthy": count("desiredHealthy"), "expectedPods": count("expectedPods"),
        });
        push(budget, &status, turn);
    }
}

/// Guarded by the version: the API server counts the budget down with each eviction that it grants.
fn push(budget: &Value, status: &Value, turn: &mut Turn) {
    let version = &budget["metadata"]["resourceVersion"];
    let patch = json!({"metadata": {"uid": uid_of(budget), "resourceVersion": version}, "status": status});
    turn.writes.push(Write::Patch {
        kind: POD_DISRUPTION_BUDGET,
        key: key_of(budget),
        subresource: Some("status"),
        patch,
    });
}

#[cfg(test)]
mod tests;
