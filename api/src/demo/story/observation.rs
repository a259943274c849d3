//! What the story sees of the cluster at one moment. What is decided about a workload is decided by the engine; here it
//! is only picked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use careen_core::{
    cluster::Snapshot,
    drain::DrainOptions,
    maintenance::{NodeMaintenance, Phase, condition},
    migration::{Queue, migration_progress},
    model::{
        NodeName, ObjectKey, Uid,
        virtual_machine::{MigrationPhase, VmiPhase},
    },
    plan::{Block, SkipReason, Verdict, Workload, plan, vmi_of},
};
use jiff::Timestamp;

/// What is seen at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Observation {
    /// The node; `None` if it is not in the cluster.
    pub(super) node: Option<Looks>,
    /// Its maintenance; `None` if there is none.
    pub(super) maintenance: Option<Told>,
    /// What is on the node.
    pub(super) workloads: BTreeMap<Name, Standing>,
    /// The virtual machines of the whole cluster.
    pub(super) instances: BTreeMap<ObjectKey, Instance>,
}

/// What a maintenance changes about a node, and must restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) unschedulable: bool,
    /// As `key=value:effect`.
    pub(super) taints: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// The types of its conditions.
    pub(super) conditions: BTreeSet<String>,
    /// What was done to it, as text.
    pub(super) record: Option<String>,
}

/// What the status of the maintenance tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) phase: Option<Phase>,
    pub(super) is_drained: bool,
    pub(super) last_error: Option<String>,
}

/// The name of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) kind: &'static str,
    pub(super) key: ObjectKey,
}

/// How a workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stays.
    Stays(SkipReason),
    /// It leaves as the plan says, and nothing shows of it yet.
    Next(Verdict),
    /// Its pod ends, at that time at the latest.
    Ends { deadline: Timestamp },
    /// Its VM migrates.
    Migrates { phase: MigrationPhase, target: Option<String> },
    /// It waits.
    Waits(Block),
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) uid: Uid,
    /// Where it runs; `None` while it runs nowhere.
    pub(super) runs_on: Option<NodeName>,
}

/// What is to be seen of that node and that maintenance. `options` are those of the maintenance.
pub(super) fn observe(
    node: &NodeName,
    maintenance: &str,
    options: &DrainOptions,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Observation {
    Observation {
        node: looks(node, snapshot),
        maintenance: snapshot.maintenance(maintenance).map(|maintenance| told(maintenance)),
        workloads: workloads(node, options, snapshot, now),
        instances: instances(snapshot),
    }
}

fn looks(node: &NodeName, snapshot: &Snapshot) -> Option<Looks> {
    let node = snapshot.node(node)?;
    let taint = |taint: &k8s_openapi::api::core::v1::Taint| {
        let value = taint.value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
        format!("{}{value}:{}", taint.key, taint.effect)
    };
    Some(Looks {
        unschedulable: node.unschedulable,
        taints: node.taints.iter().map(taint).collect(),
        labels: node.labels.clone(),
        conditions: node.conditions.iter().map(|condition| condition.type_.clone()).collect(),
        record: node.record.clone(),
    })
}

fn told(maintenance: &NodeMaintenance) -> Told {
    let status = maintenance.status.as_ref();
    Told {
        phase: status.and_then(|status| status.phase),
        is_drained: maintenance.says(condition::DRAINED),
        last_error: status.and_then(|status| status.last_error.clone()),
    }
}

fn workloads(node: &NodeName, options: &DrainOptions, snapshot: &Snapshot, now: Timestamp) -> BTreeMap<Name, Standing> {
    // A node that does not exist has no plan, and nothing on it.
    let Ok(plan) = plan(node, None, snapshot, options, now) else { return BTreeMap::new() };
    let queue = Queue::of(snapshot);
    let visible = plan.entries.into_iter().filter(|entry| {
        // It is what a VM has left behind.
        entry.verdict != Verdict::Skip(SkipReason::CompletedLauncher)
    });
    visible
        .map(|entry| {
            let standing = standing(&entry.workload, entry.verdict, &queue, snapshot, now);
            (Name::of(&entry.workload), standing)
        })
        .collect()
}

fn standing(workload: &Workload, verdict: Verdict, queue: &Queue, snapshot: &Snapshot, now: Timestamp) -> Standing {
    if let Verdict::Skip(reason) = verdict {
        return Standing::Stays(reason);
    }
    let Some(pod) = snapshot.pod(&workload.pod) else { return Standing::Next(verdict) };
    let vmi = vmi_of(pod, snapshot);
    if let Some(target) = vmi.and_then(|vmi| vmi.node.as_ref()).filter(|on| pod.node.as_ref() != Some(on)) {
        return Standing::Migrates { phase: MigrationPhase::Succeeded, target: Some(target.to_string()) };
    }
    if let Some(deletion) = pod.deletion {
        return Standing::Ends { deadline: deletion.deadline };
    }
    let migration = vmi.and_then(|vmi| migration_progress(vmi, queue, snapshot, now));
    if let Some(migration) = migration {
        if let Some(block) = migration.obstacle() {
            return Standing::Waits(block);
        }
        if let Some(phase) = migration.phase {
            return Standing::Migrates { phase, target: migration.target };
        }
    }
    match verdict {
        Verdict::Blocked(block) => Standing::Waits(block),
        verdict => Standing::Next(verdict),
    }
}

fn instances(snapshot: &Snapshot) -> BTreeMap<ObjectKey, Instance> {
    let instances = snapshot.virtual_machine_instances().map(|vmi| {
        let runs_on = vmi.node.clone().filter(|_| vmi.phase == VmiPhase::Running && !vmi.deleting);
        (vmi.key.clone(), Instance { uid: vmi.uid.clone(), runs_on })
    });
    instances.collect()
}

impl Name {
    fn of(workload: &Workload) -> Self {
        let (kind, key) = workload.kind_and_key();
        Self { kind: if kind == "Pod" { "pod" } else { "vm" }, key }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padding is that of the whole.
        f.pad(&format!("{} {}", self.kind, self.key))
    }
}

impl Standing {
    /// Whether it has still to leave the node.
    pub(super) fn has_to_leave(&self) -> bool {
        !matches!(self, Self::Stays(_))
    }
}
