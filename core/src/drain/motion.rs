//! Whether a VM is on its way already: KubeVirt's mark and its migrations, as the caches show them.

use super::machine::Draft;
use crate::{
    cluster::Snapshot,
    migration::migration_progress,
    model::{
        NodeName, Pod,
        virtual_machine::{Migration, MigrationPhase, VirtualMachineInstance},
    },
    plan::{Block, BlockReason, Verdict, is_moving, vmi_of},
};

/// What a VM does at the moment.
pub(super) enum Motion {
    /// Nothing that would take it from the node.
    Still,
    /// It is being migrated, or about to be.
    Moving { migration: Option<String> },
    /// It is to be migrated, and waits for something.
    Waits(Block),
}

/// What the VM of a launcher pod does; ordinary pods are still.
pub(super) fn motion(pod: &Pod, verdict: &Verdict, node: &NodeName, draft: &Draft<'_>) -> Motion {
    let snapshot = draft.snapshot;
    let Some(vmi) = vmi_of(pod, snapshot) else { return Motion::Still };
    match verdict {
        Verdict::Migrate(_) if is_moving(vmi, node, snapshot) => {}
        // KubeVirt's mark is on it; whoever is responsible has not begun.
        Verdict::Blocked(block) if vmi.evacuation_node.as_ref() == Some(node) => return Motion::Waits(block.clone()),
        _ => return Motion::Still,
    }
    let Some(migration) = snapshot.unfinished_migration_of(&vmi.key) else {
        if vmi.node.as_ref().is_some_and(|runs_on| runs_on != node) {
            return Motion::Moving { migration: None };
        }
        return Motion::Waits(last_failed(vmi, snapshot).map_or_else(|| not_begun(vmi), backing_off));
    };
    let obstacle = migration_progress(vmi, draft.queue(), snapshot, draft.now).and_then(|progress| progress.obstacle());
    match obstacle {
        Some(block) => Motion::Waits(block),
        None => Motion::Moving { migration: Some(migration.key.name.clone()) },
    }
}

/// The last migration that is over, if it failed: KubeVirt waits the longer, the more have failed in a row.
fn last_failed<'a>(vmi: &VirtualMachineInstance, snapshot: &'a Snapshot) -> Option<&'a Migration> {
    let finished = snapshot.migrations_of(&vmi.key).filter(|migration| migration.is_finished());
    let last = finished.max_by_key(|migration| migration.created)?;
    (last.phase == MigrationPhase::Failed).then_some(last)
}

fn not_begun(vmi: &VirtualMachineInstance) -> Block {
    let message =
        format!("KubeVirt is asked to evacuate VirtualMachineInstance {}, and has not made a migration yet", vmi.key);
    Block::new(BlockReason::MigrationQueued, message)
}

fn backing_off(failed: &Migration) -> Block {
    let reason = failed.failure_reason.as_deref().unwrap_or("KubeVirt gives no reason");
    let message = format!("migration {} failed ({reason}); KubeVirt tries again after a while", failed.key);
    Block::new(BlockReason::MigrationBackoff, message)
}
