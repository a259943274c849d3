//! What is shown to whom. What shows an object of another kind is null for who may not list that kind, as in GraphQL: a
//! node without its maintenance, a workload without its budgets. Nobody is asked about what is not there.

use std::borrow::Cow;

use careen_core::view::{DrainView, NodeView, VirtualMachineInstanceView, WorkloadView};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer, ser::Error};
use serde_json::{Value, json};

use crate::{
    auth::{
        Permission,
        permission::{budgets, maintenances, migrations, pods, vmis},
    },
    rest::{Api, frame::Account, page::List, problem::Problem, reason::Reason},
};

/// A workload, as somebody sees it.
#[derive(Debug)]
pub(super) struct SeenWorkload {
    view: WorkloadView,
    shows_budgets: bool,
}

impl Serialize for SeenWorkload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.shows_budgets {
            return self.view.serialize(serializer);
        }
        // An empty list would say that there is none.
        let mut view = serde_json::to_value(&self.view).map_err(S::Error::custom)?;
        view["budgets"] = Value::Null;
        view.serialize(serializer)
    }
}

impl JsonSchema for SeenWorkload {
    fn schema_name() -> Cow<'static, str> {
        WorkloadView::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = WorkloadView::json_schema(generator);
        if let Some(budgets) = schema.pointer_mut("/properties/budgets") {
            budgets["type"] = json!(["array", "null"]);
            budgets["description"] = json!("The budgets that cover it; null for who may not list budgets.");
        }
        schema
    }
}

impl Api {
    async fn may_see(&self, account: &Account, permission: Permission) -> Result<bool, Problem> {
        match self.demand_as_read(account, &[permission.everywhere()]).await {
            Ok(()) => Ok(true),
            Err(problem) if problem.reason() == Reason::FORBIDDEN => Ok(false),
            Err(problem) => Err(problem),
        }
    }
}

/// Nodes, as the caller sees them.
pub(super) async fn hide_of_nodes(api: &Api, account: &Account, nodes: &mut [NodeView]) -> Result<(), Problem> {
    if nodes.iter().any(|node| node.maintenance.is_some()) && !api.may_see(account, maintenances("list")).await? {
        for node in &mut *nodes {
            node.maintenance = None;
        }
    }
    if nodes.iter().any(|node| node.drain.is_some()) && !api.may_see(account, pods("list")).await? {
        for node in nodes {
            node.drain = None;
        }
    }
    Ok(())
}

/// A drain that somebody has ordered or cancelled, as they see it: who may not list pods is told of none. That
/// Kubernetes cannot be asked is no reason to show them.
pub(super) async fn seen_drain(api: &Api, account: &Account, mut drain: DrainView) -> DrainView {
    let names_pods = !drain.blocking.is_empty() || drain.waits_for.is_some() || drain.outcome.is_some();
    if names_pods && !api.may_see(account, pods("list")).await.unwrap_or(false) {
        drain.blocking.clear();
        drain.waits_for = None;
        if let Some(outcome) = &mut drain.outcome {
            outcome.left_behind.clear();
        }
    }
    drain
}

/// VMs, as the caller sees them.
pub(super) async fn hide_of_instances<'a>(
    api: &Api,
    account: &Account,
    vmis: impl IntoIterator<Item = &'a mut VirtualMachineInstanceView>,
) -> Result<(), Problem> {
    let migrate: Vec<_> = vmis.into_iter().filter(|vmi| vmi.migration.is_some()).collect();
    if !migrate.is_empty() && !api.may_see(account, migrations("list")).await? {
        for vmi in migrate {
            vmi.migration = None;
        }
    }
    Ok(())
}

/// Workloads, as the caller sees them.
pub(super) async fn seen_workloads(
    api: &Api,
    account: &Account,
    mut list: List<WorkloadView>,
) -> Result<List<SeenWorkload>, Problem> {
    let workloads = list.items_mut();
    let has_budgets = workloads.iter().any(|workload| !workload.budgets.is_empty());
    let has_vms = workloads.iter().any(|workload| workload.virtual_machine_instance.is_some());
    if has_vms && !api.may_see(account, vmis("list")).await? {
        for workload in &mut *workloads {
            workload.virtual_machine_instance = None;
        }
    }
    let vmis = workloads.iter_mut().filter_map(|workload| workload.virtual_machine_instance.as_mut());
    hide_of_instances(api, account, vmis).await?;
    let shows_budgets = !has_budgets || api.may_see(account, budgets("list")).await?;
    Ok(list.map(|view| SeenWorkload { view, shows_budgets }))
}
