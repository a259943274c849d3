//! Plays virt-controller, virt-handler and the kubelet of launcher pods: starts VMs, ends them, migrates them.
//!
//! It looks at everything ten times a second, in watch caches, and takes each VM one step further.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use futures::StreamExt;
use kube::{
    api::DynamicObject,
    runtime::{
        reflector::{self, Store},
        watcher::{self, watcher},
    },
};
use serde_json::{Value, json};

use super::{
    CREATED_BY, DOMAIN, EVACUATES, FAIL, HOLD, MIGRATION_FINALIZER, MIGRATION_NAME, NOT_MIGRATABLE, VMI_FINALIZER,
    has_finalizer, is_finished, is_launcher_of,
};
use crate::nodes::LEFT_ALONE;
use crate::objects::{CLUSTER, Cluster, Kind, annotation, kinds, label, name_of, text, uid_of};

/// How often it looks.
const TICK: Duration = Duration::from_millis(100);

/// How long a phase of a migration takes.
const PHASE: Duration = Duration::from_millis(200);

/// How long a VM takes to shut down.
const SHUT_DOWN: Duration = Duration::from_millis(500);

/// How long a new migration waits after one that failed (KubeVirt: 20 s, then twice as long each time).
const BACK_OFF: Duration = Duration::from_secs(3);

pub(super) fn start(cluster: Cluster) {
    tokio::spawn(async move {
        let mut actor = Actor {
            vms: follow(&cluster, kinds::VM, ""),
            vmis: follow(&cluster, kinds::VMI, ""),
            migrations: follow(&cluster, kinds::MIGRATION, ""),
            launchers: follow(&cluster, kinds::POD, "kubevirt.io=virt-launcher"),
            cluster,
            launched: HashSet::new(),
            started: HashSet::new(),
            ending: HashMap::new(),
            moves: HashMap::new(),
            not_before: HashMap::new(),
            failures: HashMap::new(),
            fresh: HashMap::new(),
            names: 0,
        };
        loop {
            actor.tick().await;
            tokio::time::sleep(TICK).await;
        }
    });
}

/// A new VMI, as KubeVirt makes it.
pub(super) fn instance_of(
    namespace: &str,
    name: &str,
    mut annotations: Value,
    spec: &Value,
    owner: Option<&Value>,
) -> Value {
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|_, value| !value.is_null());
    }
    let owners: Vec<Value> = owner.map(|vm| owner_reference(vm, "VirtualMachine")).into_iter().collect();
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {
            "name": name, "namespace": namespace, "annotations": annotations, "ownerReferences": owners,
            "finalizers": [VMI_FINALIZER],
        },
        "spec": spec, "status": {"phase": "Pending"},
    })
}

fn owner_reference(owner: &Value, kind: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": kind, "name": name_of(owner), "uid": uid_of(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

struct Actor {
    cluster: Cluster,
    vms: Store<DynamicObject>,
    vmis: Store<DynamicObject>,
    migrations: Store<DynamicObject>,
    launchers: Store<DynamicObject>,
    /// UIDs of VMIs that have got their first launcher pod.
    launched: HashSet<String>,
    /// UIDs of VMIs that have run.
    started: HashSet<String>,
    /// UIDs of VMIs that shut down, and when they are done.
    ending: HashMap<String, Instant>,
    /// Migrations that go on, by the VMI's UID.
    moves: HashMap<String, Move>,
    /// When a VMI may be migrated again, by UID.
    not_before: HashMap<String, Instant>,
    /// How many migrations of a VMI have failed, by UID.
    failures: HashMap<String, u32>,
    /// The least resourceVersion of a VMI that is not out of date, by UID.
    fresh: HashMap<String, u64>,
    names: u32,
}

/// A migration that goes on.
struct Move {
    name: String,
    uid: String,
    phase: Phase,
    next: Instant,
    source_node: String,
    source_pod: String,
    target_pod: Option<String>,
    target_node: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    None,
    Pending,
    Scheduling,
    Scheduled,
    PreparingTarget,
    TargetReady,
    Running,
}

impl Phase {
    fn next(self) -> Option<Self> {
        Some(match self {
            Self::None => Self::Pending,
            Self::Pending => Self::Scheduling,
            Self::Scheduling => Self::Scheduled,
            Self::Scheduled => Self::PreparingTarget,
            Self::PreparingTarget => Self::TargetReady,
            Self::TargetReady => Self::Running,
            Self::Running => return None,
        })
    }
}

type Done = Result<(), kube::Error>;

impl Actor {
    async fn tick(&mut self) {
        for vm in all(&self.vms) {
            report(&vm, self.keep_running(&vm).await);
        }
        for vmi in all(&self.vmis) {
            let version: u64 = text(&vmi, "/metadata/resourceVersion").parse().unwrap_or(0);
            // What this actor has just written has not come back yet.
            if self.fresh.get(uid_of(&vmi)).is_some_and(|fresh| version < *fresh) {
                continue;
            }
            report(&vmi, self.step(&vmi).await);
        }
        self.bury_launchers().await;
    }

    /// A VM that always runs has a VMI.
    async fn keep_running(&mut self, vm: &Value) -> Done {
        let namespace = text(vm, "/metadata/namespace");
        let has_instance = all(&self.vmis).iter().any(|vmi| is_at(vmi, namespace, name_of(vm)));
        let is_wanted = text(vm, "/spec/runStrategy") == "Always" && vm["metadata"]["deletionTimestamp"].is_null();
        if has_instance || !is_wanted {
            return Ok(());
        }
        let template = &vm["spec"]["template"];
        let annotations = template["metadata"]["annotations"].clone();
        let instance = instance_of(namespace, name_of(vm), annotations, &template["spec"], Some(vm));
        self.cluster.try_create(instance).await.map(|_| ())
    }

    async fn step(&mut self, vmi: &Value) -> Done {
        let uid = uid_of(vmi).to_owned();
        let launchers: Vec<Value> = all(&self.launchers).into_iter().filter(|pod| is_launcher_of(pod, vmi)).collect();
        if !self.launched.contains(&uid) {
            if vmi["metadata"]["deletionTimestamp"].is_null() {
                self.launch(vmi).await?;
                self.launched.insert(uid);
            } else {
                self.finish(vmi).await?;
            }
            return Ok(());
        }
        for pod in &launchers {
            self.play_kubelet(pod).await?;
        }
        if !self.started.contains(&uid) {
            return self.become_running(vmi, &launchers).await;
        }
        if Self::must_end(vmi, &launchers) {
            return self.shut_down(vmi, &launchers).await;
        }
        self.migrate(vmi, &launchers).await
    }

    // --- start and end ---

    async fn launch(&mut self, vmi: &Value) -> Done {
        let pod = self.launcher_of(vmi, None);
        self.cluster.try_create(pod).await.map(|_| ())
    }

    fn launcher_of(&mut self, vmi: &Value, migration: Option<&Move>) -> Value {
        let name = self.name(&format!("virt-launcher-{}", name_of(vmi)));
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": vmi["metadata"]["namespace"],
                "labels": {
                    "kubevirt.io": "virt-launcher", CREATED_BY: uid_of(vmi), "vm.kubevirt.io/name": name_of(vmi),
                },
                "annotations": {
                    DOMAIN: name_of(vmi), "kubectl.kubernetes.io/default-container": "compute",
                    "descheduler.alpha.kubernetes.io/request-evict-only": "",
                    LEFT_ALONE: "true",
                },
                "ownerReferences": [owner_reference(vmi, "VirtualMachineInstance")],
            },
            "spec": {
                "nodeSelector": vmi["spec"]["nodeSelector"], "terminationGracePeriodSeconds": 45,
                "restartPolicy": "Never",
                "containers": [{
                    "name": "compute", "image": "virt-launcher",
                    "volumeMounts": [{"name": "private", "mountPath": "/var/run/kubevirt-private"}],
                }],
                "volumes": [{"name": "private", "emptyDir": {}}],
            },
        });
        if let Some(migration) = migration {
            pod["metadata"]["annotations"][MIGRATION_NAME] = json!(migration.name);
            pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = json!(migration.uid);
            pod["metadata"]["labels"]["kubevirt.io/nodeName"] = json!(migration.source_node);
            let elsewhere = json!([{
                "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": [migration.source_node]}],
            }]);
            pod["spec"]["affinity"] = json!({
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": elsewhere}},
            });
        }
        pod
    }

    /// A launcher pod that the scheduler has bound runs.
    async fn play_kubelet(&self, pod: &Value) -> Done {
        let is_bound = !text(pod, "/spec/nodeName").is_empty();
        if is_bound && text(pod, "/status/phase") == "Pending" && pod["metadata"]["deletionTimestamp"].is_null() {
            self.pod_becomes(pod, "Running").await?;
        }
        Ok(())
    }

    async fn pod_becomes(&self, pod: &Value, phase: &str) -> Done {
        let ready = if phase == "Running" { "True" } else { "False" };
        let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        let namespace = text(pod, "/metadata/namespace");
        self.cluster.try_merge_status(kinds::POD, namespace, name_of(pod), &status).await.map(|_| ())
    }

    async fn become_running(&mut self, vmi: &Value, launchers: &[Value]) -> Done {
        if !vmi["metadata"]["deletionTimestamp"].is_null() {
            return self.shut_down(vmi, launchers).await;
        }
        let Some(pod) = launchers.iter().find(|pod| text(pod, "/status/phase") == "Running") else { return Ok(()) };
        let migratable = match annotation(vmi, NOT_MIGRATABLE) {
            None => json!({"type": "LiveMigratable", "status": "True"}),
            Some(reason) => json!({
                "type": "LiveMigratable", "status": "False", "reason": reason,
                "message": "cannot migrate VMI: PVC disk0 is not shared",
            }),
        };
        let status = json!({
            "phase": "Running", "nodeName": pod["spec"]["nodeName"],
            "conditions": [{"type": "Ready", "status": "True"}, migratable],
        });
        self.change(vmi, json!({"status": status})).await?;
        self.started.insert(uid_of(vmi).to_owned());
        Ok(())
    }

    /// It was deleted, or its launcher pod was.
    fn must_end(vmi: &Value, launchers: &[Value]) -> bool {
        if is_finished(text(vmi, "/status/phase")) && vmi["metadata"]["deletionTimestamp"].is_null() {
            // A bare VMI that has ended stays; others are deleted by their VM.
            return vmi.pointer("/metadata/ownerReferences/0").is_some();
        }
        let node = text(vmi, "/status/nodeName");
        let own = launchers
            .iter()
            .find(|pod| text(pod, "/spec/nodeName") == node && !is_finished(text(pod, "/status/phase")));
        !vmi["metadata"]["deletionTimestamp"].is_null()
            || own.is_none_or(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
    }

    async fn shut_down(&mut self, vmi: &Value, launchers: &[Value]) -> Done {
        let uid = uid_of(vmi).to_owned();
        let done = *self.ending.entry(uid.clone()).or_insert_with(|| Instant::now() + SHUT_DOWN);
        if Instant::now() < done {
            return Ok(());
        }
        if let Some(gone) = self.moves.remove(&uid) {
            self.end_migration(vmi, &gone, "Failed").await?;
        }
        for pod in launchers {
            let namespace = text(pod, "/metadata/namespace");
            self.cluster.delete_now(kinds::POD, namespace, name_of(pod), Some(uid_of(pod))).await;
        }
        if !is_finished(text(vmi, "/status/phase")) {
            self.change(vmi, json!({"status": {"phase": "Succeeded"}})).await?;
        }
        let has_owner = vmi.pointer("/metadata/ownerReferences/0").is_some();
        if has_owner || !vmi["metadata"]["deletionTimestamp"].is_null() {
            self.cluster.delete(kinds::VMI, text(vmi, "/metadata/namespace"), name_of(vmi)).await;
            self.finish(vmi).await?;
        }
        Ok(())
    }

    /// The VMI may go.
    async fn finish(&mut self, vmi: &Value) -> Done {
        if has_finalizer(vmi, VMI_FINALIZER) {
            self.change(vmi, json!({"metadata": {"finalizers": null}})).await?;
        }
        Ok(())
    }

    /// Launcher pods whose VMI is gone.
    async fn bury_launchers(&self) {
        let alive: HashSet<String> = all(&self.vmis).iter().map(|vmi| uid_of(vmi).to_owned()).collect();
        for pod in all(&self.launchers) {
            let is_deleted = !pod["metadata"]["deletionTimestamp"].is_null();
            if is_deleted && label(&pod, CREATED_BY).is_some_and(|uid| !alive.contains(uid)) {
                let namespace = text(&pod, "/metadata/namespace");
                self.cluster.delete_now(kinds::POD, namespace, name_of(&pod), Some(uid_of(&pod))).await;
            }
        }
    }

    // --- migrations ---

    async fn migrate(&mut self, vmi: &Value, launchers: &[Value]) -> Done {
        let uid = uid_of(vmi);
        if let Some(mut migration) = self.moves.remove(uid) {
            let goes_on = self.advance(vmi, launchers, &mut migration).await;
            if !matches!(goes_on, Ok(false)) {
                self.moves.insert(uid.to_owned(), migration);
            }
            return goes_on.map(|_| ());
        }
        let namespace = text(vmi, "/metadata/namespace");
        let unfinished = all(&self.migrations).into_iter().find(|migration| {
            text(migration, "/spec/vmiName") == name_of(vmi)
                && text(migration, "/metadata/namespace") == namespace
                && !is_finished(text(migration, "/status/phase"))
        });
        let node = text(vmi, "/status/nodeName");
        let found = match unfinished {
            Some(found) => found,
            None if self.must_evacuate(vmi) => {
                let migration = self.evacuation_of(vmi);
                self.cluster.try_create(migration).await?
            }
            None => return Ok(()),
        };
        let source = launchers
            .iter()
            .find(|pod| text(pod, "/spec/nodeName") == node && !is_finished(text(pod, "/status/phase")));
        self.moves.insert(
            uid.to_owned(),
            Move {
                name: name_of(&found).to_owned(),
                uid: uid_of(&found).to_owned(),
                phase: Phase::None,
                next: Instant::now(),
                source_node: node.to_owned(),
                source_pod: source.map(name_of).unwrap_or_default().to_owned(),
                target_pod: None,
                target_node: None,
            },
        );
        Ok(())
    }

    /// It is marked, and KubeVirt moves it.
    fn must_evacuate(&self, vmi: &Value) -> bool {
        let mark = text(vmi, "/status/evacuationNodeName");
        let is_ours = matches!(text(vmi, "/spec/evictionStrategy"), "LiveMigrate" | "LiveMigrateIfPossible");
        let may_now = self.not_before.get(uid_of(vmi)).is_none_or(|time| Instant::now() >= *time);
        is_ours && may_now && !mark.is_empty() && mark == text(vmi, "/status/nodeName")
    }

    fn evacuation_of(&mut self, vmi: &Value) -> Value {
        json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
            "metadata": {
                "name": self.name("kubevirt-evacuation"), "namespace": vmi["metadata"]["namespace"],
                "annotations": {EVACUATES: vmi["status"]["nodeName"]},
                "labels": {"kubevirt.io/vmi-name": name_of(vmi)},
                "finalizers": [MIGRATION_FINALIZER],
            },
            "spec": {"vmiName": name_of(vmi), "priority": "system-critical"},
        })
    }

    /// One phase further; false when it is over.
    async fn advance(&mut self, vmi: &Value, launchers: &[Value], migration: &mut Move) -> Result<bool, kube::Error> {
        let namespace = text(vmi, "/metadata/namespace").to_owned();
        let found = all(&self.migrations).into_iter().find(|found| uid_of(found) == migration.uid);
        let is_cancelled = found.is_some_and(|found| !found["metadata"]["deletionTimestamp"].is_null());
        // Between the hand-over to the target and the transfer nothing can be cancelled.
        if is_cancelled && !matches!(migration.phase, Phase::PreparingTarget | Phase::TargetReady) {
            self.fail(vmi, launchers, migration).await?;
            self.not_before.remove(uid_of(vmi));
            return Ok(false);
        }
        if Instant::now() < migration.next {
            return Ok(true);
        }
        let is_held = annotation(vmi, HOLD) == Some(format!("{:?}", migration.phase).as_str());
        if is_held && !is_cancelled {
            return Ok(true);
        }
        migration.next = Instant::now() + PHASE;
        match migration.phase {
            Phase::Pending => {
                let pod = self.launcher_of(vmi, Some(migration));
                migration.target_pod = Some(name_of(&self.cluster.try_create(pod).await?).to_owned());
            }
            Phase::Scheduling => {
                let target = launchers.iter().find(|pod| Some(name_of(pod)) == migration.target_pod.as_deref());
                let Some(target) = target.filter(|pod| text(pod, "/status/phase") == "Running") else {
                    return Ok(true);
                };
                migration.target_node = Some(text(target, "/spec/nodeName").to_owned());
            }
            Phase::Scheduled => self.tell_of_migration(vmi, migration, json!({})).await?,
            Phase::TargetReady => {
                let running = json!({"startTimestamp": now(), "mode": "PreCopy"});
                self.tell_of_migration(vmi, migration, running).await?;
            }
            Phase::None | Phase::PreparingTarget => {}
            Phase::Running => {
                let failures = self.failures.entry(uid_of(vmi).to_owned()).or_default();
                let to_fail: u32 = annotation(vmi, FAIL).and_then(|count| count.parse().ok()).unwrap_or(0);
                if *failures < to_fail {
                    *failures += 1;
                    self.fail(vmi, launchers, migration).await?;
                    self.not_before.insert(uid_of(vmi).to_owned(), Instant::now() + BACK_OFF);
                } else {
                    self.succeed(vmi, launchers, migration).await?;
                }
                return Ok(false);
            }
        }
        let Some(next) = migration.phase.next() else { return Ok(false) };
        let status = json!({"status": {
            "phase": format!("{next:?}"), "migrationState": {"sourcePod": migration.source_pod},
        }});
        self.cluster.try_merge_status(kinds::MIGRATION, &namespace, &migration.name, &status).await?;
        migration.phase = next;
        Ok(true)
    }

    async fn tell_of_migration(&mut self, vmi: &Value, migration: &Move, more: Value) -> Done {
        let mut state = json!({
            "migrationUid": migration.uid, "sourceNode": migration.source_node, "sourcePod": migration.source_pod,
            "targetNode": migration.target_node, "targetPod": migration.target_pod,
            "endTimestamp": null, "completed": null, "failed": null, "failureReason": null,
        });
        crate::case::merge(&mut state, more);
        self.change(vmi, json!({"status": {"migrationState": state}})).await
    }

    async fn succeed(&mut self, vmi: &Value, launchers: &[Value], migration: &Move) -> Done {
        // In the real order: the VMI changes hands, and only then the migration is over.
        let ended = json!({"status": {
            "nodeName": migration.target_node, "evacuationNodeName": null,
            "migrationState": {"endTimestamp": now()},
        }});
        self.change(vmi, ended).await?;
        self.change(vmi, json!({"status": {"migrationState": {"completed": true}}})).await?;
        if let Some(source) = launchers.iter().find(|pod| name_of(pod) == migration.source_pod) {
            self.pod_becomes(source, "Succeeded").await?;
        }
        self.end_migration(vmi, migration, "Succeeded").await
    }

    async fn fail(&mut self, vmi: &Value, launchers: &[Value], migration: &Move) -> Done {
        let failed = json!({"endTimestamp": now(), "completed": true, "failed": true, "failureReason": "played"});
        self.tell_of_migration(vmi, migration, failed).await?;
        let target = launchers.iter().find(|pod| Some(name_of(pod)) == migration.target_pod.as_deref());
        if let Some(target) = target {
            let namespace = text(target, "/metadata/namespace");
            self.cluster.delete_now(kinds::POD, namespace, name_of(target), Some(uid_of(target))).await;
        }
        self.end_migration(vmi, migration, "Failed").await
    }

    async fn end_migration(&self, vmi: &Value, migration: &Move, phase: &str) -> Done {
        let namespace = text(vmi, "/metadata/namespace");
        let status = json!({"status": {"phase": phase}});
        ignore_missing(self.cluster.try_merge_status(kinds::MIGRATION, namespace, &migration.name, &status).await)?;
        let finalizers = json!({"metadata": {"finalizers": null}});
        ignore_missing(self.cluster.try_merge(kinds::MIGRATION, namespace, &migration.name, &finalizers).await)
    }

    // --- tools ---

    /// Patches a VMI and remembers that what the cache has of it is out of date.
    async fn change(&mut self, vmi: &Value, patch: Value) -> Done {
        let changed =
            self.cluster.try_merge(kinds::VMI, text(vmi, "/metadata/namespace"), name_of(vmi), &patch).await?;
        let version = text(&changed, "/metadata/resourceVersion").parse().unwrap_or(0);
        self.fresh.insert(uid_of(vmi).to_owned(), version);
        Ok(())
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}-{:05}", self.names)
    }
}

fn all(store: &Store<DynamicObject>) -> Vec<Value> {
    store.state().iter().map(|object| serde_json::to_value(&**object).unwrap()).collect()
}

fn is_at(object: &Value, namespace: &str, name: &str) -> bool {
    text(object, "/metadata/namespace") == namespace && name_of(object) == name
}

fn now() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).unwrap().to_string()
}

fn ignore_missing<T>(answer: Result<T, kube::Error>) -> Done {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// A step that failed is tried again at the next look; what is gone, or going with its namespace, is no problem.
fn report(object: &Value, step: Done) {
    match step {
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404 | 409) => {}
        Err(error) => eprintln!("the stand-in for KubeVirt: {}: {error}", name_of(object)),
        Ok(()) => {}
    }
}

/// A watch cache.
fn follow(cluster: &Cluster, kind: Kind, labels: &str) -> Store<DynamicObject> {
    let writer = reflector::store::Writer::<DynamicObject>::new(kind.resource());
    let store = writer.as_reader();
    let events = watcher(cluster.api(kind, CLUSTER), watcher::Config::default().labels(labels));
    tokio::spawn(reflector::reflector(writer, events).for_each(|_| std::future::ready(())));
    store
}
