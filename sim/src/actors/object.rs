//! What is read from objects, and what is written into them, as plain JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::view::Kind;

/// `metadata.uid`; empty where there is none.
#[must_use]
pub fn uid_of(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// `metadata.name`; empty where there is none.
#[must_use]
pub fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `metadata.namespace`; empty where there is none.
#[must_use]
pub fn namespace_of(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// An annotation.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// A label.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

/// The entries of a list; none where there is no list.
#[must_use]
pub fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// Whether its deletion was asked for.
#[must_use]
pub fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether it has that finalizer.
#[must_use]
pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(&object["metadata"]["finalizers"]).iter().any(|one| one == finalizer)
}

/// A time in the object: `2026-11-24T01:39:38Z`, with or without a fraction.
#[must_use]
pub fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// As Kubernetes writes most times (`meta/v1.Time`): whole seconds.
#[must_use]
pub fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// As Kubernetes writes the times of Leases (`meta/v1.MicroTime`).
#[must_use]
pub fn microseconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The entry of `status.conditions` of that type.
#[must_use]
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    items(&object["status"]["conditions"]).iter().find(|condition| condition["type"] == type_)
}

/// Whether that condition is `True`.
#[must_use]
pub fn is_true(object: &Value, type_: &str) -> bool {
    condition(object, type_).is_some_and(|condition| condition["status"] == "True")
}

/// Puts a condition (`type`, `status`, `reason`, `message`, …) into a list of conditions, with `lastTransitionTime` where
/// the status changes. Says whether anything changed.
pub fn set_condition(conditions: &mut Vec<Value>, mut wanted: Value, now: Timestamp) -> bool {
    let Some(found) = conditions.iter_mut().find(|condition| condition["type"] == wanted["type"]) else {
        wanted["lastTransitionTime"] = seconds(now).into();
        conditions.push(wanted);
        return true;
    };
    let mut next = found.clone();
    if let (Some(next), Some(wanted)) = (next.as_object_mut(), wanted.as_object()) {
        next.extend(wanted.clone());
    }
    if next == *found {
        return false;
    }
    if next["status"] != found["status"] {
        next["lastTransitionTime"] = seconds(now).into();
    }
    *found = next;
    true
}

/// The owner that controls it.
#[must_use]
pub fn controller_of(object: &Value) -> Option<&Value> {
    items(&object["metadata"]["ownerReferences"]).iter().find(|owner| owner["controller"] == true)
}

/// Whether the object of that UID controls it.
#[must_use]
pub fn is_controlled_by(object: &Value, uid: &str) -> bool {
    controller_of(object).is_some_and(|owner| owner["uid"] == uid)
}

/// An entry of `metadata.ownerReferences` for an object that this one controls.
#[must_use]
pub fn controlled_by(kind: Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": name_of(owner), "uid": uid_of(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether a pod's containers have all ended for good.
#[must_use]
pub fn is_finished(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether a pod is ready.
#[must_use]
pub fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready")
}

/// Whether a pod counts: not finished, and not on its way out.
#[must_use]
pub fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_deleting(pod)
}

/// Whether a ready pod has been so for `minReadySeconds`.
#[must_use]
pub fn is_available(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> bool {
    available_at(pod, min_ready_seconds).is_some_and(|at| at <= now)
}

/// When a ready pod will have been so for `minReadySeconds`.
#[must_use]
pub fn available_at(pod: &Value, min_ready_seconds: i64) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready["status"] == "True")?;
    if min_ready_seconds == 0 {
        return Some(Timestamp::MIN);
    }
    time(&ready["lastTransitionTime"])?.checked_add(jiff::SignedDuration::from_secs(min_ready_seconds)).ok()
}

/// A count, or a percentage of the total: `maxUnavailable: 25%`. None where it is neither.
#[must_use]
pub fn int_or_percent(value: &Value, total: i64, round_up: bool) -> Option<i64> {
    if let Some(count) = value.as_i64() {
        return Some(count);
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let product = percent.checked_mul(total)?;
    Some(if round_up { product.div_euclid(100) + i64::from(product.rem_euclid(100) > 0) } else { product / 100 })
}

/// Whether a patch would change an object: whether any of its values differs from the object's.
#[must_use]
pub fn would_change(object: &Value, patch: &Value) -> bool {
    match patch {
        Value::Object(fields) => fields.iter().any(|(field, value)| would_change(&object[field.as_str()], value)),
        value => value != object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_as_asked() {
        assert_eq!(int_or_percent(&json!("25%"), 10, true), Some(3));
        assert_eq!(int_or_percent(&json!("25%"), 10, false), Some(2));
        assert_eq!(int_or_percent(&json!(4), 10, true), Some(4));
        assert_eq!(int_or_percent(&json!("four"), 10, true), None);
    }

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut conditions = Vec::new();
        assert!(set_condition(&mut conditions, json!({"type": "Ready", "status": "False"}), at(1)));
        assert!(!set_condition(&mut conditions, json!({"type": "Ready", "status": "False"}), at(2)));
        assert!(set_condition(&mut conditions, json!({"type": "Ready", "status": "False", "reason": "Slow"}), at(3)));
        assert_eq!(conditions[0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
        assert!(set_condition(&mut conditions, json!({"type": "Ready", "status": "True"}), at(4)));
        assert_eq!(conditions[0]["lastTransitionTime"], "1970-01-01T00:00:04Z");
    }

    #[test]
    fn times_are_written_as_kubernetes_does() {
        let time: Timestamp = "2026-11-24T01:39:38.25Z".parse().unwrap();
        assert_eq!(seconds(time), "2026-11-24T01:39:38Z");
        assert_eq!(microseconds(time), "2026-11-24T01:39:38.250000Z");
    }
}
