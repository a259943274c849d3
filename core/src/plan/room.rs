//! Whether the rest of the cluster has room for a pod: an estimate, because only the scheduler knows.
//!
//! Looked at: readiness and cordon, node selector, required node affinity, taints, and requested CPU and memory; for a
//! live migration also the source's CPU vendor and the VM's machine type, as KubeVirt adds them to the target pod. Not
//! looked at, because it is not kept: volumes bound to a node, pod affinity and spreading, extended resources (such as
//! `devices.kubevirt.io/kvm`), and quotas. Each pod is looked at by itself.

use std::{collections::BTreeMap, sync::Arc};

use super::affinity::{selects, tolerates};
use crate::{
    cluster::{Snapshot, View},
    model::{Node, NodeName, Pod, Resources, virtual_machine::VirtualMachineInstance},
};

/// Labels of a Node that name its CPU vendor; KubeVirt wants the same on a migration's target.
const CPU_VENDOR_LABEL_PREFIX: &str = "cpu-vendor.node.kubevirt.io/";

/// Labels of a Node that name the machine types that it can run; a migration's target needs that of the VM.
const MACHINE_TYPE_LABEL_PREFIX: &str = "machine-type.node.kubevirt.io/";

/// Whether another node takes a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// At least one does, as far as can be seen.
    Fits,
    /// None seems to.
    MayNotFit {
        /// How many nodes refuse it for which cause.
        reason: String,
    },
    /// Not known: this snapshot does not show the other nodes.
    Unknown,
}

/// The nodes besides one, and what they have free. Made once for a plan.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    view: View,
    /// The node's CPU vendor, which a live migration's target must have as well.
    cpu_vendor: BTreeMap<String, String>,
    /// Whether this KubeVirt labels nodes with their machine types: older ones do not
    /// (<https://github.com/kubevirt/kubevirt/pull/13690>).
    has_machine_types: bool,
    others: Vec<Candidate>,
}

#[derive(Clone, Debug)]
struct Candidate {
    node: Arc<Node>,
    free: Resources,
}

impl Elsewhere {
    /// What there is besides that node.
    #[must_use]
    pub fn than(node: &NodeName, snapshot: &Snapshot) -> Self {
        let source_labels = || snapshot.node(node).into_iter().flat_map(|node| &node.labels);
        let others: Vec<Candidate> = match snapshot.view() {
            View::Nodes => Vec::new(),
            View::Whole => snapshot
                .nodes()
                .filter(|other| other.name != *node)
                .map(|other| Candidate { node: Arc::clone(other), free: free(other, snapshot) })
                .collect(),
        };
        Self {
            view: snapshot.view(),
            has_machine_types: source_labels().any(|(key, _)| key.starts_with(MACHINE_TYPE_LABEL_PREFIX)),
            cpu_vendor: source_labels()
                .filter(|(key, _)| key.starts_with(CPU_VENDOR_LABEL_PREFIX))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            others,
        }
    }

    /// The label that a node must have to run that VM, if this KubeVirt asks for one.
    fn machine_type_label(&self, vmi: &VirtualMachineInstance) -> Option<String> {
        let type_ = vmi.machine_type.as_ref().filter(|_| self.has_machine_types)?;
        Some(format!("{MACHINE_TYPE_LABEL_PREFIX}{type_}"))
    }

    /// Whether one of the other nodes takes that pod. `migrating` is the VM that leaves it by live migration.
    #[must_use]
    pub fn has_room_for(&self, pod: &Pod, migrating: Option<&VirtualMachineInstance>) -> Room {
        if self.view == View::Nodes {
            return Room::Unknown;
        }
        let wanted =
            migrating.map(|vmi| Wanted { cpu_vendor: &self.cpu_vendor, machine_type: self.machine_type_label(vmi) });
        let mut refusals: BTreeMap<&'static str, usize> = BTreeMap::new();
        for candidate in &self.others {
            match candidate.refusal(pod, wanted.as_ref()) {
                None => return Room::Fits,
                Some(cause) => *refusals.entry(cause).or_default() += 1,
            }
        }
        if self.others.is_empty() {
            return Room::MayNotFit { reason: "there is no other node".to_owned() };
        }
        let causes: Vec<String> = refusals.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        Room::MayNotFit { reason: format!("other nodes: {}", causes.join(", ")) }
    }
}

/// What a live migration's target must have, besides what its pod asks for.
struct Wanted<'a> {
    cpu_vendor: &'a BTreeMap<String, String>,
    /// The label of the VM's machine type.
    machine_type: Option<String>,
}

impl Candidate {
    /// Why the node does not take the pod; read after a count of nodes.
    fn refusal(&self, pod: &Pod, wanted: Option<&Wanted<'_>>) -> Option<&'static str> {
        let Self { node, free } = self;
        let scheduling = &pod.scheduling;
        let has_label = |(key, value): (&String, &String)| node.labels.get(key) == Some(value);
        if !node.is_ready() {
            Some("not ready")
        } else if node.unschedulable {
            Some("cordoned")
        } else if !node.taints.iter().all(|taint| tolerates(&scheduling.tolerations, taint)) {
            Some("with a taint that it does not tolerate")
        } else if !scheduling.node_selector.iter().all(has_label) {
            Some("without the labels of its node selector")
        } else if wanted.is_some_and(|wanted| !wanted.cpu_vendor.iter().all(has_label)) {
            Some("with another CPU vendor")
        } else if wanted
            .and_then(|wanted| wanted.machine_type.as_ref())
            .is_some_and(|label| !node.labels.contains_key(label))
        {
            Some("that cannot run its machine type")
        } else if !selects(&scheduling.required_node_terms, node) {
            Some("against its node affinity")
        } else if scheduling.requests.cpu_millis > free.cpu_millis {
            Some("without enough CPU")
        } else if scheduling.requests.memory_bytes > free.memory_bytes {
            Some("without enough memory")
        } else {
            None
        }
    }
}

fn free(node: &Node, snapshot: &Snapshot) -> Resources {
    let running = snapshot.pods_on(&node.name).filter(|pod| !pod.is_finished());
    let used = running.fold(Resources::default(), |sum, pod| sum.plus(pod.scheduling.requests));
    Resources {
        cpu_millis: node.allocatable.cpu_millis.saturating_sub(used.cpu_millis),
        memory_bytes: node.allocatable.memory_bytes.saturating_sub(used.memory_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{launcher, node, node_name, pod, vmi};

    const GIB: u64 = 1 << 30;

    /// Why the pod finds no room besides node02; empty when it does.
    fn reason(pod: &Pod, migrating: Option<&VirtualMachineInstance>, others: impl IntoIterator<Item = Node>) -> String {
        let source = node("node02").label("cpu-vendor.node.kubevirt.io/Intel", "true");
        reason_of(source.label("machine-type.node.kubevirt.io/pc-q35-9.6", "true"), pod, migrating, others)
    }

    fn reason_of(
        source: Node,
        pod: &Pod,
        migrating: Option<&VirtualMachineInstance>,
        others: impl IntoIterator<Item = Node>,
    ) -> String {
        let snapshot = Snapshot::default().with(source).with_all(others);
        match Elsewhere::than(&node_name("node02"), &snapshot).has_room_for(pod, migrating) {
            Room::Fits => String::new(),
            Room::MayNotFit { reason } => reason,
            Room::Unknown => panic!("everything is seen"),
        }
    }

    #[test]
    fn one_node_that_takes_it_is_enough() {
        let web = pod("shop", "web").on("node02").requesting(1000, GIB);
        assert_eq!(reason(&web, None, [node("a").cordoned(), node("b")]), "");
        assert_eq!(reason(&web, None, []), "there is no other node");
    }

    #[test]
    fn each_cause_is_counted() {
        let web = pod("shop", "web").requesting(1000, GIB).selecting_nodes("disk", "ssd");
        let ssd = |name: &str| node(name).label("disk", "ssd");
        let others = [
            ssd("a").cordoned(),
            ssd("b").cordoned(),
            ssd("c").not_ready(),
            ssd("d").tainted("dedicated", "NoSchedule"),
            node("e"),
            ssd("f").giving(500, 32 * GIB),
            ssd("g").giving(8000, GIB / 2),
        ];
        assert_eq!(
            reason(&web, None, others),
            "other nodes: 2 cordoned, 1 not ready, 1 with a taint that it does not tolerate, 1 without enough CPU, \
             1 without enough memory, 1 without the labels of its node selector"
        );
        let tolerating = web.tolerating("dedicated");
        assert_eq!(reason(&tolerating, None, [ssd("d").tainted("dedicated", "NoSchedule")]), "");
    }

    #[test]
    fn what_runs_there_already_counts_and_what_has_ended_does_not() {
        let web = pod("shop", "web").requesting(3000, 0);
        let room = |there: Pod| {
            let snapshot =
                Snapshot::default().with(node("node02")).with(node("a").giving(4000, GIB)).with(there.on("a"));
            Elsewhere::than(&node_name("node02"), &snapshot).has_room_for(&web, None)
        };
        let other = pod("shop", "other").requesting(2000, 0);
        assert!(matches!(room(other.clone()), Room::MayNotFit { .. }));
        assert_eq!(room(other.finished()), Room::Fits);
    }

    #[test]
    fn a_migration_needs_the_same_cpu_vendor_and_the_machine_type() {
        let (db, mut vm) = (launcher("shop", "db"), vmi("shop", "db"));
        let intel = || node("a").label("cpu-vendor.node.kubevirt.io/Intel", "true");
        assert_eq!(reason(&db, None, [node("a")]), "");
        assert_eq!(reason(&db, Some(&vm), [node("a")]), "other nodes: 1 with another CPU vendor");
        assert_eq!(reason(&db, Some(&vm), [intel()]), "");
        vm.machine_type = Some("pc-q35-9.6".to_owned());
        assert_eq!(reason(&db, Some(&vm), [intel()]), "other nodes: 1 that cannot run its machine type");
        let newer = intel().label("machine-type.node.kubevirt.io/pc-q35-9.6", "true");
        assert_eq!(reason(&db, Some(&vm), [newer]), "");
        assert_eq!(reason_of(node("node02"), &db, Some(&vm), [node("a")]), "", "an older KubeVirt has no such labels");
    }

    #[test]
    fn a_script_that_sees_only_its_nodes_does_not_guess() {
        let snapshot = Snapshot::of(View::Nodes).with(node("node02")).with(node("a"));
        let room = Elsewhere::than(&node_name("node02"), &snapshot).has_room_for(&pod("shop", "web"), None);
        assert_eq!(room, Room::Unknown);
    }
}
