//! A VM that runs, as people see it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{MigrationView, OwnerView, Views};
use crate::{
    model::{
        NodeName, ObjectKey, Restarts, Uid,
        virtual_machine::{LiveMigratable, VirtualMachineInstance, VmiPhase},
    },
    plan::{restarts, strategy_of},
};

/// A `VirtualMachineInstance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "VirtualMachineInstance")]
pub struct VirtualMachineInstanceView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
    /// What it does.
    pub phase: VmiPhase,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Where it runs.
    pub node: Option<NodeName>,
    /// Its `VirtualMachine`, a pool or a replica set.
    pub owner: Option<OwnerView>,
    /// The eviction strategy in force.
    pub eviction_strategy: String,
    /// Where that comes from.
    pub strategy_from: StrategyOrigin,
    /// Whether it can migrate live; absent while KubeVirt has not worked it out.
    pub live_migratable: Option<bool>,
    /// KubeVirt's reason, where it cannot.
    pub not_migratable_reason: Option<String>,
    /// KubeVirt's message, where it cannot.
    pub not_migratable_message: Option<String>,
    /// The run strategy of its `VirtualMachine`, where there is one that is known.
    pub run_strategy: Option<String>,
    /// Whether it starts again by itself when it is shut down.
    pub restarts: bool,
    /// Why not, or not surely.
    pub will_not_restart_because: Option<String>,
    /// KubeVirt's mark that it has to leave that node.
    pub evacuation_node: Option<NodeName>,
    /// Its migration, wanted, under way or failed.
    pub migration: Option<MigrationView>,
}

/// Where an eviction strategy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum StrategyOrigin {
    /// The VMI itself.
    VirtualMachineInstance,
    /// The cluster's configuration, or KubeVirt's default.
    Cluster,
}

impl Views {
    /// The VMI of that namespace and name.
    #[must_use]
    pub fn virtual_machine_instance(&self, key: &ObjectKey) -> Option<VirtualMachineInstanceView> {
        self.snapshot.virtual_machine_instance(key).map(|vmi| self.instance(vmi))
    }

    /// All VMIs, by namespace and name.
    pub fn virtual_machine_instances(&self) -> impl Iterator<Item = VirtualMachineInstanceView> {
        self.snapshot.virtual_machine_instances().map(|vmi| self.instance(vmi))
    }

    pub(super) fn instance(&self, vmi: &VirtualMachineInstance) -> VirtualMachineInstanceView {
        let (live_migratable, why) = match &vmi.live_migratable {
            LiveMigratable::Yes => (Some(true), None),
            LiveMigratable::No { reason, message } => (Some(false), Some((reason.clone(), message.clone()))),
            LiveMigratable::NotKnownYet => (None, None),
        };
        let (not_migratable_reason, not_migratable_message) = why.unzip();
        let restarts = restarts(vmi, &self.snapshot);
        let vm = vmi
            .owner
            .as_ref()
            .filter(|owner| owner.kind == "VirtualMachine")
            .and_then(|owner| self.snapshot.virtual_machine(&ObjectKey::new(&vmi.key.namespace, &owner.name)));
        let strategy_from = match &vmi.eviction_strategy {
            Some(_) => StrategyOrigin::VirtualMachineInstance,
            None => StrategyOrigin::Cluster,
        };
        VirtualMachineInstanceView {
            namespace: vmi.key.namespace.clone(),
            name: vmi.key.name.clone(),
            uid: vmi.uid.clone(),
            phase: vmi.phase,
            deleting: vmi.deleting,
            node: vmi.node.clone(),
            owner: vmi.owner.as_ref().map(OwnerView::from),
            eviction_strategy: strategy_of(vmi, &self.snapshot).clone().into(),
            strategy_from,
            live_migratable,
            not_migratable_reason,
            not_migratable_message,
            run_strategy: vm.map(|vm| vm.run_strategy.as_str().to_owned()),
            restarts: restarts == Restarts::Yes,
            will_not_restart_because: match restarts {
                Restarts::Yes => None,
                Restarts::No(why) => Some(why),
            },
            evacuation_node: vmi.evacuation_node.clone(),
            migration: self.migration_of(vmi),
        }
    }
}
