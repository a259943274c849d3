//! Model objects for tests, built so that a test reads as prose:
//! `pod("shop", "web-1").on("node02").owned_by("ReplicaSet", "web").label("app", "web")`.
//!
//! Each function gives the plain model struct in its most ordinary state; the methods change one thing each.
//! UIDs follow from the names (`uid-shop-web-1`), so that owners find each other without being told.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "only tests build objects this way")]

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Taint, Toleration},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::core::{Expression, Selector};

use super::{
    Budget, Deletion, DrainOrder, DrainRequest, DrainSpec, DrainStatus, Node, NodeName, ObjectKey, Owner, Pod,
    PodPhase, Readiness, Resources, Scheduling, Uid, UnhealthyPodEvictionPolicy,
    virtual_machine::{
        EvictionStrategy, LiveMigratable, Migration, MigrationPhase, MigrationState, RunStrategy, VirtualMachine,
        VirtualMachineInstance, VmiPhase,
    },
};
use crate::{
    cluster::{Kept, Snapshot},
    maintenance::{NodeMaintenance, NodeMaintenanceStatus},
    node::Record,
};

/// The UID that these builders give to an object of that name.
#[must_use]
pub fn uid(namespace: &str, name: &str) -> Uid {
    Uid(format!("uid-{namespace}-{name}"))
}

/// A node name.
#[must_use]
pub fn node_name(name: &str) -> NodeName {
    name.parse().expect("a test names nodes that Kubernetes would take")
}

/// A time: that many seconds after the beginning of 2026.
#[must_use]
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a test stays within the calendar")
}

fn owner(namespace: &str, kind: &str, name: &str) -> Owner {
    let api_version = match kind {
        "VirtualMachineInstance" | "VirtualMachine" => "kubevirt.io/v1",
        "Job" => "batch/v1",
        "Pod" | "Node" | "ReplicationController" => "v1",
        _ => "apps/v1",
    };
    Owner {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid(namespace, name),
        is_controller: true,
    }
}

impl Snapshot {
    /// The snapshot with that object in it.
    #[must_use]
    pub fn with<K: Kept>(mut self, object: K) -> Self {
        self.put(object);
        self
    }

    /// The snapshot with those objects in it.
    #[must_use]
    pub fn with_all<K: Kept>(self, objects: impl IntoIterator<Item = K>) -> Self {
        objects.into_iter().fold(self, Self::with)
    }
}

/// A running, ready, unmanaged pod that is not bound yet.
#[must_use]
pub fn pod(namespace: &str, name: &str) -> Pod {
    Pod {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        resource_version: "1".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        owners: Vec::new(),
        finalizers: Vec::new(),
        deletion: None,
        node: None,
        phase: PodPhase::Running,
        ready: true,
        priority: 0,
        has_empty_dir: false,
        termination_grace: Duration::from_secs(30),
        scheduling: Scheduling::default(),
    }
}

/// The launcher pod `virt-launcher-<vmi>-abcde` of a VMI: running, with an emptyDir, as all of them.
#[must_use]
pub fn launcher(namespace: &str, vmi: &str) -> Pod {
    pod(namespace, &format!("virt-launcher-{vmi}-abcde"))
        .owned_by("VirtualMachineInstance", vmi)
        .label("kubevirt.io", "virt-launcher")
        .annotated(Pod::DOMAIN_ANNOTATION, vmi)
        .with_empty_dir()
}

/// The pod that holds a disk that was plugged into a running VM: owned by the VM's launcher pod.
#[must_use]
pub fn hotplug_pod(launcher: &Pod, name: &str) -> Pod {
    let mut pod = pod(&launcher.key.namespace, name).label("kubevirt.io", "hotplug-disk");
    pod.owners.push(Owner { uid: launcher.uid.clone(), ..owner(&launcher.key.namespace, "Pod", &launcher.key.name) });
    pod.node.clone_from(&launcher.node);
    pod
}

impl Pod {
    /// Bound to that node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node_name(node));
        self
    }

    /// Under another name, and so with another UID.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.uid = uid(&self.key.namespace, name);
        name.clone_into(&mut self.key.name);
        self
    }

    /// With another UID: a pod re-created under its name.
    #[must_use]
    pub fn with_uid(mut self, uid: &str) -> Self {
        self.uid = uid.into();
        self
    }

    /// Controlled by that object (`apps/v1` unless its kind is a well-known one of another group).
    #[must_use]
    pub fn owned_by(mut self, kind: &str, name: &str) -> Self {
        self.owners.push(owner(&self.key.namespace, kind, name));
        self
    }

    /// With that label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With that annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With that priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// A static pod, as the API server shows it.
    #[must_use]
    pub fn mirrored(self) -> Self {
        self.annotated(Self::MIRROR_ANNOTATION, "hash")
    }

    /// The target of that migration.
    #[must_use]
    pub fn target_of(self, migration: &str) -> Self {
        self.annotated(Self::MIGRATION_ANNOTATION, migration)
    }

    /// Running but not ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Not running yet.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.phase = PodPhase::Pending;
        self.unready()
    }

    /// Ended well.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.phase = PodPhase::Succeeded;
        self.unready()
    }

    /// Being deleted; its grace ends then.
    #[must_use]
    pub fn terminating(mut self, deadline: Timestamp) -> Self {
        self.deletion = Some(Deletion { deadline, grace: self.termination_grace });
        self
    }

    /// With an emptyDir volume.
    #[must_use]
    pub fn with_empty_dir(mut self) -> Self {
        self.has_empty_dir = true;
        self
    }

    /// Asking for so much CPU (thousandths of a core) and memory (bytes).
    #[must_use]
    pub fn requesting(mut self, cpu_millis: u64, memory_bytes: u64) -> Self {
        self.scheduling.requests = Resources { cpu_millis, memory_bytes };
        self
    }

    /// With that node selector.
    #[must_use]
    pub fn selecting_nodes(mut self, key: &str, value: &str) -> Self {
        self.scheduling.node_selector.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Tolerating every taint of that key.
    #[must_use]
    pub fn tolerating(mut self, key: &str) -> Self {
        self.scheduling.tolerations.push(Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            ..Toleration::default()
        });
        self
    }
}

/// A running VMI that can migrate, has no eviction strategy, and belongs to the VM of its name.
#[must_use]
pub fn vmi(namespace: &str, name: &str) -> VirtualMachineInstance {
    VirtualMachineInstance {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        resource_version: "1".to_owned(),
        deleting: false,
        owner: Some(owner(namespace, "VirtualMachine", name)),
        eviction_strategy: None,
        phase: VmiPhase::Running,
        node: None,
        evacuation_node: None,
        live_migratable: LiveMigratable::Yes,
        migration_state: None,
    }
}

impl VirtualMachineInstance {
    /// Running on that node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node_name(node));
        self
    }

    /// With that eviction strategy.
    #[must_use]
    pub fn strategy(mut self, strategy: EvictionStrategy) -> Self {
        self.eviction_strategy = Some(strategy);
        self
    }

    /// In that phase.
    #[must_use]
    pub fn in_phase(mut self, phase: VmiPhase) -> Self {
        self.phase = phase;
        self
    }

    /// Still starting: KubeVirt has not worked out whether it can migrate.
    #[must_use]
    pub fn starting(mut self) -> Self {
        self.live_migratable = LiveMigratable::NotKnownYet;
        self.in_phase(VmiPhase::Starting)
    }

    /// Unable to migrate, because its disk is not shared.
    #[must_use]
    pub fn not_migratable(mut self) -> Self {
        self.live_migratable = LiveMigratable::No {
            reason: "DisksNotLiveMigratable".to_owned(),
            message: "cannot migrate VMI: PVC data is not shared".to_owned(),
        };
        self
    }

    /// Marked by KubeVirt to leave that node.
    #[must_use]
    pub fn marked(mut self, node: &str) -> Self {
        self.evacuation_node = Some(node_name(node));
        self
    }

    /// Without a VM: nobody starts it again.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.owner = None;
        self
    }

    /// With that migration state.
    #[must_use]
    pub fn with_migration_state(mut self, state: MigrationState) -> Self {
        self.migration_state = Some(state);
        self
    }
}

/// A VM that always runs.
#[must_use]
pub fn vm(namespace: &str, name: &str) -> VirtualMachine {
    VirtualMachine {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        run_strategy: RunStrategy::Always,
    }
}

impl VirtualMachine {
    /// Run in that way.
    #[must_use]
    pub fn run(mut self, strategy: RunStrategy) -> Self {
        self.run_strategy = strategy;
        self
    }
}

/// A migration of a VMI of that namespace that waits in KubeVirt's queue.
#[must_use]
pub fn migration(namespace: &str, name: &str, vmi: &str) -> Migration {
    Migration {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        actor: None,
        evacuates: None,
        deleting: false,
        created: Some(at(0)),
        vmi_name: vmi.to_owned(),
        phase: MigrationPhase::Pending,
        failure_reason: None,
    }
}

impl Migration {
    /// In that phase.
    #[must_use]
    pub fn in_phase(mut self, phase: MigrationPhase) -> Self {
        self.phase = phase;
        self
    }

    /// Made by KubeVirt to evacuate that node.
    #[must_use]
    pub fn evacuating(mut self, node: &str) -> Self {
        self.evacuates = Some(node.to_owned());
        self
    }

    /// Made by Careen for that maintenance or drain.
    #[must_use]
    pub fn made_by(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    /// Created then.
    #[must_use]
    pub fn created_at(mut self, time: Timestamp) -> Self {
        self.created = Some(time);
        self
    }
}

/// A ready node with room: 8 cores and 32 GiB.
#[must_use]
pub fn node(name: &str) -> Node {
    Node {
        name: node_name(name),
        uid: uid("node", name),
        resource_version: "1".to_owned(),
        created: None,
        labels: BTreeMap::from([("kubernetes.io/hostname".to_owned(), name.to_owned())]),
        record: None,
        unschedulable: false,
        taints: Vec::new(),
        readiness: Readiness::Ready,
        conditions: Vec::new(),
        kubelet_version: Some("v1.37.2".to_owned()),
        allocatable: Resources { cpu_millis: 8_000, memory_bytes: 32 << 30 },
    }
}

impl Node {
    /// Cordoned.
    #[must_use]
    pub fn cordoned(mut self) -> Self {
        self.unschedulable = true;
        self
    }

    /// Not answering.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.readiness = Readiness::NotReady { message: "kubelet stopped posting node status".to_owned(), since: None };
        self
    }

    /// With that label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With the label of a control-plane node.
    #[must_use]
    pub fn control_plane(self) -> Self {
        self.label("node-role.kubernetes.io/control-plane", "")
    }

    /// With that taint.
    #[must_use]
    pub fn tainted(mut self, key: &str, effect: &str) -> Self {
        self.taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), ..Taint::default() });
        self
    }

    /// With that text as its record.
    #[must_use]
    pub fn with_record_text(mut self, text: &str) -> Self {
        self.record = Some(text.to_owned());
        self
    }

    /// With that record.
    #[must_use]
    pub fn with_record(self, record: &Record) -> Self {
        let text = serde_json::to_string(record).expect("a record is JSON");
        self.with_record_text(&text)
    }

    /// With so much CPU (thousandths of a core) and memory (bytes) to give.
    #[must_use]
    pub fn giving(mut self, cpu_millis: u64, memory_bytes: u64) -> Self {
        self.allocatable = Resources { cpu_millis, memory_bytes };
        self
    }
}

/// A budget that covers no pod yet, is up to date, and allows one disruption: two of three healthy pods are needed.
#[must_use]
pub fn budget(namespace: &str, name: &str) -> Budget {
    Budget {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        resource_version: "1".to_owned(),
        generation: 1,
        selector: None,
        unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy::IfHealthyBudget,
        observed_generation: 1,
        disruptions_allowed: 1,
        current_healthy: 3,
        desired_healthy: 2,
        expected_pods: 3,
        disrupted_pods: Vec::new(),
        sync_failed: None,
    }
}

impl Budget {
    /// Covering the pods with that label (besides those conditions set before).
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        let expression = Expression::Equal(key.to_owned(), value.to_owned());
        self.selector.get_or_insert_default().extend([expression]);
        self
    }

    /// Covering every pod of its namespace.
    #[must_use]
    pub fn selecting_all(mut self) -> Self {
        self.selector = Some(Selector::default());
        self
    }

    /// Allowing so many disruptions now; it needs that many pods fewer than are healthy.
    #[must_use]
    pub fn allowing(mut self, disruptions: i32) -> Self {
        self.disruptions_allowed = disruptions;
        self.desired_healthy = self.current_healthy - disruptions;
        self
    }

    /// Needing so many healthy pods, having so many, and expecting so many; what it allows follows.
    #[must_use]
    pub fn needing(mut self, desired: i32, healthy: i32, expected: i32) -> Self {
        self.desired_healthy = desired;
        self.current_healthy = healthy;
        self.expected_pods = expected;
        self.disruptions_allowed = (healthy - desired).max(0);
        self
    }

    /// Changed since Kubernetes last worked it out.
    #[must_use]
    pub fn not_observed(mut self) -> Self {
        self.generation = self.observed_generation + 1;
        self
    }

    /// Letting unready pods go always.
    #[must_use]
    pub fn letting_unready_go(mut self) -> Self {
        self.unhealthy_pod_eviction_policy = UnhealthyPodEvictionPolicy::AlwaysAllow;
        self
    }
}

/// A `NodeMaintenance` for that node that nobody has decided on yet.
#[must_use]
pub fn maintenance(name: &str, node: &str) -> NodeMaintenance {
    let mut maintenance = NodeMaintenance::default();
    maintenance.metadata.name = Some(name.to_owned());
    maintenance.metadata.uid = Some(uid("maintenance", name).0);
    maintenance.metadata.generation = Some(1);
    maintenance.metadata.creation_timestamp = Some(Time(at(0)));
    node.clone_into(&mut maintenance.spec.node_name);
    maintenance
}

impl NodeMaintenance {
    /// Created then.
    #[must_use]
    pub fn created_at(mut self, time: Timestamp) -> Self {
        self.metadata.creation_timestamp = Some(Time(time));
        self
    }

    /// With the condition `Accepted`, true or false.
    #[must_use]
    pub fn decided(mut self, accepted: bool) -> Self {
        let observed_generation = self.metadata.generation;
        let status = self.status.get_or_insert_with(NodeMaintenanceStatus::default);
        status.observed_generation = observed_generation;
        status.conditions.push(Condition {
            type_: "Accepted".to_owned(),
            status: if accepted { "True" } else { "False" }.to_owned(),
            reason: "Decided".to_owned(),
            message: String::new(),
            last_transition_time: Time(at(0)),
            observed_generation,
        });
        self
    }

    /// Being deleted.
    #[must_use]
    pub fn stopping(mut self, time: Timestamp) -> Self {
        self.metadata.deletion_timestamp = Some(Time(time));
        self
    }
}

/// An order to drain that node, made a second into the year, which nobody has taken up.
#[must_use]
pub fn drain_order(id: &str, node: &str) -> DrainOrder {
    let node = node_name(node);
    DrainOrder {
        name: DrainOrder::name_for(&node),
        uid: uid("order", node.as_str()),
        resource_version: "1".to_owned(),
        request: DrainRequest {
            id: id.into(),
            node_uid: uid("node", node.as_str()),
            node,
            requested_by: None,
            options: DrainSpec::default(),
            created_at: at(1),
            cancel: None,
        },
        status: DrainStatus { id: id.into(), ..DrainStatus::default() },
    }
}

impl DrainOrder {
    /// Taken up by the leader then.
    #[must_use]
    pub fn begun(mut self, time: Timestamp) -> Self {
        self.status.started_at = Some(time);
        self
    }
}
