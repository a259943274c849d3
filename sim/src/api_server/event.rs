//! Events are kept once and served as two kinds: `v1` and `events.k8s.io/v1`.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/events/v1/conversion.go>

use serde_json::Value;

/// Fields that have another name there: in `v1`, and in `events.k8s.io/v1`.
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn renamed(event: &Value, api_version: &str, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let fields = event.as_object().into_iter().flatten();
    let mut event: Value =
        Value::Object(fields.map(|(field, value)| (name(field).unwrap_or(field).to_owned(), value.clone())).collect());
    event["apiVersion"] = api_version.into();
    event["kind"] = "Event".into();
    event
}

/// As `events.k8s.io/v1`.
pub(super) fn to_events_group(event: &Value) -> Value {
    renamed(event, "events.k8s.io/v1", |field| {
        RENAMED.iter().find(|(core, _)| *core == field).map(|(_, events)| *events)
    })
}

/// As `v1`, which is how Events are kept.
pub(super) fn to_core(event: &Value) -> Value {
    let mut event =
        renamed(event, "v1", |field| RENAMED.iter().find(|(_, events)| *events == field).map(|(core, _)| *core));
    // What a client of the new kind leaves out; a `v1` Event always has it.
    for (field, empty) in [
        ("source", Value::Object(serde_json::Map::new())),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
    ] {
        if let Some(fields) = event.as_object_mut() {
            fields.entry(field).or_insert(empty);
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_kinds_tell_the_same() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "a" },
            "involvedObject": { "kind": "Node", "name": "n" }, "reason": "R", "message": "M", "type": "Normal",
            "source": { "component": "c" }, "count": 2, "firstTimestamp": null, "lastTimestamp": "t",
        });
        let events = to_events_group(&core);
        assert_eq!(events["regarding"]["name"], "n");
        assert_eq!(events["note"], "M");
        assert_eq!(events["deprecatedCount"], 2);
        assert!(events.get("message").is_none());
        assert_eq!(to_core(&events), core);
    }
}
