//! The workloads of a node.

use careen_core::{
    model::{NodeName, Pod},
    plan::is_launcher,
    view::{BudgetView, NodeView, Views, VirtualMachineInstanceView, WorkloadStateKind, WorkloadView},
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
    pub(super) fn find(self, views: &Views, node: &NodeName) -> Result<Found<WorkloadView>, Problem> {
        let (on_node, pods) = (views.workloads_of(node), views.snapshot().pods_on(node));
        let Self { is_virtual_machine, is_blocked, paging } = self;
        let takes = |workload: &WorkloadView| {
            let found = workload.state == Some(WorkloadStateKind::Blocked);
            is_blocked.is_none_or(|wanted| wanted == found)
        };
        // Whether it is a VM is known before the rest is worked out.
        let pods = pods.filter(|pod| is_virtual_machine.is_none_or(|wanted| wanted == is_launcher(pod)));
        paging.cut("workloads", pods, |pod| key(pod), |pod| Some(on_node.of(pod)).filter(takes))
    }
}

/// What tells workloads apart, in their order.
pub(super) fn key(pod: &Pod) -> Vec<String> {
    vec![pod.key.namespace.clone(), pod.key.name.clone()]
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
