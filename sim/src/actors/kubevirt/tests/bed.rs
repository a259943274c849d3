use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    actors::{
        actor::{Actor, Turn, Write},
        kinds::{NODE, POD},
        kubelet::Kubelet,
        kubevirt::{
            evacuation::EvacuationController,
            handler::Handler,
            instance::InstanceController,
            machine::MachineController,
            migration::MigrationController,
            names::{DOMAIN, INSTANCE, KUBEVIRT, MIGRATION, MIGRATION_JOB_UID, VIRTUAL_MACHINE},
            object::{annotation, condition, has_condition, is_deleting, label, list, name_of, phase, text, uid_of},
            operator::Operator,
            timing::Timing,
            virt_api::eviction::review_eviction,
        },
        rules::Rules,
        scheduler::Scheduler,
        view::{Kind, View},
        world::{World, merged, node, s},
    },
    selector::LabelSelector,
};

pub const CASES: &str = "cases";

/// A cluster with KubeVirt, scheduler and kubelets.
pub struct Bed {
    pub world: World,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Three nodes.
pub fn bed() -> Bed {
    bed_of(&["node-0", "node-1", "node-2"])
}

pub fn bed_of(nodes: &[&str]) -> Bed {
    let rules = Rules::new(1).jittered(0.0);
    let timing = Timing::new(rules.clone());
    let witness = Witness::default();
    let seen = witness.seen.clone();
    let every_node = LabelSelector::from_json(&json!({})).unwrap();
    let mut world = World::new()
        .with(Operator)
        .with(MachineController)
        .with(witness.clone())
        .with(InstanceController)
        .with(witness.clone())
        .with(EvacuationController::default())
        .with(witness.clone())
        .with(MigrationController::new(timing.clone()))
        .with(witness.clone())
        .with(Handler::new(timing))
        .with(witness.clone())
        .with(Scheduler::default())
        .with(Kubelet::of(every_node, rules))
        .with(witness);
    for name in nodes {
        world.create(NODE, node(name));
    }
    world.run(s(1));
    Bed { world, seen }
}

/// A VM that always runs; settings without their prefix.
pub fn vm(name: &str, strategy: Option<&str>, settings: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        settings.iter().map(|(key, value)| (format!("sim.careen.dev/{key}"), (*value).into())).collect();
    let mut made = json!({
        "metadata": {"namespace": CASES, "name": name},
        "spec": {
            "runStrategy": "Always",
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": {"domain": {"devices": {}}},
            },
        },
    });
    if let Some(strategy) = strategy {
        made["spec"]["template"]["spec"]["evictionStrategy"] = strategy.into();
    }
    made
}

impl Bed {
    /// The VM, running.
    pub fn runs(&mut self, vm: Value) -> String {
        let name = name_of(&vm).to_owned();
        self.world.create(VIRTUAL_MACHINE, vm);
        self.world.run(s(5));
        assert_eq!(phase(self.vmi(&name)), "Running", "{:#}", self.vmi(&name));
        assert!(has_condition(self.vmi(&name), "Ready", "True"), "{:#}", self.vmi(&name));
        name
    }

    pub fn vmi(&self, name: &str) -> &Value {
        self.world.get(INSTANCE, CASES, name)
    }

    pub fn vm(&self, name: &str) -> &Value {
        self.world.get(VIRTUAL_MACHINE, CASES, name)
    }

    pub fn vmi_exists(&self, name: &str) -> bool {
        self.world.view.get(INSTANCE, CASES, name).is_some()
    }

    pub fn node_of(&self, vmi: &str) -> String {
        text(self.vmi(vmi), "/status/nodeName").to_owned()
    }

    /// The launcher pods of that VMI that run.
    pub fn launchers(&self, vmi: &str) -> Vec<&Value> {
        let of = |pod: &&Value| annotation(pod, DOMAIN) == Some(vmi) && phase(pod) == "Running";
        self.world.view.all(POD).filter(of).collect()
    }

    /// The pod that the guest runs in.
    pub fn launcher(&self, vmi: &str) -> &Value {
        let node = self.node_of(vmi);
        let here = |pod: &&Value| text(pod, "/spec/nodeName") == node;
        self.launchers(vmi).into_iter().find(here).expect("the VMI has a launcher")
    }

    /// The target pod of its migration.
    pub fn target(&self, vmi: &str) -> &Value {
        let target = |pod: &&Value| annotation(pod, DOMAIN) == Some(vmi) && label(pod, MIGRATION_JOB_UID).is_some();
        self.world.view.all(POD).find(target).expect("the migration has a target pod")
    }

    /// The newest migration of that VMI.
    pub fn migration(&self, vmi: &str) -> &Value {
        let migrations = self.world.view.all(MIGRATION).filter(|found| text(found, "/spec/vmiName") == vmi);
        // Its UID is a number that grows.
        let number = |found: &&Value| uid_of(found).trim_start_matches("uid-").parse::<u64>().unwrap();
        migrations.max_by_key(number).expect("it migrates")
    }

    pub fn configure(&mut self, configuration: &Value) {
        let kubevirt = json!({
            "metadata": {"namespace": "kubevirt", "name": "kubevirt"}, "spec": {"configuration": configuration},
        });
        self.world.create(KUBEVIRT, kubevirt);
        self.world.run(s(0));
    }

    pub fn annotate(&mut self, vmi: &str, setting: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {format!("sim.careen.dev/{setting}"): value}}});
        self.world.patch(INSTANCE, CASES, vmi, &patch);
        self.world.run(s(0));
    }

    /// Evicts the pod that the guest runs in: why not, or nothing.
    pub fn evict(&mut self, vmi: &str) -> Option<String> {
        let pod = name_of(self.launcher(vmi)).to_owned();
        self.evict_pod(&pod, &json!({}))
    }

    /// Evicts a pod, as the API server does with the webhook; what is said of the request goes into it.
    pub fn evict_pod(&mut self, pod: &str, said: &Value) -> Option<String> {
        let review = review_of(pod, said);
        let judged = review_eviction(&self.world.view, &review);
        for write in judged.writes {
            let Write::Patch { kind, key, patch, .. } = write else { panic!("a mark is a patch") };
            self.world.patch(kind, &key.0, &key.1, &patch);
        }
        assert_eq!(judged.response["uid"], "review-1");
        if judged.response["allowed"] == true {
            if !said["dryRun"].is_boolean() {
                self.world.delete(POD, CASES, pod, None);
            }
            return None;
        }
        let status = &judged.response["status"];
        assert_eq!((&status["code"], &status["reason"]), (&json!(429), &Value::Null), "{status}");
        Some(text(status, "/message").to_owned())
    }

    /// Everything that was seen of VMIs and their migrations and pods since the last call, a line for each change.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The same, of one kind: `VMIM`.
    pub fn seen_of(&self, kind: &str) -> Vec<String> {
        let prefix = format!("{kind} ");
        self.seen().iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    /// Events about objects of that name, in their order: `Normal Migrating: …`.
    pub fn events(&self, about: &str) -> Vec<String> {
        let mut events: Vec<&Value> = self
            .world
            .view
            .all(crate::actors::kubevirt::names::EVENT)
            .filter(|event| text(event, "/involvedObject/name") == about)
            .collect();
        events.sort_by_key(|event| text(event, "/metadata/resourceVersion").parse::<u64>().unwrap());
        let line =
            |event: &Value| format!("{} {}: {}", text(event, "/type"), text(event, "/reason"), text(event, "/message"));
        events.into_iter().map(line).collect()
    }
}

pub fn review_of(pod: &str, said: &Value) -> Value {
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": CASES}});
    let request = json!({"uid": "review-1", "namespace": CASES, "name": pod, "object": eviction});
    json!({"request": merged(request, said)})
}

/// Watches what becomes of things, and writes nothing.
#[derive(Clone, Default)]
struct Witness {
    seen: Arc<Mutex<Vec<String>>>,
    last: Arc<Mutex<std::collections::BTreeMap<String, String>>>,
}

impl Actor for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![INSTANCE, MIGRATION, POD]
    }

    fn act(&mut self, view: &View, _now: Timestamp, _random: &mut fastrand::Rng) -> Turn {
        let mut last = self.last.lock().unwrap();
        let mut present = std::collections::BTreeMap::new();
        let migrations = view.all(MIGRATION).map(|found| (format!("VMIM {}", uid_of(found)), line_of_migration(found)));
        let vmis = view.all(INSTANCE).map(|found| (format!("VMI {}", uid_of(found)), line_of_vmi(found)));
        let pods = view.all(POD).map(|found| (format!("Pod {}", uid_of(found)), line_of_pod(found)));
        for (key, line) in vmis.chain(migrations).chain(pods) {
            present.insert(key, line);
        }
        let mut seen = self.seen.lock().unwrap();
        for (key, line) in &present {
            if last.get(key) != Some(line) {
                seen.push(format!("{} {line}", key.split(' ').next().unwrap()));
            }
        }
        for key in last.keys().filter(|key| !present.contains_key(*key)) {
            seen.push(format!("{} gone", key.split(' ').next().unwrap()));
        }
        *last = present;
        Turn::default()
    }
}

fn flag(line: &mut String, is: bool, flag: &str) {
    if is {
        line.push(' ');
        line.push_str(flag);
    }
}

fn line_of_migration(migration: &Value) -> String {
    let mut line = match phase(migration) {
        "" => "(none)".to_owned(),
        phase => phase.to_owned(),
    };
    flag(&mut line, is_deleting(migration), "deleting");
    flag(&mut line, !list(migration, "/metadata/finalizers").is_empty(), "finalizer");
    flag(&mut line, condition(migration, "migrationAbortRequested").is_some(), "abort");
    line
}

fn line_of_vmi(vmi: &Value) -> String {
    let mut line = format!("{} {}", phase(vmi), text(vmi, "/status/nodeName"));
    let state = &vmi["status"]["migrationState"];
    flag(&mut line, is_deleting(vmi), "deleting");
    flag(&mut line, !text(vmi, "/status/evacuationNodeName").is_empty(), "marked");
    flag(&mut line, state["targetNode"].is_string(), "target");
    flag(&mut line, state["targetNodeAddress"].is_string(), "address");
    flag(&mut line, state["startTimestamp"].is_string(), "start");
    flag(&mut line, state["targetNodeDomainReadyTimestamp"].is_string(), "domain");
    flag(&mut line, state["endTimestamp"].is_string(), "end");
    flag(&mut line, state["completed"] == true, "completed");
    flag(&mut line, state["failed"] == true, "failed");
    flag(&mut line, has_condition(vmi, "EvictionRequested", "True"), "EvictionRequested");
    flag(&mut line, has_condition(vmi, "LiveMigratable", "True"), "LiveMigratable");
    flag(&mut line, has_condition(vmi, "Ready", "True"), "Ready");
    line
}

fn line_of_pod(pod: &Value) -> String {
    let kind = if label(pod, MIGRATION_JOB_UID).is_some() { "target" } else { "source" };
    let mut line = format!("{kind} {} {}", phase(pod), text(pod, "/spec/nodeName"));
    flag(&mut line, is_deleting(pod), "deleting");
    line
}
