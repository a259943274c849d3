//! `plan`: what would happen.

use careen_core::{
    model::{DrainSpec, NodeName},
    operation::OperationError,
    view::{NodeView, PlanView},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Root, Type, Types, rights};
use crate::{
    graphql::{arguments::Nothing, cost::Price, scene::Scene},
    rest::Problem,
};

/// A plan looks at every pod of its node, and for each at the room on all others: on a node with 500 pods that takes
/// 0.4 s. So no more than five are asked for at once.
pub(super) const COSTS: u64 = 3000;

/// Of which node, and how it would be drained.
#[derive(Debug, Deserialize, JsonSchema)]
struct Planned {
    /// The name of the node.
    node: NodeName,
    /// Options; what is left out takes the default of a maintenance.
    options: Option<DrainSpec>,
}

/// The type.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<PlanView>::of_view(types, &[], &[("node", "nodeName")])
        .link::<Nothing, NodeView>("node", "The node.", rights::list_nodes, |plan, _| {
            Ok(plan.scene.views.node(&plan.view.node))
        })
        .done();
}

/// The questions.
pub(in crate::graphql) fn query(query: Type<'_, Root>) -> Type<'_, Root> {
    query
        .link::<Planned, PlanView>(
            "plan",
            "What would happen if a node were drained now: a verdict for each workload. Worked out from the caches by the \
             same rules as the drain itself; nothing is changed and nobody is asked.",
            |Planned { node, .. }| rights::get_plan(node.as_str()),
            |root, Planned { node, options }| plan_of(&root.scene, &node, options).map(Some),
        )
        .costing("plan", Price::like(COSTS))
}

/// The plan of a node.
pub(super) fn plan_of(scene: &Scene, node: &NodeName, options: Option<DrainSpec>) -> Result<PlanView, Problem> {
    let options = options.unwrap_or_default().for_maintenance().map_err(OperationError::from)?;
    scene.api.plan_of(scene.views.snapshot(), node, &options)
}
