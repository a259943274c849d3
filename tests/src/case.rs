//! What one case has: its nodes, its namespace, its maintenances. All of their names begin with the case's id.

use std::{
    cell::RefCell,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::LocalBoxFuture};
use kube::{
    api::{DeleteParams, ListParams},
    runtime::watcher::{self, Event, watcher},
};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::{
    audit::Requests,
    kubectl::Output,
    nodes::PLAYED,
    objects::{CLUSTER, Cluster, annotation, condition, conditions, kinds, label, list, name_of, text},
    suite::Suite,
    wait::{self, DRAIN, SOON, check, soon},
};

/// Label on nodes: the case that they belong to.
pub const CASE_LABEL: &str = "careen-test/case";

/// The taint of a maintenance.
pub const DRAIN_TAINT: &str = "medik8s.io/drain";

/// The record of what was done to a node.
pub const RECORD: &str = "careen.dev/record";

/// Namespace of the node Leases.
pub const NODE_LEASES: &str = "medik8s-leases";

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// A few letters that no other case has.
    pub id: String,
    /// Its namespace.
    pub namespace: String,
    /// What it shares with all others.
    pub suite: &'static Suite,
}

/// No case hangs for longer than this.
const LIMIT: Duration = Duration::from_secs(300);

/// What a case does.
pub type Body = fn(Case) -> LocalBoxFuture<'static, ()>;

thread_local! {
    /// The last panic on this thread, with its place.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps panics quiet until the case's report.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| LAST_PANIC.set(panic.to_string())));
}

/// Runs a case, cleans up after it, and says what there is to know when it fails.
pub fn run(suite: &'static Suite, id: String, needs_careen: bool, body: Body) -> Result<(), Failed> {
    let case = Case { namespace: id.clone(), id, suite };
    suite.block_on(async {
        if needs_careen {
            suite.start_careen().await?;
        }
        let attempt = async {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.namespace}});
            case.cluster().create(namespace).await;
            let in_time = tokio::time::timeout(LIMIT, body(case.clone())).await;
            assert!(in_time.is_ok(), "the case hangs: it was not over within {LIMIT:?}");
        };
        let outcome = AssertUnwindSafe(attempt).catch_unwind().await;
        let failure = match outcome {
            Ok(()) => None,
            Err(_) => Some(format!("{}\n\n{}", LAST_PANIC.take(), case.report().await)),
        };
        let left_behind = AssertUnwindSafe(case.clean_up()).catch_unwind().await;
        match (failure, left_behind) {
            (Some(failure), _) => Err(Failed::from(failure)),
            (None, Ok(None)) => Ok(()),
            (None, Ok(Some(left))) => Err(Failed::from(left)),
            (None, Err(_)) => Err(Failed::from(format!("clean-up: {}", LAST_PANIC.take()))),
        }
    })
}

// --- nodes ---

impl Case {
    /// The cluster, as its administrator.
    #[must_use]
    pub fn cluster(&self) -> &'static Cluster {
        &self.suite.cluster
    }

    /// A name of its own.
    #[must_use]
    pub fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.id)
    }

    /// A node of its own that is ready: its name.
    pub async fn node(&self, suffix: &str) -> String {
        self.node_with(suffix, json!({})).await
    }

    /// A node with further fields (a JSON merge patch of it).
    pub async fn node_with(&self, suffix: &str, more: Value) -> String {
        let name = self.name(suffix);
        let mut node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {
                PLAYED: "sim", CASE_LABEL: self.id, "kubernetes.io/hostname": name,
            }},
        });
        merge(&mut node, more);
        self.cluster().create(node).await;
        soon(&format!("node {name} is ready"), async || {
            let node = self.cluster().get(kinds::NODE, CLUSTER, &name).await;
            // What Kubernetes itself adds must be there, or gone, before anybody remembers how the node looked.
            let is_cordoned = node["spec"]["unschedulable"] == json!(true);
            let settled = condition(&node, "Ready") == "True"
                && !has_taint(&node, "node.kubernetes.io/not-ready")
                && has_taint(&node, "node.kubernetes.io/unschedulable") == is_cordoned
                && annotation(&node, "node.alpha.kubernetes.io/ttl").is_some()
                && label(&node, "kubevirt.io/schedulable").is_some();
            check(settled, || format!("{node:#}"))
        })
        .await;
        name
    }

    /// The node as it is.
    pub async fn get_node(&self, name: &str) -> Value {
        self.cluster().get(kinds::NODE, CLUSTER, name).await
    }

    /// What must be the same before a maintenance and after it.
    pub async fn look_of(&self, node: &str) -> NodeLook {
        NodeLook::of(&self.get_node(node).await)
    }

    /// Waits until the node looks as it did and nobody holds it. (After a `kill -9` the next one has to wait for the
    /// leader Lease of the one that died.)
    pub async fn looks_again(&self, node: &str, before: &NodeLook) {
        wait::until(DRAIN, &format!("node {node} is as it was"), async || {
            let now = self.look_of(node).await;
            check(now == *before, || format!("{now:#?}\n instead of\n{before:#?}"))
        })
        .await;
        soon(&format!("nobody holds node {node}"), async || {
            let lease = self.cluster().find(kinds::LEASE, NODE_LEASES, &format!("node-{node}")).await;
            let holder = lease.as_ref().map_or("", |lease| text(lease, "/spec/holderIdentity")).to_owned();
            check(holder.is_empty(), || holder)
        })
        .await;
    }

    /// Waits until the node is cordoned, tainted and has its record.
    pub async fn taken_out(&self, node: &str) -> Value {
        soon(&format!("node {node} is cordoned, tainted and has its record"), async || {
            let found = self.get_node(node).await;
            check(is_taken_out(&found), || format!("{:#?}", NodeLook::of(&found)))?;
            Ok(found)
        })
        .await
    }

    /// For a second nothing is done to the node.
    pub async fn stays_untouched(&self, node: &str, before: &NodeLook) {
        wait::stays(Duration::from_secs(1), &format!("node {node} is left alone"), async || {
            let now = self.look_of(node).await;
            check(now == *before, || format!("{now:#?}\n instead of\n{before:#?}"))
        })
        .await;
    }

    /// Warning Events about the node, by Careen.
    pub async fn warnings_about_node(&self, node: &str) -> Vec<String> {
        let fields = format!("involvedObject.kind=Node,involvedObject.name={node},type=Warning");
        let events = self.cluster().select(kinds::EVENT, CLUSTER, ListParams::default().fields(&fields)).await;
        let by_careen = |event: &&Value| {
            text(event, "/reportingComponent").starts_with("careen")
                || text(event, "/source/component").starts_with("careen")
        };
        let say = |event: &Value| format!("{}: {}", text(event, "/reason"), text(event, "/message"));
        events.iter().filter(by_careen).map(say).collect()
    }
}

/// What must be the same before a maintenance and after it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLook {
    spec: Value,
    labels: Value,
    annotations: Value,
    /// Those that are True or have not been there before.
    conditions: Vec<(String, String)>,
}

impl NodeLook {
    fn of(node: &Value) -> Self {
        let mut spec = node["spec"].clone();
        // When a taint was added is no part of how a node looks; in which order they are is.
        for taint in spec.get_mut("taints").and_then(Value::as_array_mut).into_iter().flatten() {
            taint.as_object_mut().unwrap().remove("timeAdded");
        }
        let conditions = conditions(node)
            .into_iter()
            .map(|(type_, condition)| (type_.to_owned(), text(condition, "/status").to_owned()))
            .collect();
        let metadata = &node["metadata"];
        let mut annotations = metadata["annotations"].clone();
        // KubeVirt renews it every minute.
        annotations.as_object_mut().unwrap().remove("kubevirt.io/heartbeat");
        let mut labels = metadata["labels"].clone();
        // The node lifecycle controller adds them, some time after the node has come.
        labels.as_object_mut().unwrap().retain(|label, _| !label.starts_with("beta.kubernetes.io/"));
        Self { spec, labels, annotations, conditions }
    }
}

/// Whether it is cordoned, tainted and has a record.
#[must_use]
pub fn is_taken_out(node: &Value) -> bool {
    node["spec"]["unschedulable"] == json!(true) && has_taint(node, DRAIN_TAINT) && annotation(node, RECORD).is_some()
}

/// Whether it has a taint with that key.
#[must_use]
pub fn has_taint(node: &Value, key: &str) -> bool {
    list(node, "/spec/taints").iter().any(|taint| text(taint, "/key") == key)
}

/// The record on a node.
#[must_use]
pub fn record_of(node: &Value) -> Value {
    let record = annotation(node, RECORD).unwrap_or_else(|| panic!("{} has no record", name_of(node)));
    serde_json::from_str(record).unwrap_or_else(|error| panic!("{error}: {record}"))
}

// --- maintenances ---

impl Case {
    /// The well-known manifest, with its name and node.
    #[must_use]
    pub fn manifest(&self, name: &str, node: &str) -> Value {
        json!({
            "apiVersion": "nodemaintenance.kubevirt.io/v1beta1", "kind": "NodeMaintenance",
            "metadata": {"name": name}, "spec": {"nodeName": node, "reason": "Replacing it"},
        })
    }

    /// `kubectl apply -f -`.
    pub async fn apply(&self, manifest: &Value) -> Output {
        self.kubectl(&["apply", "-f", "-"], &manifest.to_string()).await
    }

    /// Applies the well-known manifest for that node: the maintenance's name.
    pub async fn maintain(&self, node: &str) -> String {
        self.maintain_with(node, json!({})).await
    }

    /// With further fields of the spec.
    pub async fn maintain_with(&self, node: &str, spec: Value) -> String {
        let name = format!("{node}-maintenance");
        let mut manifest = self.manifest(&name, node);
        merge(&mut manifest["spec"], spec);
        let _ = self.apply(&manifest).await.ok();
        name
    }

    /// The maintenance as it is.
    pub async fn maintenance(&self, name: &str) -> Value {
        self.cluster().get(kinds::MAINTENANCE, CLUSTER, name).await
    }

    /// Waits until a condition of the maintenance has that status: the maintenance.
    pub async fn until_condition(&self, name: &str, type_: &str, status: &str) -> Value {
        self.until_maintenance(name, &format!("{type_} is {status}"), |found| condition(found, type_) == status).await
    }

    /// Waits until it is so: the maintenance.
    pub async fn until_maintenance(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait::until(DRAIN, &format!("maintenance {name}: {what}"), async || {
            let found = self.maintenance(name).await;
            if is_so(&found) { Ok(found) } else { Err(summary(&found)) }
        })
        .await
    }

    /// Waits until the node is drained: the maintenance.
    pub async fn drained(&self, name: &str) -> Value {
        let found = self.until_condition(name, "Drained", "True").await;
        assert_eq!(text(&found, "/status/phase"), "Succeeded", "{}", summary(&found));
        found
    }

    /// Waits until the maintenance is refused: reason and sentence. Nothing of Careen's is on the object.
    pub async fn refused(&self, name: &str) -> Refusal {
        let found = self.until_condition(name, "Accepted", "False").await;
        assert_eq!(text(&found, "/status/phase"), "Failed", "{}", summary(&found));
        assert_eq!(list(&found, "/metadata/finalizers"), [] as [Value; 0], "a refused maintenance needs no finalizer");
        let accepted = conditions(&found)["Accepted"];
        Refusal { reason: text(accepted, "/reason").to_owned(), message: text(accepted, "/message").to_owned() }
    }

    /// `kubectl delete nm`, which waits until it is gone.
    pub async fn delete_maintenance(&self, name: &str) {
        let _ = self.kubectl(&["delete", "nm", name, "--timeout=45s"], "").await.ok();
    }

    /// Records what the maintenance's status was, from now on.
    #[must_use]
    pub fn history(&self, name: &str) -> History {
        let changes = Arc::<Mutex<Vec<(Instant, Value)>>>::default();
        let fields = format!("metadata.name={name}");
        let events =
            watcher(self.cluster().api(kinds::MAINTENANCE, CLUSTER), watcher::Config::default().fields(&fields));
        let seen = changes.clone();
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                    let status = serde_json::to_value(object).unwrap()["status"].take();
                    let mut seen = seen.lock().unwrap();
                    if seen.last().is_none_or(|(_, last)| *last != status) {
                        seen.push((Instant::now(), status));
                    }
                }
            }
        });
        History { changes, task: task.abort_handle() }
    }

    /// kubectl, as the administrator.
    pub async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        self.suite.kubectl(arguments, stdin).await
    }
}

/// Why a maintenance was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What a maintenance's status was, one entry for each change.
#[derive(Debug)]
pub struct History {
    changes: Arc<Mutex<Vec<(Instant, Value)>>>,
    task: AbortHandle,
}

impl History {
    /// All of them, in their order.
    #[must_use]
    pub fn statuses(&self) -> Vec<Value> {
        self.changes.lock().unwrap().iter().map(|(_, status)| status.clone()).collect()
    }

    /// In how many of the seconds since then the status changed.
    #[must_use]
    pub fn seconds_with_changes(&self, since: Instant) -> usize {
        let changes = self.changes.lock().unwrap();
        let mut seconds: Vec<u64> =
            changes.iter().map(|(when, _)| when.saturating_duration_since(since).as_secs()).collect();
        seconds.dedup();
        seconds.len()
    }

    /// The condition was never True.
    pub fn assert_never(&self, type_: &str) {
        for status in self.statuses() {
            let object = json!({"status": status});
            assert_ne!(condition(&object, type_), "True", "{}", summary(&object));
        }
    }

    /// Whether a workload was ever blocked for that reason.
    #[must_use]
    pub fn blocked_for(&self, reason: &str) -> bool {
        self.statuses()
            .iter()
            .any(|status| list(status, "/blocking").iter().any(|blocking| text(blocking, "/reason") == reason))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a maintenance says, in a few lines.
#[must_use]
pub fn summary(maintenance: &Value) -> String {
    use std::fmt::Write;
    let status = &maintenance["status"];
    let mut said = format!(
        "phase {}, progress {}, blocked {}, lastError {}",
        status["phase"], status["drainProgress"], status["blocked"], status["lastError"]
    );
    for (type_, condition) in conditions(maintenance) {
        let (reason, message) = (text(condition, "/reason"), text(condition, "/message"));
        write!(said, "\n  {type_}={} {reason}: {message}", text(condition, "/status")).unwrap();
    }
    for blocking in list(status, "/blocking") {
        write!(said, "\n  blocked: {blocking}").unwrap();
    }
    said
}

/// The entry of `status.blocking` about that workload.
#[must_use]
pub fn blocking<'a>(maintenance: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    list(maintenance, "/status/blocking")
        .iter()
        .find(|entry| text(entry, "/kind") == kind && text(entry, "/name") == name)
}

// --- requests ---

impl Case {
    /// The evictions that Careen asked for in this case's namespace.
    #[must_use]
    pub fn evictions(&self) -> crate::audit::Evictions {
        let audit = self.suite.audit();
        audit.since(audit.beginning()).evictions(|object| object.namespace == self.namespace)
    }

    /// Everything that Careen wrote about this case.
    #[must_use]
    pub fn writes(&self) -> Requests {
        let audit = self.suite.audit();
        let id = format!("{}-", self.id);
        audit.since(audit.beginning()).of_careen().that(|request| {
            request.is_write()
                && (request.object.namespace == self.namespace
                    || request.object.name.starts_with(&id)
                    || request.object.name.starts_with(&format!("node-{id}")))
        })
    }
}

// --- the end of a case ---

impl Case {
    /// What there is to know about a failure.
    async fn report(&self) -> String {
        let label = format!("{CASE_LABEL}={}", self.id);
        let mine = |text: &str, last: usize| {
            let lines: Vec<&str> = text.lines().filter(|line| line.contains(&self.id)).collect();
            lines[lines.len().saturating_sub(last)..].join("\n")
        };
        let maintenances = self.cluster().list(kinds::MAINTENANCE, CLUSTER).await;
        let maintenances: Vec<String> = maintenances
            .iter()
            .filter(|found| self.is_mine(found))
            .map(|found| format!("{}: {}", name_of(found), summary(found)))
            .collect();
        let maintenances = maintenances.join("\n");
        let nodes = self.kubectl(&["get", "nodes", "-l", &label, "-o", "yaml"], "").await.stdout;
        let objects = "pods,pdb,vm,vmi,vmim";
        let objects = self.kubectl(&["get", objects, "-n", &self.namespace, "-o", "wide"], "").await.stdout;
        let events = self.kubectl(&["get", "events", "-A", "--sort-by=.lastTimestamp"], "").await.stdout;
        let log = std::fs::read_to_string(self.suite.log()).unwrap_or_default();
        format!(
            "=== maintenances\n{maintenances}\n=== nodes\n{nodes}\n=== objects\n{objects}\n=== events\n{}\n\
             === Careen's writes\n{}\n=== Careen's log ({})\n{}",
            mine(&events, 40),
            mine(&self.writes().to_string(), 60),
            self.suite.log().display(),
            mine(&log, 60),
        )
    }

    fn is_mine(&self, maintenance: &Value) -> bool {
        let prefix = format!("{}-", self.id);
        name_of(maintenance).starts_with(&prefix) || text(maintenance, "/spec/nodeName").starts_with(&prefix)
    }

    /// Removes what the case made. What Careen did not let go is a failure of its own.
    async fn clean_up(&self) -> Option<String> {
        let cluster = self.cluster();
        let mut left = None;
        let maintenances = cluster.list(kinds::MAINTENANCE, CLUSTER).await;
        let mine: Vec<&str> = maintenances.iter().filter(|found| self.is_mine(found)).map(name_of).collect();
        for name in &mine {
            cluster.delete(kinds::MAINTENANCE, CLUSTER, name).await;
        }
        for name in mine {
            let started = Instant::now();
            while cluster.find(kinds::MAINTENANCE, CLUSTER, name).await.is_some() {
                if started.elapsed() > SOON {
                    left = Some(format!("maintenance {name} was deleted and did not go within {SOON:?}"));
                    let finalizers = json!({"metadata": {"finalizers": null}});
                    cluster.try_merge(kinds::MAINTENANCE, CLUSTER, name, &finalizers).await.ok();
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        self.remove_roles().await;
        self.suite.kubevirt.remove_from(&self.namespace).await;
        cluster.delete(kinds::NAMESPACE, CLUSTER, &self.namespace).await;
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let pods = cluster.api(kinds::POD, &self.namespace);
        pods.delete_collection(&now, &ListParams::default()).await.ok();
        let nodes = ListParams::default().labels(&format!("{CASE_LABEL}={}", self.id));
        for node in cluster.select(kinds::NODE, CLUSTER, nodes).await {
            cluster.delete(kinds::NODE, CLUSTER, name_of(&node)).await;
        }
        left
    }
}

/// A JSON merge patch, done here.
pub fn merge(object: &mut Value, patch: Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    object.remove(&key);
                } else {
                    merge(object.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (object, patch) => *object = patch,
    }
}
