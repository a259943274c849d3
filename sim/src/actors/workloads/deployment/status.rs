//! The status of a Deployment.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/progress.go>

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Sets, max_unavailable};
use crate::actors::{
    actor::Turn,
    kinds::DEPLOYMENT,
    object::{items, name_of, seconds, set_condition, time},
    rules::after,
    workloads::owned::{replicas, status_write},
};

pub(super) fn report(deployment: &Value, sets: &Sets<'_>, now: Timestamp, turn: &mut Turn) {
    let sum = |field: &str| sets.all().map(|set| set["status"][field].as_i64().unwrap_or(0)).sum::<i64>();
    let available = sum("availableReplicas");
    let wanted_of_all: i64 = sets.all().map(replicas).sum();
    let updated = sets.new.map_or(0, |new| new["status"]["replicas"].as_i64().unwrap_or(0));
    let counts = [
        ("replicas", sum("replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", sum("readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (wanted_of_all - available).max(0)),
    ];
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    for (field, number) in counts {
        status[field] = if number == 0 { Value::Null } else { number.into() };
    }
    let mut conditions = items(&deployment["status"]["conditions"]).to_vec();
    let is_available = available >= replicas(deployment) - max_unavailable(deployment);
    let (state, reason, message) = if is_available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    put(&mut conditions, ("Available", state, reason, message), now);
    progress(deployment, sets, &status, &mut conditions, now, turn);
    status["conditions"] = conditions.into();
    turn.writes.extend(status_write(DEPLOYMENT, deployment, &status));
}

fn progress(
    deployment: &Value,
    sets: &Sets<'_>,
    status: &Value,
    conditions: &mut Vec<Value>,
    now: Timestamp,
    turn: &mut Turn,
) {
    let Some(deadline) = deployment["spec"]["progressDeadlineSeconds"].as_i64().filter(|_| sets.new.is_some()) else {
        return;
    };
    let name = sets.new.map(name_of).unwrap_or_default();
    let number = |status: &Value, field: &str| status[field].as_i64().unwrap_or(0);
    let before = &deployment["status"];
    let known = conditions.iter().find(|condition| condition["type"] == "Progressing").cloned();
    let was_complete = known.as_ref().is_some_and(|known| known["reason"] == "NewReplicaSetAvailable");
    if was_complete && number(status, "replicas") == number(status, "updatedReplicas") {
        return;
    }
    let wanted = replicas(deployment);
    let is_complete =
        ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|field| number(status, field) == wanted);
    let old = |status: &Value| number(status, "replicas") - number(status, "updatedReplicas");
    let has_moved = number(status, "updatedReplicas") > number(before, "updatedReplicas")
        || old(status) < old(before)
        || number(status, "readyReplicas") > number(before, "readyReplicas")
        || number(status, "availableReplicas") > number(before, "availableReplicas");
    if is_complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        put(conditions, ("Progressing", "True", "NewReplicaSetAvailable", &message), now);
    } else if has_moved || known.is_none() {
        let message = format!("ReplicaSet \"{name}\" is progressing.");
        conditions.retain(|condition| condition["type"] != "Progressing");
        put(conditions, ("Progressing", "True", "ReplicaSetUpdated", &message), now);
        if let (Some(known), Some(last)) = (known, conditions.last_mut())
            && known["status"] == "True"
        {
            last["lastTransitionTime"] = known["lastTransitionTime"].clone();
        }
        turn.look_again(after(now, SignedDuration::from_secs(deadline)));
    } else if let Some(since) = known.and_then(|known| time(&known["lastUpdateTime"])) {
        let ends = after(since, SignedDuration::from_secs(deadline));
        if ends <= now {
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            put(conditions, ("Progressing", "False", "ProgressDeadlineExceeded", &message), now);
        } else {
            turn.look_again(ends);
        }
    }
}

/// A condition with the same status and reason stays as it is.
fn put(conditions: &mut Vec<Value>, wanted: (&str, &str, &str, &str), now: Timestamp) {
    let (type_, status, reason, message) = wanted;
    let is_known = |known: &Value| known["type"] == type_ && known["status"] == status && known["reason"] == reason;
    if !conditions.iter().any(is_known) {
        let condition = json!({
            "type": type_, "status": status, "reason": reason, "message": message, "lastUpdateTime": seconds(now),
        });
        set_condition(conditions, condition, now);
    }
}
