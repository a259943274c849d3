//! The resources, one file each, named as in REST and GraphQL.
//!
//! | file | holds |
//! |---|---|
//! | `nodes`, `cordon`, `taints` | nodes, and what is done to one |
//! | `workloads`, `plan` | what is on a node, and what would become of it |
//! | `drain` | a drain in this process |
//! | `maintenances` | maintenances, which a controller carries out |
//! | `virtual_machine_instances`, `migrations` | VMs, and how they move |

mod cordon;
pub(crate) mod drain;
pub(crate) mod maintenances;
mod migrations;
pub(crate) mod nodes;
mod plan;
mod taints;
mod virtual_machine_instances;
mod workloads;

use pyo3::prelude::*;

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    nodes::add_to(module)?;
    cordon::add_to(module)?;
    taints::add_to(module)?;
    workloads::add_to(module)?;
    plan::add_to(module)?;
    drain::add_to(module)?;
    maintenances::add_to(module)?;
    migrations::add_to(module)?;
    virtual_machine_instances::add_to(module)
}
