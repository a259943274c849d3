//! The resources of `/api/v1`, one file each. A handler is thin: it calls `core` and shapes the answer; who may has
//! been checked before it runs.
//!
//! | file | paths |
//! |---|---|
//! | `nodes` | `/nodes`, `/nodes/{node}` |
//! | `workloads` | `/nodes/{node}/workloads` |
//! | `plan` | `/nodes/{node}/plan` |
//! | `cordon` | `/nodes/{node}/cordon`, `/nodes/{node}/uncordon` |
//! | `taints` | `/nodes/{node}/taints` |
//! | `drain` | `/nodes/{node}/drain` |
//! | `node_maintenance` | `/nodes/{node}/maintenance` |
//! | `maintenances` | `/maintenances`, `/maintenances/{name}` |
//! | `events` | `/events`, `/maintenances/{name}/events`, `/nodes/{node}/drain/events` |
//! | `virtual_machine_instances` | `/virtualmachineinstances`, and to migrate one |
//! | `migrations` | `/migrations`, `/migrations/{namespace}/{name}` |
//! | `seen` | what is shown to whom |
//! | `bodies`, `paths`, `drain_options` | what several of them take |
//! | `maintenance_answers` | what the two resources of maintenances have in common |
//! | `idempotency` | `Idempotency-Key` |

mod bodies;
mod cordon;
mod drain;
mod drain_options;
mod events;
mod idempotency;
mod maintenance_answers;
mod maintenances;
mod migrations;
mod node_maintenance;
mod nodes;
mod paths;
mod plan;
mod seen;
mod taints;
mod virtual_machine_instances;
mod workloads;

use utoipa_axum::router::OpenApiRouter;

use super::Api;

/// The routes of the contract, from `/api/v1`.
pub(super) fn resources() -> OpenApiRouter<Api> {
    let v1 = OpenApiRouter::new()
        .merge(nodes::routes())
        .merge(workloads::routes())
        .merge(plan::routes())
        .merge(cordon::routes())
        .merge(taints::routes())
        .merge(drain::routes())
        .merge(node_maintenance::routes())
        .merge(maintenances::routes())
        .merge(events::routes())
        .merge(virtual_machine_instances::routes())
        .merge(migrations::routes());
    OpenApiRouter::new().nest("/api/v1", v1)
}
