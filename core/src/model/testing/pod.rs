//! Pods, for tests.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;

use super::{node_name, owner, uid};
use crate::model::{Deletion, ObjectKey, Owner, Pod, PodPhase, Resources, Scheduling};

/// A running, ready, unmanaged pod that is not bound yet.
#[must_use]
pub fn pod(namespace: &str, name: &str) -> Pod {
    Pod {
        key: ObjectKey::new(namespace, name),
        uid: uid(namespace, name),
        resource_version: "1".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        owners: Vec::new(),
        finalizers: Vec::new(),
        deletion: None,
        node: None,
        phase: PodPhase::Running,
        ready: true,
        priority: 0,
        has_empty_dir: false,
        termination_grace: Duration::from_secs(30),
        scheduling: Scheduling::default(),
    }
}

/// The launcher pod `virt-launcher-<vmi>-abcde` of a VMI: running, with an emptyDir, as all of them.
#[must_use]
pub fn launcher(namespace: &str, vmi: &str) -> Pod {
    pod(namespace, &format!("virt-launcher-{vmi}-abcde"))
        .owned_by("VirtualMachineInstance", vmi)
        .label("kubevirt.io", "virt-launcher")
        .annotated(Pod::DOMAIN_ANNOTATION, vmi)
        .with_empty_dir()
}

/// The pod that holds a disk that was plugged into a running VM: owned by the VM's launcher pod.
#[must_use]
pub fn hotplug_pod(launcher: &Pod, name: &str) -> Pod {
    let mut pod = pod(&launcher.key.namespace, name).label("kubevirt.io", "hotplug-disk");
    pod.owners.push(Owner { uid: launcher.uid.clone(), ..owner(&launcher.key.namespace, "Pod", &launcher.key.name) });
    pod.node.clone_from(&launcher.node);
    pod
}

impl Pod {
    /// Bound to that node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node_name(node));
        self
    }

    /// Under another name, and so with another UID.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.uid = uid(&self.key.namespace, name);
        name.clone_into(&mut self.key.name);
        self
    }

    /// With another UID: a pod re-created under its name.
    #[must_use]
    pub fn with_uid(mut self, uid: &str) -> Self {
        self.uid = uid.into();
        self
    }

    /// Controlled by that object (`apps/v1` unless its kind is a well-known one of another group).
    #[must_use]
    pub fn owned_by(mut self, kind: &str, name: &str) -> Self {
        self.owners.push(owner(&self.key.namespace, kind, name));
        self
    }

    /// With that label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With that annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With that priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// A static pod, as the API server shows it.
    #[must_use]
    pub fn mirrored(self) -> Self {
        self.annotated(Self::MIRROR_ANNOTATION, "hash")
    }

    /// The target of that migration.
    #[must_use]
    pub fn target_of(self, migration: &str) -> Self {
        self.annotated(Self::MIGRATION_ANNOTATION, migration)
    }

    /// Running but not ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Not running yet.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.phase = PodPhase::Pending;
        self.unready()
    }

    /// Ended well.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.phase = PodPhase::Succeeded;
        self.unready()
    }

    /// Being deleted; its grace ends then.
    #[must_use]
    pub fn terminating(mut self, deadline: Timestamp) -> Self {
        self.deletion = Some(Deletion { deadline, grace: self.termination_grace });
        self
    }

    /// With an emptyDir volume.
    #[must_use]
    pub fn with_empty_dir(mut self) -> Self {
        self.has_empty_dir = true;
        self
    }

    /// Asking for so much CPU (thousandths of a core) and memory (bytes).
    #[must_use]
    pub fn requesting(mut self, cpu_millis: u64, memory_bytes: u64) -> Self {
        self.scheduling.requests = Resources { cpu_millis, memory_bytes };
        self
    }

    /// With that node selector.
    #[must_use]
    pub fn selecting_nodes(mut self, key: &str, value: &str) -> Self {
        self.scheduling.node_selector.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Tolerating every taint of that key.
    #[must_use]
    pub fn tolerating(mut self, key: &str) -> Self {
        self.scheduling.tolerations.push(Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            ..Toleration::default()
        });
        self
    }
}
