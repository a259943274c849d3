//! The types of the schema, a file for each resource as in REST. A field is thin: it looks into the snapshot, or calls
//! `core`.
//!
//! | file | fields |
//! |---|---|
//! | `nodes` | `nodes`, `node`, `nodeChanged` |
//! | `workloads` | the workloads of a node |
//! | `budgets` | `budget`, and the pods that it covers |
//! | `plan` | `plan` |
//! | `cordon` | `cordonNode`, `uncordonNode` |
//! | `taints` | `taintNode`, `untaintNode` |
//! | `drain` | `drainNode`, `cancelDrain`, `drainProgress` |
//! | `maintenances` | `maintenances`, `maintenance`, `startMaintenance`, `stopMaintenance`, `maintenanceProgress` |
//! | `virtual_machine_instances` | `virtualMachineInstances`, `virtualMachineInstance`, `migrateVirtualMachineInstance` |
//! | `migrations` | `migrations`, `migration`, `cancelMigration` |
//! | `rights` | what is needed to see what; changes need what REST's table says |

pub(super) mod budgets;
pub(super) mod cordon;
pub(super) mod drain;
pub(super) mod maintenances;
pub(super) mod migrations;
pub(super) mod nodes;
pub(super) mod plan;
mod rights;
pub(super) mod taints;
pub(super) mod virtual_machine_instances;
pub(super) mod workloads;

use super::{
    shown::{Shown, Type, Types},
    stream::Streams,
};

/// What questions begin with.
#[derive(Debug)]
pub(super) struct Root;

/// Puts everything together.
pub(super) fn register(types: &mut Types) {
    nodes::register(types);
    workloads::register(types);
    budgets::register(types);
    plan::register(types);
    drain::register(types);
    maintenances::register(types);
    virtual_machine_instances::register(types);
    migrations::register(types);
    let query = Type::<Root>::empty(types, "Query", "What is known of the cluster, without asking the API server.");
    let query = migrations::query(virtual_machine_instances::query(query));
    maintenances::query(plan::query(budgets::query(nodes::query(query)))).done();
    cordon::register(types);
    let mutation =
        Type::<Root>::empty(types, "Mutation", "What can be done. Each can be repeated where it can in REST.");
    let mutation = drain::mutation(taints::mutation(cordon::mutation(mutation)));
    let mutation = migrations::mutation(virtual_machine_instances::mutation(mutation));
    maintenances::mutation(mutation).done();
}

/// Adds what can be followed.
pub(super) fn subscription(streams: Streams<'_>) -> Streams<'_> {
    drain::subscription(maintenances::subscription(nodes::subscription(streams)))
}
