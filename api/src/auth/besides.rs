//! What some operations need besides what the table says, because of what is asked of them. Both faces ask for these.

use careen_core::{
    cluster::Snapshot,
    model::{DrainSpec, LeaveOrAbort, NodeName, ShutDownOrBlock, ShutDownOrMigrate},
    operation::TakeBack,
};

use super::{
    Right,
    operations::{CANCEL_EVACUATION, migrations, vmis},
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

/// What it needs to cancel a drain with these options, wherever VMs are.
pub(crate) fn rights_of_cancel(options: &DrainSpec) -> Vec<Right> {
    match options.running_migrations_on_stop {
        Some(LeaveOrAbort::Abort) => vec![migrations("delete").everywhere()],
        Some(LeaveOrAbort::Leave) | None => Vec::new(),
    }
}

/// What it needs to uncordon a node that carries the record of an operation that is gone: what that has asked of KubeVirt is
/// taken back, as whoever cancels a drain does. Without the right it is not allowed, should there be something after all.
pub(crate) fn rights_of_uncordon(node: &NodeName, snapshot: &Snapshot) -> (TakeBack, Vec<Right>) {
    if TakeBack::is_needed(node, snapshot) {
        (TakeBack::Allowed, vec![CANCEL_EVACUATION.everywhere()])
    } else {
        (TakeBack::NotAllowed, Vec::new())
    }
}
