//! Whether a VM is on its way already: KubeVirt's mark and its migrations, as the caches show them.

use crate::{
    cluster::Snapshot,
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
pub(super) fn motion(pod: &Pod, verdict: &Verdict, node: &NodeName, snapshot: &Snapshot) -> Motion {
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
        return Motion::Waits(
            last_failed(vmi, snapshot).map_or_else(|| not_begun(vmi), |failed| backing_off(failed, "again")),
        );
    };
    if migration.phase != MigrationPhase::Pending {
        return Motion::Moving { migration: Some(migration.key.name.clone()) };
    }
    Motion::Waits(last_failed(vmi, snapshot).map_or_else(
        || queued(migration, snapshot),
        |failed| backing_off(failed, &format!("migration {}", migration.key)),
    ))
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

fn queued(migration: &Migration, snapshot: &Snapshot) -> Block {
    let waiting = snapshot.migrations().filter(|m| m.phase == MigrationPhase::Pending).count();
    let running = snapshot.migrations().filter(|m| !m.is_finished()).count() - waiting;
    let limits = snapshot.kubevirt();
    let message = format!(
        "migration {} waits for a place: {running} run and {waiting} wait in the cluster, and KubeVirt allows {} at once, {} from one node",
        migration.key, limits.parallel_migrations_per_cluster, limits.parallel_outbound_migrations_per_node
    );
    Block::new(BlockReason::MigrationQueued, message)
}

fn backing_off(failed: &Migration, next: &str) -> Block {
    let reason = failed.failure_reason.as_deref().unwrap_or("KubeVirt gives no reason");
    let message = format!("migration {} failed ({reason}); KubeVirt tries {next} after a while", failed.key);
    Block::new(BlockReason::MigrationBackoff, message)
}
