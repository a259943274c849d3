//! Rows of what makes pods, and of budgets.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, age_of, joined, list, name_of, number, or, text};
use crate::selector::LabelSelector;

/// Names and images of a template's containers.
fn containers(template: &Value) -> [Value; 2] {
    let all = |field: &str| {
        joined(list(&template["spec"]["containers"]).iter().map(|container| text(&container[field]))).into()
    };
    [all("name"), all("image")]
}

fn selector(selector: &Value) -> Value {
    match LabelSelector::from_json(selector) {
        _ if selector.is_null() => "<none>".into(),
        Ok(selector) if selector.is_empty() => "<none>".into(),
        Ok(selector) => selector.to_string().into(),
        Err(_) => "<error>".into(),
    }
}

/// `a=b,c=d`
pub(super) fn labels(labels: &Value) -> Value {
    let labels: Vec<_> =
        labels.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value))).collect();
    if labels.is_empty() { "<none>".into() } else { labels.join(",").into() }
}

fn with_template(mut cells: Vec<Value>, template: &Value, more: Option<Value>) -> Vec<Value> {
    cells.extend(containers(template));
    cells.extend(more);
    cells
}

fn of_desired(ready: &Value, desired: &Value) -> Value {
    format!("{}/{}", ready.as_i64().unwrap_or_default(), desired.as_i64().unwrap_or_default()).into()
}

pub(super) const DEPLOYMENT: &[&str] =
    &["Name:name", "Ready", "Up-to-date", "Available", "Age", "Containers+", "Images+", "Selector+"];

pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let cells = vec![
        name_of(object),
        of_desired(&status["readyReplicas"], &spec["replicas"]),
        number(&status["updatedReplicas"]),
        number(&status["availableReplicas"]),
        age_of(object, now),
    ];
    with_template(cells, &spec["template"], Some(selector(&spec["selector"])))
}

pub(super) const REPLICA_SET: &[&str] =
    &["Name:name", "Desired:integer", "Current:integer", "Ready:integer", "Age", "Containers+", "Images+", "Selector+"];

fn replicas(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let desired = number(&object["spec"]["replicas"]);
    vec![name_of(object), desired, number(&status["replicas"]), number(&status["readyReplicas"]), age_of(object, now)]
}

pub(super) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    with_template(replicas(object, now), &object["spec"]["template"], Some(selector(&object["spec"]["selector"])))
}

pub(super) fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    with_template(replicas(object, now), &object["spec"]["template"], Some(labels(&object["spec"]["selector"])))
}

pub(super) const DAEMON_SET: &[&str] = &[
    "Name:name",
    "Desired:integer",
    "Current:integer",
    "Ready:integer",
    "Up-to-date:integer",
    "Available:integer",
    "Node Selector",
    "Age",
    "Containers+",
    "Images+",
    "Selector+",
];

pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let cells = vec![
        name_of(object),
        number(&status["desiredNumberScheduled"]),
        number(&status["currentNumberScheduled"]),
        number(&status["numberReady"]),
        number(&status["updatedNumberScheduled"]),
        number(&status["numberAvailable"]),
        labels(&spec["template"]["spec"]["nodeSelector"]),
        age_of(object, now),
    ];
    with_template(cells, &spec["template"], Some(selector(&spec["selector"])))
}

pub(super) const STATEFUL_SET: &[&str] = &["Name:name", "Ready", "Age", "Containers+", "Images+"];

pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = of_desired(&object["status"]["readyReplicas"], &object["spec"]["replicas"]);
    with_template(vec![name_of(object), ready, age_of(object, now)], &object["spec"]["template"], None)
}

pub(super) const CONTROLLER_REVISION: &[&str] = &["Name:name", "Controller", "Revision", "Age"];

pub(super) fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let owner = list(&object["metadata"]["ownerReferences"]).iter().find(|owner| owner["controller"] == true);
    let owner = owner.map_or("<none>".to_owned(), |owner| {
        let kind = text(&owner["kind"]).to_lowercase();
        let kind = match text(&owner["apiVersion"]).split_once('/') {
            Some((group, _)) => format!("{kind}.{group}"),
            None => kind,
        };
        format!("{kind}/{}", text(&owner["name"]))
    });
    vec![name_of(object), owner.into(), number(&object["revision"]), age_of(object, now)]
}

pub(super) const JOB: &[&str] =
    &["Name:name", "Status", "Completions", "Duration", "Age", "Containers+", "Images+", "Selector+"];

pub(super) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = status["succeeded"].as_i64().unwrap_or_default();
    let completions = match (spec["completions"].as_i64(), spec["parallelism"].as_i64().unwrap_or_default()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let time = |field: &str| text(&status[field]).parse::<Timestamp>().ok();
    let duration = time("startTime").map(|start| age::since(start, time("completionTime").unwrap_or(now)));
    let has = |of: &str| {
        list(&status["conditions"]).iter().any(|condition| condition["type"] == of && condition["status"] == "True")
    };
    let deleted = !object["metadata"]["deletionTimestamp"].is_null();
    let state = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if deleted => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let cells = vec![
        name_of(object),
        state.into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        age_of(object, now),
    ];
    with_template(cells, &spec["template"], Some(selector(&spec["selector"])))
}

pub(super) const CRON_JOB: &[&str] = &[
    "Name:name",
    "Schedule",
    "Timezone",
    "Suspend:boolean",
    "Active:integer",
    "Last Schedule",
    "Age",
    "Containers+",
    "Images+",
    "Selector+",
];

pub(super) fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let suspended = match spec["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let last = &status["lastScheduleTime"];
    let cells = vec![
        name_of(object),
        text(&spec["schedule"]).into(),
        or(&spec["timeZone"], "<none>").into(),
        suspended.into(),
        list(&status["active"]).len().into(),
        if last.is_null() { json!("<none>") } else { age::of(last, now).into() },
        age_of(object, now),
    ];
    let job = &spec["jobTemplate"]["spec"];
    with_template(cells, &job["template"], Some(selector(&job["selector"])))
}

pub(super) const BUDGET: &[&str] =
    &["Name:name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"];

pub(super) fn budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let limit = |field: &str| match &object["spec"][field] {
        Value::Null => json!("N/A"),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    };
    let allowed = number(&object["status"]["disruptionsAllowed"]);
    vec![name_of(object), limit("minAvailable"), limit("maxUnavailable"), allowed, age_of(object, now)]
}

pub(super) const SCALE: &[&str] = &["Name", "Desired:integer", "Available:integer", "Age"];

pub(super) fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    let replicas = |of: &str| number(&object[of]["replicas"]);
    vec![name_of(object), replicas("spec"), replicas("status"), age_of(object, now)]
}
