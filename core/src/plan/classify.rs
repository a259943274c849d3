//! The one classifier: what would become of a pod on a node that is to be empty. It serves the plan, the drain, its
//! progress, and the last look before `Drained` is said, so that what the plan says is what happens.

use std::sync::Arc;

use super::{
    Block, BlockReason, SkipReason, Verdict, Workload, WorkloadKind, launcher,
    names::{HOTPLUG_DISK, KUBEVIRT_LABEL, VIRT_LAUNCHER, VMI_KIND},
};
use crate::{
    cluster::Snapshot,
    model::{DrainOptions, EvictOrBlock, ObjectKey, Owner, Pod, virtual_machine::VirtualMachineInstance},
};

/// A workload and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The pod, or the VM that it runs.
    pub workload: Workload,
    /// What would become of it.
    pub verdict: Verdict,
}

/// What would become of a pod that is bound to a node.
///
/// Budgets are not looked at here: they depend on which other pods go at the same time ([`super::Allowances`]).
/// A pod that terminates already is going whatever the options say, so it is never `Blocked`: it is `Evict` (for a VM
/// that goes down with it `ShutDown`), and there is nothing more to send.
#[must_use]
pub fn classify(pod: &Pod, snapshot: &Snapshot, options: &DrainOptions) -> Classified {
    Classified { workload: workload(pod), verdict: verdict(pod, snapshot, options) }
}

/// Whether a workload with that verdict has still to leave the node.
#[must_use]
pub fn is_work_left(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Skip(_))
}

/// Whether the pod runs a VM, or is about to: KubeVirt's label, and a VMI as controlling owner.
#[must_use]
pub fn is_launcher(pod: &Pod) -> bool {
    has_kubevirt_label(pod, VIRT_LAUNCHER) && vmi_owner(pod).is_some()
}

/// The VMI of a launcher pod, found by name and UID: a later VMI of the same name is another.
#[must_use]
pub fn vmi_of<'a>(pod: &Pod, snapshot: &'a Snapshot) -> Option<&'a Arc<VirtualMachineInstance>> {
    let owner = vmi_owner(pod)?;
    let key = ObjectKey::new(&pod.key.namespace, &owner.name);
    snapshot.virtual_machine_instance(&key).filter(|vmi| vmi.uid == owner.uid)
}

/// Whether the label `kubevirt.io` has that value.
pub(super) fn has_kubevirt_label(pod: &Pod, value: &str) -> bool {
    pod.labels.get(KUBEVIRT_LABEL).is_some_and(|label| label == value)
}

fn vmi_owner(pod: &Pod) -> Option<&Owner> {
    pod.controller().filter(|owner| owner.kind == VMI_KIND)
}

fn workload(pod: &Pod) -> Workload {
    let kind = match vmi_owner(pod) {
        Some(owner) if is_launcher(pod) => WorkloadKind::VirtualMachineInstance(owner.name.clone()),
        _ => WorkloadKind::Pod,
    };
    Workload { kind, pod: pod.key.clone(), uid: pod.uid.clone() }
}

fn verdict(pod: &Pod, snapshot: &Snapshot, options: &DrainOptions) -> Verdict {
    let launcher = is_launcher(pod);
    if let Some(reason) = stays(pod, options) {
        Verdict::Skip(reason)
    } else if pod.is_finished() {
        if launcher { Verdict::Skip(SkipReason::CompletedLauncher) } else { Verdict::Delete }
    } else if launcher {
        launcher::verdict(pod, snapshot, options)
    } else if pod.deletion.is_some() {
        Verdict::Evict
    } else if has_kubevirt_label(pod, HOTPLUG_DISK) {
        // It holds no data of its own, so the rules about lost data do not concern it.
        hotplug_block(pod, snapshot).map_or(Verdict::Evict, Verdict::Blocked)
    } else {
        data_block(pod, options).map_or(Verdict::Evict, Verdict::Blocked)
    }
}

/// Pods that no drain touches. As kubectl, but that finished DaemonSet pods stay too: their controller replaces them.
fn stays(pod: &Pod, options: &DrainOptions) -> Option<SkipReason> {
    let of_daemon_set = |owner: &Owner| owner.kind == "DaemonSet" && owner.api_version.starts_with("apps/");
    if pod.controller().is_some_and(of_daemon_set) {
        Some(SkipReason::DaemonSet)
    } else if pod.annotations.contains_key(Pod::MIRROR_ANNOTATION) {
        Some(SkipReason::Mirror)
    } else if options.pod_selector.as_ref().is_some_and(|selector| !selector.matches(&pod.labels)) {
        Some(SkipReason::Deselected)
    } else {
        None
    }
}

/// KubeVirt refuses to evict a hotplugged disk as long as the launcher pod that owns it runs
/// (`hotplug-pod-eviction-interceptor.kubevirt.io`).
fn hotplug_block(pod: &Pod, snapshot: &Snapshot) -> Option<Block> {
    let running_launcher = |owner: &Owner| {
        let key = ObjectKey::new(&pod.key.namespace, &owner.name);
        let launcher = snapshot.pod(&key).filter(|launcher| launcher.uid == owner.uid);
        launcher.is_some_and(|launcher| is_launcher(launcher) && !launcher.is_finished())
    };
    let owner = pod.owners.iter().find(|owner| owner.kind == "Pod" && running_launcher(owner))?;
    Some(Block::new(
        BlockReason::HotplugFollowsVirtualMachine,
        format!("it holds a disk of the VM in pod {}/{} and leaves with it", pod.key.namespace, owner.name),
    ))
}

/// What kubectl refuses without `--force` and `--delete-emptydir-data`, in its order.
fn data_block(pod: &Pod, options: &DrainOptions) -> Option<Block> {
    if pod.has_empty_dir && options.empty_dir_pods == EvictOrBlock::Block {
        return Some(Block::new(
            BlockReason::EmptyDirData,
            format!("pod {} has an emptyDir volume, whose data would be lost: set emptyDirPods: Evict", pod.key),
        ));
    }
    if pod.controller().is_none() && options.unmanaged_pods == EvictOrBlock::Block {
        return Some(Block::new(
            BlockReason::UnmanagedPod,
            format!(
                "pod {} has no controller that would start it again: delete it, or set unmanagedPods: Evict",
                pod.key
            ),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::DrainSpec,
        model::testing::{at, hotplug_pod, launcher, pod},
    };

    fn verdict_for(pod: &Pod, snapshot: &Snapshot, spec: &DrainSpec) -> Verdict {
        classify(pod, snapshot, &spec.for_drain().unwrap()).verdict
    }

    fn reason(verdict: &Verdict) -> Option<BlockReason> {
        match verdict {
            Verdict::Blocked(block) => Some(block.reason),
            _ => None,
        }
    }

    #[test]
    fn what_a_drain_does_not_touch_comes_first() {
        let spec = DrainSpec { pod_selector: Some("app!=cache".into()), ..DrainSpec::default() };
        let web = || pod("shop", "web").owned_by("ReplicaSet", "web");
        for (pod, expected) in [
            (pod("shop", "log").owned_by("DaemonSet", "log"), SkipReason::DaemonSet),
            (pod("shop", "log").owned_by("DaemonSet", "log").finished(), SkipReason::DaemonSet),
            (pod("kube-system", "etcd-cp1").owned_by("Node", "cp1").mirrored(), SkipReason::Mirror),
            (web().label("app", "cache").finished(), SkipReason::Deselected),
            (launcher("shop", "db").finished(), SkipReason::CompletedLauncher),
        ] {
            assert_eq!(verdict_for(&pod, &Snapshot::default(), &spec), Verdict::Skip(expected), "{}", pod.key);
            assert!(!is_work_left(&Verdict::Skip(expected)));
        }
        assert_eq!(verdict_for(&web(), &Snapshot::default(), &spec), Verdict::Evict);
        assert_eq!(verdict_for(&web().finished(), &Snapshot::default(), &spec), Verdict::Delete);
    }

    #[test]
    fn a_daemon_set_of_another_group_is_an_ordinary_controller() {
        let mut pod = pod("shop", "x").owned_by("DaemonSet", "x");
        pod.owners[0].api_version = "apps.kruise.io/v1alpha1".into();
        assert_eq!(verdict_for(&pod, &Snapshot::default(), &DrainSpec::default()), Verdict::Evict);
    }

    #[test]
    fn pods_that_lose_data_block_a_drain_and_not_a_maintenance() {
        let unmanaged = pod("shop", "debug");
        let scratch = pod("shop", "web").owned_by("ReplicaSet", "web").with_empty_dir();
        for (pod, expected) in [(unmanaged, BlockReason::UnmanagedPod), (scratch, BlockReason::EmptyDirData)] {
            let spec = DrainSpec::default();
            assert_eq!(reason(&verdict_for(&pod, &Snapshot::default(), &spec)), Some(expected));
            let maintenance = spec.for_maintenance().unwrap();
            assert_eq!(classify(&pod, &Snapshot::default(), &maintenance).verdict, Verdict::Evict);
            let going = pod.terminating(at(30));
            assert_eq!(verdict_for(&going, &Snapshot::default(), &spec), Verdict::Evict);
        }
    }

    #[test]
    fn a_hotplugged_disk_waits_for_its_vm() {
        let db = launcher("shop", "db").on("node02");
        let disk = hotplug_pod(&db, "hp-volume-1").with_empty_dir();
        let spec = DrainSpec::default();
        let with = |launcher: Pod| Snapshot::default().with(launcher);
        let blocked = verdict_for(&disk, &with(db.clone()), &spec);
        assert_eq!(reason(&blocked), Some(BlockReason::HotplugFollowsVirtualMachine));
        let later = db.clone().with_uid("a later pod of that name");
        for gone in [with(db.finished()), with(later), Snapshot::default()] {
            assert_eq!(verdict_for(&disk, &gone, &spec), Verdict::Evict);
        }
    }

    #[test]
    fn a_launcher_is_told_by_label_and_owner() {
        assert!(is_launcher(&launcher("shop", "db")));
        assert!(!is_launcher(&pod("shop", "fake").label("kubevirt.io", "virt-launcher")));
        assert!(!is_launcher(&pod("shop", "fake").owned_by("VirtualMachineInstance", "db")));
        let classified =
            classify(&launcher("shop", "db"), &Snapshot::default(), &DrainSpec::default().for_drain().unwrap());
        assert_eq!(classified.workload.kind, WorkloadKind::VirtualMachineInstance("db".into()));
    }
}
