//! What would become of a launcher pod that has not ended, and so of the VM in it.
//!
//! What KubeVirt answers to the eviction of a launcher pod is in
//! `pkg/virt-api/webhooks/validating-webhook/admitters/pod-eviction-admitter.go`; here it is known beforehand.

use super::{
    Block, BlockReason, MigrateBy, ShutDownBy, Verdict,
    classify::vmi_of,
    restart::{restarts, shut_down},
};
use crate::{
    cluster::{Snapshot, View},
    model::{
        DrainOptions, NodeName, ObjectKey, Pod, ShutDownOrBlock, ShutDownOrMigrate,
        virtual_machine::{EvictionStrategy, LiveMigratable, VirtualMachineInstance, VmiPhase},
    },
};

/// Whether the VM is on its way from that node, or has left it: KubeVirt's mark names the node, a migration is not
/// over, or the VM runs elsewhere. Its launcher pod is not evicted (again): with `LiveMigrateIfPossible` that could
/// shut the VM down in mid-migration.
#[must_use]
pub fn is_moving(vmi: &VirtualMachineInstance, node: &NodeName, snapshot: &Snapshot) -> bool {
    vmi.evacuation_node.as_ref() == Some(node)
        || snapshot.unfinished_migration_of(&vmi.key).is_some()
        || vmi.node.as_ref().is_some_and(|runs_on| runs_on != node)
}

/// The eviction strategy in force: the VMI's own, else the cluster's.
#[must_use]
pub fn strategy_of<'a>(vmi: &'a VirtualMachineInstance, snapshot: &'a Snapshot) -> &'a EvictionStrategy {
    vmi.eviction_strategy.as_ref().unwrap_or(&snapshot.kubevirt().eviction_strategy)
}

/// Whether KubeVirt's webhook is asked about the eviction of that launcher pod: it is called for these names only, and
/// lets pods without the annotation pass. The eviction of any other launcher pod shuts its VM down.
pub(super) fn is_guarded_by_webhook(launcher: &Pod) -> bool {
    launcher.key.name.starts_with("virt-launcher") && launcher.annotations.contains_key(Pod::DOMAIN_ANNOTATION)
}

pub(super) fn verdict(pod: &Pod, snapshot: &Snapshot, options: &DrainOptions) -> Verdict {
    let Some(vmi) = vmi_of(pod, snapshot) else { return without_vmi(pod, snapshot) };
    match (role(pod, vmi, snapshot), pod.deletion.is_some()) {
        (Role::Target | Role::Left, true) => Verdict::Evict,
        (Role::Target, false) => migration_incoming(pod),
        (Role::Left, false) => Verdict::Migrate(migrates_by(pod, vmi, snapshot)),
        // It ends by itself, without a migration; until it has, it is work left.
        (Role::Runs, _) if vmi.phase == VmiPhase::Ended => Verdict::Evict,
        (Role::Runs, true) => Verdict::ShutDown { restarts: restarts(vmi, snapshot), by: ShutDownBy::Eviction },
        (Role::Runs, false) if vmi.deleting => {
            Verdict::ShutDown { restarts: restarts(vmi, snapshot), by: ShutDownBy::DeletingTheInstance }
        }
        (Role::Runs, false) => running(pod, vmi, snapshot, options),
    }
}

/// What a launcher pod is to its VM.
enum Role {
    /// The VM runs in it.
    Runs,
    /// The VM is about to arrive in it, or was until its migration failed.
    Target,
    /// The VM has left it for another node; the pod ends by itself in a moment.
    Left,
}

fn role(pod: &Pod, vmi: &VirtualMachineInstance, snapshot: &Snapshot) -> Role {
    // Every pod that a VM has migrated into keeps this annotation for as long as it lives.
    let came_by = pod.annotations.get(Pod::MIGRATION_ANNOTATION);
    let unfinished = came_by.is_some_and(|name| {
        snapshot.migrations_of(&vmi.key).any(|migration| migration.key.name == *name && !migration.is_finished())
    });
    let is_last_target = || {
        let target = vmi.migration_state.as_ref().and_then(|state| state.target_pod.as_ref());
        target == Some(&pod.key.name)
    };
    if unfinished {
        Role::Target
    } else if vmi.node.is_none() || vmi.node == pod.node {
        Role::Runs
    } else if came_by.is_some() && (is_last_target() || snapshot.view() == View::Nodes) {
        Role::Target
    } else {
        Role::Left
    }
}

fn without_vmi(pod: &Pod, snapshot: &Snapshot) -> Verdict {
    if pod.deletion.is_some() {
        Verdict::Evict
    } else if snapshot.view() == View::Nodes && pod.annotations.contains_key(Pod::MIGRATION_ANNOTATION) {
        // Its VM still runs on a node that this snapshot does not show.
        migration_incoming(pod)
    } else {
        let name = pod.controller().map_or("", |owner| owner.name.as_str());
        let vmi = ObjectKey::new(&pod.key.namespace, name);
        let message = format!(
            "VirtualMachineInstance {vmi} of launcher pod {} does not exist, so KubeVirt refuses its eviction for ever: delete the pod",
            pod.key
        );
        Block::new(BlockReason::OrphanedLauncher, message).into()
    }
}

fn migration_incoming(pod: &Pod) -> Verdict {
    let migration = pod.annotations.get(Pod::MIGRATION_ANNOTATION).map_or("", String::as_str);
    let message = format!("it is the target of migration {}/{migration}, which is not over", pod.key.namespace);
    Block::new(BlockReason::MigrationIncoming, message).into()
}

/// A VM that runs (or starts) in this pod, and that nobody is taking down.
fn running(pod: &Pod, vmi: &VirtualMachineInstance, snapshot: &Snapshot, options: &DrainOptions) -> Verdict {
    let migrate = || Verdict::Migrate(migrates_by(pod, vmi, snapshot));
    // Whoever has begun it, and whatever else would become of the VM.
    if snapshot.unfinished_migration_of(&vmi.key).is_some() {
        return migrate();
    }
    let is_starting = vmi.phase == VmiPhase::Starting || vmi.live_migratable == LiveMigratable::NotKnownYet;
    match strategy_of(vmi, snapshot) {
        EvictionStrategy::None => match options.vm_without_strategy {
            ShutDownOrMigrate::Migrate if is_starting => starting(vmi),
            ShutDownOrMigrate::Migrate
                if vmi.phase == VmiPhase::Running && vmi.live_migratable == LiveMigratable::Yes =>
            {
                migrate()
            }
            _ => shut_down(vmi, ShutDownBy::Eviction, snapshot, options),
        },
        EvictionStrategy::LiveMigrate | EvictionStrategy::LiveMigrateIfPossible if is_starting => starting(vmi),
        EvictionStrategy::LiveMigrate => {
            cannot_migrate(vmi).map_or_else(migrate, |block| give_up(block, vmi, snapshot, options))
        }
        EvictionStrategy::LiveMigrateIfPossible => match cannot_migrate(vmi) {
            None => migrate(),
            // KubeVirt may be about to migrate it all the same, and an eviction would shut it down in the middle.
            Some(block) if vmi.evacuation_node.is_some() => give_up(block, vmi, snapshot, options),
            Some(_) => shut_down(vmi, ShutDownBy::Eviction, snapshot, options),
        },
        EvictionStrategy::External => Block::new(
            BlockReason::ExternalStrategy,
            format!(
                "VirtualMachineInstance {} has evictionStrategy External: whoever is responsible for it has to migrate or stop it",
                vmi.key
            ),
        )
        .into(),
        EvictionStrategy::Unknown(strategy) => Block::new(
            BlockReason::UnknownStrategy,
            format!(
                "VirtualMachineInstance {} has evictionStrategy {strategy}, which this version does not know: migrate or stop it by hand",
                vmi.key
            ),
        )
        .into(),
    }
}

fn migrates_by(pod: &Pod, vmi: &VirtualMachineInstance, snapshot: &Snapshot) -> MigrateBy {
    if *strategy_of(vmi, snapshot) == EvictionStrategy::None || !is_guarded_by_webhook(pod) {
        MigrateBy::OwnMigration
    } else {
        MigrateBy::Evacuation
    }
}

fn starting(vmi: &VirtualMachineInstance) -> Verdict {
    let message =
        format!("VirtualMachineInstance {} is still starting; whether it can migrate is known when it runs", vmi.key);
    Block::new(BlockReason::VirtualMachineStarting, message).into()
}

fn cannot_migrate(vmi: &VirtualMachineInstance) -> Option<Block> {
    let LiveMigratable::No { reason, message } = &vmi.live_migratable else { return None };
    Some(Block::new(
        BlockReason::NotLiveMigratable,
        format!(
            "VirtualMachineInstance {} cannot migrate ({reason}: {message}): make it migratable, stop it, or set vmThatCannotMigrate: ShutDown",
            vmi.key
        ),
    ))
}

/// KubeVirt would refuse every eviction of a VM that has to migrate and cannot.
fn give_up(block: Block, vmi: &VirtualMachineInstance, snapshot: &Snapshot, options: &DrainOptions) -> Verdict {
    match options.vm_that_cannot_migrate {
        ShutDownOrBlock::Block => block.into(),
        ShutDownOrBlock::ShutDown => shut_down(vmi, ShutDownBy::DeletingTheInstance, snapshot, options),
    }
}

#[cfg(test)]
mod tests;
