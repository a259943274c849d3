//! What people ask for, as every face offers it: each operation is a typed request and a typed outcome, decided by a
//! pure function of the snapshot and carried out by a thin call.
//!
//! | file | holds |
//! |---|---|
//! | `error` | why an operation was not carried out: one vocabulary for all faces |
//! | `holder` | who acts on a node |
//! | `node` | cordon, uncordon, taint, untaint |
//! | `maintenance` | start (or change) and stop a maintenance |
//! | `once` | start a maintenance once, under a key |
//! | `drain` | order a drain, and cancel it |
//! | `migration` | migrate a VM, and cancel a migration |
//! | `settle` | when an operation is done, or stuck |
//!
//! Who may ask is the business of the face; what is done is done with Careen's own rights.

mod drain;
mod error;
mod holder;
mod maintenance;
mod migration;
mod node;
mod once;
mod settle;
#[cfg(test)]
mod tests;

use crate::{clock::Clock, cluster::Cluster, model::Uid};

pub use drain::{CancelDrain, Cancelled, OrderDrain, Ordered, drain_to_cancel};
pub use error::{OperationError, OperationErrorKind};
pub use holder::{Holder, holder};
pub(crate) use holder::{holder_with, is_accepted};
pub use maintenance::{IfExists, MaintenanceChange, StartMaintenance, Started, StopMaintenance, StopTarget, Stopped};
pub use migration::{CancelMigration, MigrateInstance, MigrationCancelled, MigrationRequested};
pub use node::{NodeChanged, Taint, TakeBack, Untaint};
pub use once::{OnceError, OnceKey, OnceOutcome, StartedOnce};
pub use settle::{
    drain_is_over, drain_is_settled, drain_is_shown, maintenance_has_ended, maintenance_is_settled, maintenance_shown,
    stop_is_shown,
};

/// An object that keeps changing is read anew so many times.
const ATTEMPTS: u32 = 5;

/// The operations on one cluster. Cloning shares the connection.
#[derive(Clone, Debug)]
pub struct Operations {
    cluster: Cluster,
    clock: Clock,
    /// Careen's own namespace: of the drain orders and the receipts.
    namespace: String,
    /// Key of the taint that a maintenance adds.
    drain_taint_key: String,
}

impl Operations {
    /// The operations on that cluster. `namespace` is Careen's own, `drain_taint_key` the key of the taint that a
    /// maintenance adds.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        clock: Clock,
        namespace: impl Into<String>,
        drain_taint_key: impl Into<String>,
    ) -> Self {
        Self { cluster, clock, namespace: namespace.into(), drain_taint_key: drain_taint_key.into() }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

/// An id that no other drain has: 128 random bits. Nothing depends on it being unguessable.
#[must_use]
pub fn new_drain_id() -> Uid {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    Uid(format!("{:016x}{:016x}", random(), random()))
}
