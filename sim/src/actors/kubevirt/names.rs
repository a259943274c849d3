//! The kinds, labels, annotations and finalizers that KubeVirt's parts use between them, and the annotations of this
//! stand-in.
//! <https://github.com/kubevirt/kubevirt/blob/main/staging/src/kubevirt.io/api/core/v1/types.go>

pub use crate::actors::kinds::{NODE, POD};
use crate::actors::view::Kind;

const fn kubevirt(kind: &'static str, plural: &'static str) -> Kind {
    Kind { group: "kubevirt.io", version: "v1", kind, plural, namespaced: true }
}

/// `kubevirt.io/v1` `VirtualMachine`: what shall run.
pub const VIRTUAL_MACHINE: Kind = kubevirt("VirtualMachine", "virtualmachines");
/// `kubevirt.io/v1` `VirtualMachineInstance`: what runs. It has no status subresource.
pub const INSTANCE: Kind = kubevirt("VirtualMachineInstance", "virtualmachineinstances");
/// `kubevirt.io/v1` `VirtualMachineInstanceMigration`.
pub const MIGRATION: Kind = kubevirt("VirtualMachineInstanceMigration", "virtualmachineinstancemigrations");
/// `kubevirt.io/v1` `KubeVirt`: the configuration.
pub const KUBEVIRT: Kind = kubevirt("KubeVirt", "kubevirts");
/// Those of the kinds that own others, and are owned: for the garbage collector.
pub const KINDS: [Kind; 3] = [VIRTUAL_MACHINE, INSTANCE, MIGRATION];
/// `v1` `Event`.
pub const EVENT: Kind = Kind { group: "", version: "v1", kind: "Event", plural: "events", namespaced: true };

/// Label of pods: [`LAUNCHER`] or [`HOTPLUG`].
pub const APP: &str = "kubevirt.io";
/// The value of [`APP`] on the pod that a guest runs in.
pub const LAUNCHER: &str = "virt-launcher";
/// The value of [`APP`] on a pod that holds hot-plugged volumes.
pub const HOTPLUG: &str = "hotplug-disk";
/// Label of a launcher pod: the UID of its VMI.
pub const CREATED_BY: &str = "kubevirt.io/created-by";
/// Annotation of a launcher pod: the name of its VMI.
pub const DOMAIN: &str = "kubevirt.io/domain";
/// Label of a VMI: the node that it runs on.
pub const NODE_NAME: &str = "kubevirt.io/nodeName";
/// Label of a VMI: the node that it migrates to.
pub const MIGRATION_TARGET_NODE: &str = "kubevirt.io/migrationTargetNodeName";
/// Label of a migration's target pod: the UID of the migration.
pub const MIGRATION_JOB_UID: &str = "kubevirt.io/migrationJobUID";
/// Annotation of a migration's target pod: the name of the migration.
pub const MIGRATION_JOB_NAME: &str = "kubevirt.io/migrationJobName";
/// Label of a migration: the name of its VMI.
pub const VMI_NAME: &str = "kubevirt.io/vmi-name";
/// Annotation of a migration that evacuates: the node.
pub const EVACUATION_MIGRATION: &str = "kubevirt.io/evacuationMigration";
/// Annotation of a migration that brings a newer launcher.
pub const WORKLOAD_UPDATE_MIGRATION: &str = "kubevirt.io/workloadUpdateMigration";
/// Annotation of a VMI that the descheduler evicts: `descheduler`.
pub const EVICTION_SOURCE: &str = "kubevirt.io/eviction-source";
/// Annotation of a launcher pod whose VMI is marked: `true`.
pub const EVICTION_IN_PROGRESS: &str = "descheduler.alpha.kubernetes.io/eviction-in-progress";
/// Annotations that virt-controller puts on what it has seen.
pub const OBSERVED_API_VERSIONS: [&str; 2] =
    ["kubevirt.io/latest-observed-api-version", "kubevirt.io/storage-observed-api-version"];
/// Condition of a launcher pod, and its readiness gate.
pub const UNPAUSED: &str = "kubevirt.io/virtual-machine-unpaused";
/// Label of a node that VMs may run on: `true`.
pub const SCHEDULABLE: &str = "kubevirt.io/schedulable";
/// Prefix of a node's label: the maker of its processors.
pub const CPU_VENDOR: &str = "cpu-vendor.node.kubevirt.io/";
/// Prefix of a node's labels: the machine types that it offers.
pub const MACHINE_TYPE: &str = "machine-type.node.kubevirt.io/";
/// Annotation of a migration: seconds that its target pod may be unschedulable.
pub const UNSCHEDULABLE_TIMEOUT: &str = "kubevirt.io/migrationUnschedulablePodTimeoutSeconds";
/// Annotation of a migration: seconds that its target pod may be pending.
pub const PENDING_TIMEOUT: &str = "kubevirt.io/migrationPendingPodTimeoutSeconds";

/// Finalizer of a VMI: its launcher pods go first.
pub const INSTANCE_FINALIZER: &str = "kubevirt.io/foregroundDeleteVirtualMachine";
/// Finalizer of a VM, and of a VMI that belongs to one.
pub const MACHINE_FINALIZER: &str = "kubevirt.io/virtualMachineControllerFinalize";
/// Finalizer of a migration.
pub const MIGRATION_FINALIZER: &str = "kubevirt.io/migrationJobFinalize";

// --- settings of a VMI: annotations with the prefix of `actors::rules`, or rules ---

/// How long its guest takes to start.
pub const GUEST_STARTS_AFTER: &str = "guest-starts-after";
/// Its guest does not start.
pub const GUEST_NEVER_STARTS: &str = "guest-never-starts";
/// How long its guest takes to shut down.
pub const SHUTS_DOWN_AFTER: &str = "shuts-down-after";
/// Its guest shuts itself down after so long.
pub const POWERS_OFF_AFTER: &str = "powers-off-after";
/// Its guest crashes after so long.
pub const CRASHES_AFTER: &str = "crashes-after";
/// It cannot be migrated, with this as the reason.
pub const NOT_MIGRATABLE: &str = "not-migratable";
/// How long the target of its migration is prepared.
pub const PREPARES_FOR: &str = "prepares-for";
/// How long it takes to transfer its memory.
pub const MIGRATES_FOR: &str = "migrates-for";
/// Its migrations do not go beyond this phase, unless they are cancelled.
pub const MIGRATION_STAYS_IN: &str = "migration-stays-in";
/// So many of its next migrations fail. Each that does counts it down.
pub const MIGRATION_FAILS: &str = "migration-fails";
/// `PostCopy`.
pub const MIGRATION_MODE: &str = "migration-mode";
