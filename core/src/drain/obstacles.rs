//! What is in the way, in sentences that name it.

use crate::{
    cluster::Snapshot,
    model::{Node, NodeName, ObjectKey, Pod, Readiness},
    plan::{Block, BlockReason, vmi_of},
};

pub(super) fn unreachable(node: &Node) -> Option<Block> {
    match &node.readiness {
        Readiness::Ready => None,
        Readiness::NotReady { message, .. } => Some(Block::new(
            BlockReason::NodeUnreachable,
            format!(
                "node {} is not ready ({message}): bring its kubelet back, or power it off and delete the Node",
                node.name
            ),
        )),
    }
}

/// A VM on its way to the node, whose pod here need not be in the caches yet.
pub(super) fn arriving(node: &NodeName, snapshot: &Snapshot) -> Option<Block> {
    let migration = snapshot.migrations().filter(|migration| !migration.is_finished()).find(|migration| {
        let vmi = snapshot.virtual_machine_instance(&migration.instance_key());
        let state = vmi.and_then(|vmi| vmi.state_of(migration));
        state.is_some_and(|state| state.target_node.as_deref() == Some(node.as_str()))
    })?;
    let message = format!("migration {} brings a VM to node {node}, and is not over", migration.key);
    Some(Block::new(BlockReason::MigrationIncoming, message))
}

pub(super) fn termination_overdue(pod: &Pod) -> Block {
    let message = if pod.finalizers.is_empty() {
        format!("pod {} has not ended although its grace is over: look at the kubelet of its node", pod.key)
    } else {
        format!("pod {} has ended but its finalizers hold it: {}", pod.key, pod.finalizers.join(", "))
    };
    Block::new(BlockReason::TerminationOverdue, message)
}

pub(super) fn evacuation_withdrawn(pod: &Pod, snapshot: &Snapshot) -> Block {
    let vmi = vmi_of(pod, snapshot).map_or_else(String::new, |vmi| vmi.key.to_string());
    let message = format!(
        "somebody took KubeVirt's evacuation of VirtualMachineInstance {vmi} back: change spec.drain to ask for it again, or move the VM by hand"
    );
    Block::new(BlockReason::EvacuationWithdrawn, message)
}

pub(super) fn deletion_overdue(vmi: &ObjectKey) -> Block {
    let message = format!(
        "VirtualMachineInstance {vmi} is being deleted, and its pod does not end: look at KubeVirt's virt-controller"
    );
    Block::new(BlockReason::TerminationOverdue, message)
}

pub(super) fn launcher_overdue(pod: &Pod) -> Block {
    let message =
        format!("the VM of pod {} has left the node, and the pod does not end: look at its virt-launcher", pod.key);
    Block::new(BlockReason::TerminationOverdue, message)
}

pub(super) fn nothing_shows() -> Block {
    let message = "the API server accepted the request, and nothing shows of it: it is asked again";
    Block::new(BlockReason::ApiServerUnavailable, message)
}

pub(super) fn quiet() -> Block {
    let message = "the API server asked for fewer requests: nothing is asked for a moment";
    Block::new(BlockReason::ApiServerUnavailable, message)
}

pub(super) fn goes_later() -> Block {
    let message = "it leaves after the workloads that are not critical to the cluster";
    Block::new(BlockReason::OrderedAfterOthers, message)
}
