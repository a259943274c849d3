use std::{collections::BTreeMap, time::Duration};

use careen_core::{
    cluster::Snapshot,
    drain::DrainSpec,
    maintenance::Phase,
    model::{
        Node, ObjectKey, Pod,
        virtual_machine::{Migration, MigrationPhase, VirtualMachineInstance},
    },
    plan::{Block, BlockReason, MigrateBy, SkipReason, Verdict},
};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    observation::{Instance, Looks, Name, Observation, Standing, Told, observe},
    proof::Proof,
    teller::{Bar, Teller},
};

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn name(kind: &'static str, name: &str) -> Name {
    Name { kind, key: ObjectKey::new("shop", name) }
}

fn looks(taints: &[&str]) -> Looks {
    Looks {
        unschedulable: !taints.is_empty(),
        taints: taints.iter().map(|&taint| taint.to_owned()).collect(),
        labels: BTreeMap::new(),
        conditions: ["Ready".to_owned()].into(),
        record: None,
    }
}

/// A quiet node with one VM that can migrate, one pod, and one pod that stays.
fn quiet() -> Observation {
    Observation {
        node: Some(looks(&[])),
        maintenance: None,
        workloads: BTreeMap::from([
            (name("vm", "db"), Standing::Next(Verdict::Migrate(MigrateBy::Evacuation))),
            (name("pod", "web-1"), Standing::Next(Verdict::Evict)),
            (name("pod", "agent"), Standing::Stays(SkipReason::DaemonSet)),
        ]),
        instances: BTreeMap::new(),
    }
    .running("db", "1", "node02")
}

impl Observation {
    fn standing(mut self, kind: &'static str, workload: &str, standing: Standing) -> Self {
        self.workloads.insert(name(kind, workload), standing);
        self
    }

    fn without(mut self, kind: &'static str, workload: &str) -> Self {
        self.workloads.remove(&name(kind, workload));
        self
    }

    fn running(mut self, vm: &str, uid: &str, node: &str) -> Self {
        let instance = Instance { uid: uid.into(), runs_on: Some(node.parse().unwrap()) };
        self.instances.insert(ObjectKey::new("shop", vm), instance);
        self
    }

    fn looking(mut self, looks: Looks) -> Self {
        self.node = Some(looks);
        self
    }

    fn told(mut self, is_drained: bool) -> Self {
        let phase = Some(if is_drained { Phase::Succeeded } else { Phase::Running });
        self.maintenance = Some(Told { phase, is_drained, last_error: None });
        self
    }

    /// As it is at the end of the drain.
    fn drained(self) -> Self {
        let taints = ["medik8s.io/drain:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"];
        self.looking(looks(&taints)).told(true).without("vm", "db").without("pod", "web-1").running("db", "1", "node05")
    }

    /// As it is when the maintenance has ended.
    fn restored(mut self) -> Self {
        self = self.drained().looking(looks(&[]));
        self.maintenance = None;
        self
    }
}

fn waits(reason: BlockReason) -> Standing {
    Standing::Waits(Block::new(reason, "budget shop/web needs 2 healthy pods and has 2"))
}

/// What is said when this is seen, one after the other within a second, as `about: text`.
fn said(teller: &mut Teller, seen: impl IntoIterator<Item = Observation>) -> Vec<String> {
    said_at(teller, seen.into_iter().map(|seen| (3.0, seen)))
}

/// What is said when this is seen at these seconds.
fn said_at(teller: &mut Teller, seen: impl IntoIterator<Item = (f64, Observation)>) -> Vec<String> {
    let lines = seen.into_iter().flat_map(|(at, seen)| teller.tell(Duration::from_secs_f64(at), now(), seen));
    lines.map(|line| format!("{}: {}", line.about, line.text)).collect()
}

#[test]
fn the_plan_names_every_workload() {
    let quiet = quiet().standing("pod", "web-2", waits(BlockReason::BudgetExhausted));
    let plan = Teller::begin("node02", quiet).plan();
    let squeezed: Vec<String> = plan.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        squeezed,
        [
            "pod shop/agent stays: a DaemonSet runs it on every node",
            "pod shop/web-1 is evicted: its controller starts another elsewhere",
            "pod shop/web-2 waits (BudgetExhausted): budget shop/web needs 2 healthy pods and has 2",
            "vm shop/db migrates live",
        ]
    );
}

#[test]
fn what_has_changed_is_said_once() {
    let mut teller = Teller::begin("node02", quiet());
    let ends = quiet().standing("pod", "web-1", Standing::Ends { deadline: now() + Duration::from_millis(4200) });
    assert_eq!(
        said(&mut teller, [ends.clone(), ends, quiet().without("pod", "web-1")]),
        ["pod shop/web-1: is told to end, and has 5 s for it", "pod shop/web-1: has left"]
    );
}

#[test]
fn a_wait_is_told_once_when_it_has_lasted() {
    let waiting = || quiet().standing("pod", "web-1", waits(BlockReason::BudgetExhausted));
    let shared = || quiet().standing("pod", "web-1", waits(BlockReason::BudgetShared));
    let flickering = [(1.0, waiting()), (1.5, shared()), (2.2, waiting()), (3.0, quiet()), (3.5, waiting())];
    assert_eq!(said_at(&mut Teller::begin("node02", quiet()), flickering), [""; 0]);
    let lasting =
        [(1.0, waiting()), (2.0, waiting()), (5.0, waiting()), (6.0, quiet()), (7.0, waiting()), (9.0, waiting())];
    assert_eq!(
        said_at(&mut Teller::begin("node02", quiet()), lasting),
        ["pod shop/web-1: waits (BudgetExhausted): budget shop/web needs 2 healthy pods and has 2"]
    );
}

#[test]
fn a_migration_is_told_when_its_target_is_known_and_when_it_is_over() {
    let mut teller = Teller::begin("node02", quiet());
    let migrates = |phase, target: Option<&str>| {
        let target = target.map(str::to_owned);
        quiet().standing("vm", "db", Standing::Migrates { phase, target })
    };
    let seen = [
        migrates(MigrationPhase::Scheduling, None),
        migrates(MigrationPhase::TargetReady, Some("node05")),
        migrates(MigrationPhase::Running, Some("node05")),
        quiet().running("db", "1", "node05"),
        quiet().without("vm", "db").running("db", "1", "node05"),
    ];
    assert_eq!(
        said(&mut teller, seen),
        ["vm shop/db: migrates to node05", "vm shop/db: runs on node05: moved live, still the same instance (UID 1)"]
    );
}

#[test]
fn a_vm_that_was_stopped_is_not_said_to_have_moved() {
    let mut teller = Teller::begin("node02", quiet());
    let mut stopped = quiet().without("vm", "db");
    stopped.instances.clear();
    let elsewhere = stopped.clone().running("db", "2", "node05").running("other", "3", "node06");
    assert_eq!(said(&mut teller, [stopped, elsewhere]), ["vm shop/db: runs on node05: stopped here, started there"]);
}

#[test]
fn the_node_goes_and_comes_back() {
    let mut teller = Teller::begin("node02", quiet());
    let gone = |line: &String| line.starts_with("node ");
    let lines = said(&mut teller, [quiet(), quiet().drained(), quiet().restored()]);
    assert_eq!(
        lines.into_iter().filter(gone).collect::<Vec<_>>(),
        [
            "node node02: cordoned: nothing new is scheduled here",
            "node node02: tainted medik8s.io/drain:NoSchedule",
            "node node02: drained: nothing is left that has to leave",
            "node node02: uncordoned",
            "node node02: taint medik8s.io/drain:NoSchedule removed",
            "node node02: back in service",
        ]
    );
}

#[test]
fn bars_show_what_has_still_to_leave() {
    let mut teller = Teller::begin("node02", quiet());
    let migrating = Standing::Migrates { phase: MigrationPhase::Running, target: Some("node05".to_owned()) };
    said(&mut teller, [quiet().without("pod", "web-1").standing("vm", "db", migrating)]);
    let bars = teller.bars(now());
    assert_eq!((bars.left, bars.had_to_leave), (1, 2));
    let bar = Bar { doing: "migrates to node05: Running".to_owned(), steps: Some((5, 6)) };
    assert_eq!(bars.workloads, BTreeMap::from([(name("vm", "db"), bar)]));
}

/// What is missing after this was seen; empty if nothing is.
fn missing(seen: &[Observation]) -> String {
    let mut proof = Proof::begin("node02", &seen[0]);
    for seen in seen {
        proof.see(seen);
    }
    proof.conclude(&seen[seen.len() - 1]).err().map(|unproven| unproven.to_string()).unwrap_or_default()
}

#[test]
fn all_of_the_story_has_to_be_seen() {
    let restored = || quiet().restored();
    assert_eq!(missing(&[quiet(), quiet().drained(), restored()]), "");

    let without_vm = || quiet().without("vm", "db");
    let cordoned_only = quiet().drained().looking(Looks { unschedulable: true, ..looks(&[]) });
    let tainted_only = quiet().drained().looking(Looks { unschedulable: false, ..looks(&["a:NoSchedule"]) });
    let not_empty = quiet().drained().standing("pod", "web-1", waits(BlockReason::BudgetExhausted));
    let mut lost = restored();
    lost.instances.clear();
    let mut stopped = restored();
    stopped.instances.values_mut().for_each(|instance| instance.runs_on = None);
    let still_tainted = restored().looking(looks(&["medik8s.io/drain:NoSchedule"]));
    for (seen, expected) in [
        (vec![without_vm(), without_vm().drained(), without_vm().restored()], "no VM on node node02 could migrate"),
        (vec![quiet(), tainted_only, restored()], "was not cordoned"),
        (vec![quiet(), cordoned_only, restored()], "was not tainted medik8s.io/drain:NoSchedule"),
        (vec![quiet(), quiet().drained().told(false), restored()], "was not drained: that was not said"),
        (vec![quiet(), not_empty.clone()], "was not drained: left are pod shop/web-1"),
        (vec![quiet(), quiet().drained(), lost], "shop/db did not migrate: it is gone"),
        (vec![quiet(), quiet().drained(), stopped], "it does not run"),
        (vec![quiet(), quiet().drained(), restored().running("db", "2", "node05")], "another instance now, with UID 2"),
        (vec![quiet(), quiet().drained(), restored().running("db", "1", "node02")], "it still runs on node02"),
        (vec![quiet(), quiet().drained()], "its maintenance has not ended"),
        (vec![quiet(), quiet().drained(), still_tainted], "was not restored: it was"),
    ] {
        let missing = missing(&seen);
        assert!(missing.contains(expected), "{missing:?} is not {expected:?}");
    }
}

#[test]
fn a_story_that_somebody_ends_is_over() {
    let mut proof = Proof::begin("node02", &quiet());
    proof.see(&quiet());
    assert_eq!(proof.drained(&quiet()), None);
    let begun = quiet().told(false);
    proof.see(&begun);
    assert_eq!(proof.drained(&begun), None);
    assert_eq!(proof.drained(&quiet()), Some(false));
    let mut refused = begun;
    refused.maintenance = Some(Told { phase: Some(Phase::Failed), ..Told::default() });
    assert_eq!(proof.drained(&refused), Some(false));
}

fn read<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

fn pod_on_node02(name: &str, owner: &Value, more: &Value) -> Pod {
    let mut object = json!({
        "metadata": {"namespace": "shop", "name": name, "uid": name, "ownerReferences": [owner]},
        "spec": {"nodeName": "node02", "containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        object["metadata"][field] = value.clone();
    }
    Pod::from(read::<k8s_openapi::api::core::v1::Pod>(object))
}

fn owner(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": name, "controller": true})
}

#[test]
fn what_is_seen_is_what_the_engine_says() {
    let mut snapshot = Snapshot::default();
    let node = json!({
        "metadata": {"name": "node02", "uid": "n"},
        "spec": {"unschedulable": true, "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    snapshot.put(Node::try_from(read::<k8s_openapi::api::core::v1::Node>(node)).unwrap());
    let set = owner("apps/v1", "ReplicaSet", "web");
    snapshot.put(pod_on_node02("agent", &owner("apps/v1", "DaemonSet", "agent"), &json!({})));
    snapshot.put(pod_on_node02("web-1", &set, &json!({})));
    let deletion = json!({"deletionTimestamp": "2026-11-20T10:00:05Z", "deletionGracePeriodSeconds": 5});
    snapshot.put(pod_on_node02("web-2", &set, &deletion));
    let launcher = json!({
        "labels": {"kubevirt.io": "virt-launcher"}, "annotations": {"kubevirt.io/domain": "db"},
    });
    let instance = owner("kubevirt.io/v1", "VirtualMachineInstance", "db");
    snapshot.put(pod_on_node02("virt-launcher-db-x", &instance, &launcher));
    let vmi = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"namespace": "shop", "name": "db", "uid": "db"},
        "spec": {"evictionStrategy": "LiveMigrate"},
        "status": {
            "phase": "Running", "nodeName": "node02", "evacuationNodeName": "node02",
            "conditions": [{"type": "LiveMigratable", "status": "True"}],
            "migrationState": {"migrationUid": "m", "targetNode": "node05"},
        },
    });
    snapshot.put(VirtualMachineInstance::from(read::<DynamicObject>(vmi)));
    let migration = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {"namespace": "shop", "name": "m", "uid": "m"},
        "spec": {"vmiName": "db"}, "status": {"phase": "Running"},
    });
    snapshot.put(Migration::from(read::<DynamicObject>(migration)));

    let options = DrainSpec::default().for_maintenance().unwrap();
    let seen = observe(&"node02".parse().unwrap(), "node02-maintenance", &options, &snapshot, now());
    assert_eq!(seen.node.unwrap().taints, ["a=b:NoSchedule"]);
    assert_eq!(seen.maintenance, None);
    let migrates = Standing::Migrates { phase: MigrationPhase::Running, target: Some("node05".to_owned()) };
    let expected = BTreeMap::from([
        (name("pod", "agent"), Standing::Stays(SkipReason::DaemonSet)),
        (name("pod", "web-1"), Standing::Next(Verdict::Evict)),
        (name("pod", "web-2"), Standing::Ends { deadline: now() + Duration::from_secs(5) }),
        (name("vm", "db"), migrates),
    ]);
    assert_eq!(seen.workloads, expected);
    let instance = &seen.instances[&ObjectKey::new("shop", "db")];
    assert_eq!((instance.uid.as_str(), instance.runs_on.as_ref().unwrap().as_str()), ("db", "node02"));

    let elsewhere = observe(&"node09".parse().unwrap(), "node02-maintenance", &options, &snapshot, now());
    assert!(elsewhere.node.is_none() && elsewhere.workloads.is_empty());
}
