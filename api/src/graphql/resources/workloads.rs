//! The workloads of a node.

use careen_core::{
    model::NodeName,
    view::{
        BudgetView, NodeView, Views, VirtualMachineInstanceView, WorkloadKindView, WorkloadStateKind, WorkloadView,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Type, Types, rights};
use crate::{
    graphql::{
        arguments::Nothing,
        connection::{Found, Paging},
    },
    rest::Problem,
};

/// Which workloads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnNode {
    /// Only VMs, or only what is none.
    is_virtual_machine: Option<bool>,
    /// Only those that block the drain of their node, or do not.
    is_blocked: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

impl OnNode {
    fn takes(&self, workload: &WorkloadView) -> bool {
        let is_vm = workload.kind == WorkloadKindView::VirtualMachineInstance;
        let is_blocked = workload.state == Some(WorkloadStateKind::Blocked);
        self.is_virtual_machine.is_none_or(|wanted| wanted == is_vm)
            && self.is_blocked.is_none_or(|wanted| wanted == is_blocked)
    }

    pub(super) fn find(self, views: &Views, node: &NodeName) -> Result<Found<WorkloadView>, Problem> {
        let workloads: Vec<_> = views.workloads_on(node).into_iter().filter(|workload| self.takes(workload)).collect();
        self.paging.cut("workloads", workloads, key)
    }
}

/// What tells workloads apart, in their order.
pub(super) fn key(workload: &WorkloadView) -> Vec<String> {
    vec![workload.namespace.clone(), workload.pod.clone()]
}

/// The type.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<WorkloadView>::of_view(types, &["budgets", "virtualMachineInstance"], &[("node", "nodeName")])
        .link::<Nothing, NodeView>("node", "The node that it is on.", rights::list_nodes, |workload, _| {
            Ok(workload.view.node.as_ref().and_then(|node| workload.scene.views.node(node)))
        })
        .links::<BudgetView>("budgets", "The budgets that cover it.", rights::list_budgets, |workload| {
            workload.view.budgets.clone()
        })
        .link::<Nothing, VirtualMachineInstanceView>(
            "virtualMachineInstance",
            "The VM, where it is one.",
            rights::list_instances,
            |workload, _| Ok(workload.view.virtual_machine_instance.clone()),
        )
        .done();
}
