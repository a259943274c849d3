//! Reading objects that are plain JSON, and saying what has changed in them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use crate::actors::object::{
    annotation, condition, controlled_by, has_finalizer, is_controlled_by, is_deleting, label, name_of, namespace_of,
    uid_of,
};
use crate::actors::{
    actor::Write,
    object::seconds,
    view::{Kind, key_of},
};

/// The text at that JSON pointer; empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items at that JSON pointer.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn phase(object: &Value) -> &str {
    text(object, "/status/phase")
}

/// Whether a VMI, a migration or a pod has come to its end.
pub fn is_final(object: &Value) -> bool {
    matches!(phase(object), "Succeeded" | "Failed")
}

pub fn add_finalizer(object: &mut Value, finalizer: &str) {
    if !has_finalizer(object, finalizer) {
        let mut finalizers = list(object, "/metadata/finalizers").to_vec();
        finalizers.push(finalizer.into());
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

pub fn remove_finalizer(object: &mut Value, finalizer: &str) {
    if has_finalizer(object, finalizer) {
        let mut finalizers = list(object, "/metadata/finalizers").to_vec();
        finalizers.retain(|found| found != finalizer);
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

// --- conditions ---

pub fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == status)
}

/// Sets a condition, and its times if it has changed. Of `wanted`, an empty reason or message is left out.
pub fn set_condition(object: &mut Value, wanted: [&str; 4], now: Timestamp) {
    let [kind, status, reason, message] = wanted;
    let same = |found: &Value| {
        found["status"] == status && text(found, "/reason") == reason && text(found, "/message") == message
    };
    if condition(object, kind).is_some_and(same) {
        return;
    }
    let mut made = json!({"type": kind, "status": status, "lastProbeTime": time(now), "lastTransitionTime": time(now)});
    if !reason.is_empty() {
        made["reason"] = reason.into();
    }
    if !message.is_empty() {
        made["message"] = message.into();
    }
    let mut conditions = list(object, "/status/conditions").to_vec();
    match conditions.iter_mut().find(|found| found["type"] == kind) {
        Some(found) => *found = made,
        None => conditions.push(made),
    }
    object["status"]["conditions"] = conditions.into();
}

pub fn remove_condition(object: &mut Value, kind: &str) {
    if condition(object, kind).is_some() {
        let mut conditions = list(object, "/status/conditions").to_vec();
        conditions.retain(|found| found["type"] != kind);
        object["status"]["conditions"] = conditions.into();
    }
}

// --- phases ---

/// Takes a VMI or a migration to another phase, and notes when.
pub fn set_phase(object: &mut Value, phase: &str, now: Timestamp) {
    if text(object, "/status/phase") == phase {
        return;
    }
    let mut times = list(object, "/status/phaseTransitionTimestamps").to_vec();
    times.push(json!({"phase": phase, "phaseTransitionTimestamp": time(now)}));
    object["status"]["phase"] = phase.into();
    object["status"]["phaseTransitionTimestamps"] = times.into();
}

/// When a VMI or a migration came to that phase.
pub fn since_phase(object: &Value, phase: &str) -> Option<Timestamp> {
    let times = list(object, "/status/phaseTransitionTimestamps");
    let found = times.iter().rev().find(|time| time["phase"] == phase)?;
    text(found, "/phaseTransitionTimestamp").parse().ok()
}

/// A time as Kubernetes writes it: whole seconds.
pub fn time(now: Timestamp) -> Value {
    seconds(now).into()
}

// --- names and writes ---

/// Five characters as Kubernetes appends them to a generateName, always the same for a seed: a create that is repeated,
/// because its object was not yet seen, is refused as a repeat.
pub fn suffix(seed: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a.
    let mut hash = seed
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut letters = String::new();
    for _ in 0..5 {
        // Its high bits are the better mixed ones.
        let index = usize::try_from((hash >> 33) % ALPHABET.len() as u64).unwrap_or_default();
        letters.push(char::from(ALPHABET[index]));
        hash = hash.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
    }
    letters
}

/// The patch that turns one object into the other, if they differ; it is refused if somebody else was faster. With a
/// subresource, only the part of that name counts.
pub fn change(kind: Kind, subresource: Option<&'static str>, old: &Value, new: &Value) -> Option<Write> {
    let mut patch = match subresource {
        None => difference(old, new)?,
        Some(part) => json!({part: difference(&old[part], &new[part])?}),
    };
    patch["metadata"]["uid"] = uid_of(old).into();
    patch["metadata"]["resourceVersion"] = text(old, "/metadata/resourceVersion").into();
    Some(Write::Patch { kind, key: key_of(old), subresource, patch })
}

/// A deletion of exactly this object.
pub fn delete(kind: Kind, object: &Value) -> Write {
    Write::Delete { kind, key: key_of(object), uid: uid_of(object).to_owned(), grace_seconds: None }
}

/// The JSON merge patch from one value to another.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let mut patch = Map::new();
    for (key, value) in new {
        if let Some(changed) = difference(old.get(key).unwrap_or(&Value::Null), value) {
            patch.insert(key.clone(), changed);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    // Nulls in the new object say nothing that a missing key would not.
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Takes a key out of an object, if both are there.
pub fn take(object: &mut Value, pointer: &str, key: &str) {
    if let Some(map) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}
