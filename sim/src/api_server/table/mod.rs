//! What `kubectl get` prints: `meta.k8s.io/v1` Tables, with the columns of a real API server.
//! `pkg/printers/internalversion/printers.go`
//!
//! | module | holds |
//! |---|---|
//! | [`age`] | how long ago |
//! | `pods`, `cluster`, `workloads`, `others` | the rows of the built-in kinds |

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::resource_type::{Definition, ResourceType};

pub mod age;
mod cluster;
mod others;
mod pods;
mod workloads;

/// How much of each object a row carries: `?includeObject=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All.
    Object,
}

/// A column of a built-in kind. Its name; `:integer` and the like if it is no text, and `+` if only `-o wide` shows it.
type ColumnText = &'static str;
/// A row: the object, and the present.
type Row = fn(&Value, Timestamp) -> Vec<Value>;
/// A row of one kind, at the present.
type Cells<'a> = Box<dyn Fn(&Value) -> Vec<Value> + 'a>;

/// A table of these objects.
#[must_use]
pub fn table<'a>(
    resource: &ResourceType,
    objects: impl IntoIterator<Item = &'a Value>,
    include: IncludeObject,
    now: Timestamp,
) -> Value {
    let (columns, cells): (Vec<Value>, Cells<'_>) = match &resource.definition {
        Definition::Custom(definition) => {
            let mut columns = vec![column("Name", "string", "name", NAME, 0)];
            columns.extend(definition.columns.iter().map(|of| {
                json!({
                    "name": of.name, "type": of.of, "format": of.format, "description": of.description, "priority": of.priority,
                })
            }));
            let cells = move |object: &Value| {
                let shown = definition.columns.iter().map(|column| column.cell(object, now));
                std::iter::once(object["metadata"]["name"].clone()).chain(shown).collect()
            };
            (columns, Box::new(cells))
        }
        Definition::Builtin => {
            let (columns, row) = builtin(resource);
            (columns.iter().map(|text| read_column(text)).collect(), Box::new(move |object: &Value| row(object, now)))
        }
    };
    let rows: Vec<_> = objects.into_iter().map(|object| row(object, cells(object), include, resource)).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": columns, "rows": rows})
}

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may \
                    allow a client to request the generation of an appropriate name automatically. Name is primarily intended \
                    for creation idempotence and configuration definition. Cannot be updated. More info: \
                    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

fn row(object: &Value, cells: Vec<Value>, include: IncludeObject, resource: &ResourceType) -> Value {
    let mut row = Map::new();
    row.insert("cells".to_owned(), cells.into());
    if (resource.group.as_ref(), resource.kind.as_ref()) == ("", "Pod")
        && let Some((reason, message)) = pods::finished(object)
    {
        let condition = json!({"type": "Completed", "status": "True", "reason": reason, "message": message});
        row.insert("conditions".to_owned(), json!([condition]));
    }
    let shown = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
        IncludeObject::Object => object.clone(),
    };
    row.insert("object".to_owned(), shown);
    row.into()
}

fn column(name: &str, of: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": of, "format": format, "description": description, "priority": priority})
}

fn read_column(text: &str) -> Value {
    let (text, priority) = text.strip_suffix('+').map_or((text, 0), |text| (text, 1));
    let (name, of) = text.split_once(':').unwrap_or((text, "string"));
    let (of, format) = if of == "name" { ("string", "name") } else { (of, "") };
    let description = if name == "Name" { NAME } else { "" };
    column(name, of, format, description, priority)
}

/// The columns of a built-in kind, and how a row of it is made. What has no printer has a name and a time.
fn builtin(resource: &ResourceType) -> (&'static [ColumnText], Row) {
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Pod") => (pods::COLUMNS, pods::row),
        ("", "Node") => (cluster::NODE, cluster::node),
        ("", "Namespace") => (cluster::NAMESPACE, cluster::namespace),
        ("" | "events.k8s.io", "Event") => (cluster::EVENT, cluster::event),
        ("apps", "Deployment") => (workloads::DEPLOYMENT, workloads::deployment),
        ("apps", "ReplicaSet") => (workloads::REPLICA_SET, workloads::replica_set),
        ("", "ReplicationController") => (workloads::REPLICA_SET, workloads::replication_controller),
        ("apps", "DaemonSet") => (workloads::DAEMON_SET, workloads::daemon_set),
        ("apps", "StatefulSet") => (workloads::STATEFUL_SET, workloads::stateful_set),
        ("apps", "ControllerRevision") => (workloads::CONTROLLER_REVISION, workloads::controller_revision),
        ("batch", "Job") => (workloads::JOB, workloads::job),
        ("batch", "CronJob") => (workloads::CRON_JOB, workloads::cron_job),
        ("policy", "PodDisruptionBudget") => (workloads::BUDGET, workloads::budget),
        ("autoscaling", "Scale") => (workloads::SCALE, workloads::scale),
        ("", "Service") => (others::SERVICE, others::service),
        ("", "ConfigMap") => (others::CONFIG_MAP, others::config_map),
        ("", "Secret") => (others::SECRET, others::secret),
        ("", "ServiceAccount") => (others::SERVICE_ACCOUNT, others::service_account),
        ("", "PersistentVolume") => (others::VOLUME, others::volume),
        ("", "PersistentVolumeClaim") => (others::CLAIM, others::claim),
        ("coordination.k8s.io", "Lease") => (others::LEASE, others::lease),
        ("scheduling.k8s.io", "PriorityClass") => (others::PRIORITY_CLASS, others::priority_class),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => (others::BINDING, others::binding),
        ("storage.k8s.io", "StorageClass") => (others::STORAGE_CLASS, others::storage_class),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            (others::WEBHOOKS, others::webhooks)
        }
        _ => (&["Name:name", "Created At:date"], others::name_and_time),
    }
}

/// A number that is 0 if it is not said.
fn number(value: &Value) -> Value {
    value.as_i64().unwrap_or_default().into()
}

/// A text that is empty if it is not said.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn or<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn age_of(object: &Value, now: Timestamp) -> Value {
    age::of(&object["metadata"]["creationTimestamp"], now).into()
}

fn name_of(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

fn joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_server::schema::fixtures::resource;

    fn cells(group: &str, kind: &str, object: &Value) -> Vec<Value> {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let table = table(&resource(group, kind), [object], IncludeObject::None, now);
        let row = table["rows"][0]["cells"].as_array().unwrap().clone();
        assert_eq!(row.len(), table["columnDefinitions"].as_array().unwrap().len(), "{kind}");
        row
    }

    #[test]
    fn every_kind_has_as_many_cells_as_columns() {
        for (group, _, kind) in super::super::schema::types::TYPES.kinds() {
            cells(group, kind, &json!({"metadata": {"name": "a"}}));
        }
    }

    #[test]
    fn rows_say_what_kubectl_shows() {
        let metadata = json!({"name": "a", "creationTimestamp": "2026-01-01T00:55:00Z"});
        let node = json!({
            "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:55:00Z", "labels": {
                "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "",
            }},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.37.2"}},
        });
        let expected = json!([
            "n",
            "Ready,SchedulingDisabled",
            "control-plane,worker",
            "5m",
            "v1.37.2",
            "<none>",
            "<none>",
            "<unknown>",
            "<unknown>",
            "<unknown>",
        ]);
        assert_eq!(json!(cells("", "Node", &node)), expected);
        let budget =
            json!({"metadata": metadata, "spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}});
        assert_eq!(json!(cells("policy", "PodDisruptionBudget", &budget)), json!(["a", "50%", "N/A", 1, "5m"]));
        let event = json!({
            "metadata": metadata, "type": "Normal", "reason": "Drained", "message": " m\n", "eventTime": "2026-01-01T00:59:58.5Z",
            "involvedObject": {"kind": "Node", "name": "n"}, "reportingComponent": "careen", "reportingInstance": "i",
        });
        let expected = json!(["1s", "Normal", "Drained", "node/n", "", "careen, i", "m", "1s", 1, "a"]);
        assert_eq!(json!(cells("", "Event", &event)), expected);
        let role = json!({"metadata": metadata});
        let expected = json!(["a", "2026-01-01T00:55:00Z"]);
        assert_eq!(json!(cells("rbac.authorization.k8s.io", "Role", &role)), expected);
        let job = json!({
            "metadata": metadata, "spec": {"completions": 1}, "status": {"succeeded": 1, "startTime": "2026-01-01T00:55:00Z",
            "completionTime": "2026-01-01T00:55:07Z", "conditions": [{"type": "Complete", "status": "True"}]},
        });
        assert_eq!(json!(cells("batch", "Job", &job)[..5]), json!(["a", "Complete", "1/1", "7s", "5m"]));
    }

    #[test]
    fn the_state_of_a_pod_is_said_as_people_know_it() {
        let running = json!({"name": "c", "ready": true, "state": {"running": {}}, "restartCount": 0});
        let pod = |status: Value, deleted: bool| {
            let mut pod = json!({
                "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status,
                "spec": {"nodeName": "n", "containers": [{"name": "c"}], "initContainers": [{"name": "i"}]},
            });
            if deleted {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:30Z");
            }
            json!(cells("", "Pod", &pod)[1..4])
        };
        let waiting = |reason: &str| {
            json!({"name": "c", "state": {"waiting": {"reason": reason}}, "restartCount": 2,
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:58:00Z"}}})
        };
        let done = json!({"name": "c", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let failed = json!({"name": "c", "state": {"terminated": {"exitCode": 3}}});
        for (status, deleted, expected) in [
            (json!({"phase": "Pending"}), false, json!(["0/1", "Pending", "0"])),
            (json!({"phase": "Running", "containerStatuses": [running]}), false, json!(["1/1", "Running", "0"])),
            (json!({"phase": "Running", "containerStatuses": [running]}), true, json!(["1/1", "Terminating", "0"])),
            (json!({"phase": "Succeeded", "containerStatuses": [done]}), false, json!(["0/1", "Completed", "0"])),
            (json!({"phase": "Succeeded", "containerStatuses": [done]}), true, json!(["0/1", "Completed", "0"])),
            (json!({"phase": "Failed", "containerStatuses": [failed]}), false, json!(["0/1", "ExitCode:3", "0"])),
            (json!({"phase": "Failed", "reason": "Evicted"}), false, json!(["0/1", "Evicted", "0"])),
            (
                json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}),
                false,
                json!(["0/1", "CrashLoopBackOff", "2 (2m ago)"]),
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
                false,
                json!(["0/1", "Init:0/1", "0"]),
            ),
            (json!({"phase": "Running", "reason": "NodeLost"}), true, json!(["0/1", "Unknown", "0"])),
        ] {
            assert_eq!(pod(status.clone(), deleted), expected, "{status}");
        }
    }
}
