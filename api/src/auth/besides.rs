//! What some operations need besides what the table says, because of what is asked of them. Both faces ask for these.

use careen_core::{
    cluster::Snapshot,
    model::{DrainSpec, LeaveOrAbort, NodeName, ShutDownOrBlock, ShutDownOrMigrate},
    operation::{CancelDrain, OperationError, TakeBack, drain_to_cancel},
};

use super::{
    Right,
    permission::{CANCEL_EVACUATION, maintenances, migrations, pods, vmis},
};

/// What a drain with these options needs, wherever VMs are.
pub(crate) fn rights_of_options(options: &DrainSpec) -> Vec<Right> {
    let mut rights = Vec::new();
    if options.vm_that_cannot_migrate == Some(ShutDownOrBlock::ShutDown) {
        rights.push(vmis("delete").everywhere());
    }
    if options.vm_without_strategy == Some(ShutDownOrMigrate::Migrate) {
        rights.push(migrations("create").everywhere());
    }
    rights
}

/// What it needs to be told which nodes have a maintenance, and which have none.
pub(crate) fn rights_of_filter(under_maintenance: Option<bool>) -> Vec<Right> {
    under_maintenance.map(|_| maintenances("list").everywhere()).into_iter().collect()
}

/// What the dry run of a start needs: it tells of the pods of the node.
pub(crate) fn rights_of_dry_run(dry_run: bool) -> Vec<Right> {
    if dry_run { vec![pods("list").everywhere()] } else { Vec::new() }
}

/// The cancel of the drain that is there now, and what it needs besides. It is of no other: one that is ordered while
/// the rights are asked for may need more.
pub(crate) fn cancel_of(
    request: CancelDrain,
    snapshot: &Snapshot,
) -> Result<(CancelDrain, Vec<Right>), OperationError> {
    let order = drain_to_cancel(&request, snapshot)?;
    let rights = match order.request.options.running_migrations_on_stop {
        Some(LeaveOrAbort::Abort) => vec![migrations("delete").everywhere()],
        Some(LeaveOrAbort::Leave) | None => Vec::new(),
    };
    Ok((CancelDrain { id: Some(order.id().clone()), ..request }, rights))
}

/// What it needs to uncordon a node that carries the record of an operation that is gone: what that has asked of
/// KubeVirt is taken back, as whoever cancels a drain does. Without the right it is not allowed, should there be
/// something after all.
pub(crate) fn rights_of_uncordon(node: &NodeName, snapshot: &Snapshot) -> (TakeBack, Vec<Right>) {
    if TakeBack::is_needed(node, snapshot) {
        (TakeBack::Allowed, vec![CANCEL_EVACUATION.everywhere()])
    } else {
        (TakeBack::NotAllowed, Vec::new())
    }
}
