//! KubeVirt's names that decisions look at: `kubevirt.io/api/core/v1/types.go`.

/// Label on every pod of KubeVirt: which part it is.
pub(super) const KUBEVIRT_LABEL: &str = "kubevirt.io";

/// The pod that runs a VM.
pub(super) const VIRT_LAUNCHER: &str = "virt-launcher";

/// The pod that holds a disk that was plugged into a running VM.
pub(super) const HOTPLUG_DISK: &str = "hotplug-disk";

/// The parts that answer and carry out evictions of launcher pods.
pub(super) const SERVE_EVICTION: [&str; 2] = ["virt-api", "virt-controller"];

/// Kind of a VMI.
pub(super) const VMI_KIND: &str = "VirtualMachineInstance";

/// Kind of a VM.
pub(super) const VM_KIND: &str = "VirtualMachine";
