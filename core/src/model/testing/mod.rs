//! Model objects for tests, built so that a test reads as prose:
//! `pod("shop", "web-1").on("node02").owned_by("ReplicaSet", "web").label("app", "web")`.
//!
//! Each function gives the plain model struct in its most ordinary state; the methods change one thing each.
//! UIDs follow from the names (`uid-shop-web-1`), so that owners find each other without being told.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "only tests build objects this way")]

mod budget;
mod drain_order;
mod maintenance;
mod node;
mod pod;
mod virtual_machine;

use jiff::Timestamp;

pub use budget::budget;
pub use drain_order::drain_order;
pub use maintenance::maintenance;
pub use node::node;
pub use pod::{hotplug_pod, launcher, pod};
pub use virtual_machine::{migration, vm, vmi};

use super::{NodeName, Owner, Uid};
use crate::cluster::{Kept, Snapshot};

/// The UID that these builders give to an object of that name.
#[must_use]
pub fn uid(namespace: &str, name: &str) -> Uid {
    Uid(format!("uid-{namespace}-{name}"))
}

/// A node name.
#[must_use]
pub fn node_name(name: &str) -> NodeName {
    name.parse().expect("a test names nodes that Kubernetes would take")
}

/// A time: that many seconds after the beginning of 2026.
#[must_use]
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a test stays within the calendar")
}

fn owner(namespace: &str, kind: &str, name: &str) -> Owner {
    let api_version = match kind {
        "VirtualMachineInstance" | "VirtualMachine" => "kubevirt.io/v1",
        "Job" => "batch/v1",
        "Pod" | "Node" | "ReplicationController" => "v1",
        _ => "apps/v1",
    };
    Owner {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid(namespace, name),
        is_controller: true,
    }
}

impl Snapshot {
    /// The snapshot with that object in it.
    #[must_use]
    pub fn with<K: Kept>(mut self, object: K) -> Self {
        self.put(object);
        self
    }

    /// The snapshot with those objects in it.
    #[must_use]
    pub fn with_all<K: Kept>(self, objects: impl IntoIterator<Item = K>) -> Self {
        objects.into_iter().fold(self, Self::with)
    }
}
