//! VMs and migrations, for tests.

use jiff::Timestamp;

use super::{at, node_name, owner, uid};
use crate::model::{
    ObjectKey,
    virtual_machine::{
        EvictionStrategy, LiveMigratable, Migration, MigrationPhase, MigrationState, RunStrategy, VirtualMachine,
        VirtualMachineInstance, VmiPhase,
    },
};

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
        machine_type: None,
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
