//! `cordonNode`, `uncordonNode`, and what a change of a node answers with.

use std::sync::Arc;

use careen_core::{model::NodeName, operation::NodeChanged, view::NodeView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Root, Shown, Type, Types, rights};
use crate::{
    answers::NodeChange,
    auth::besides::rights_of_uncordon,
    graphql::{arguments::Nothing, scene::Scene},
};

/// A node to be cordoned or uncordoned.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NodeInput")]
#[serde(rename_all = "camelCase")]
struct NodeInput {
    /// The name of the node.
    node: NodeName,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// What became of a node.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NodeChanged")]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    /// The name of the node.
    node_name: NodeName,
    #[serde(flatten)]
    change: NodeChange,
}

impl Changed {
    /// As it looks with the node that the API server has answered with.
    pub(super) fn shown(scene: &Scene, changed: NodeChanged) -> Arc<Shown<Self>> {
        let (change, node) = NodeChange::of(changed);
        let view = Self { node_name: node.name.clone(), change };
        let after = scene.after(|snapshot| drop(snapshot.put(node)));
        Shown::new(after, view)
    }
}

/// The type of the answer.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<Changed>::of_view(types, &[], &[])
        .link::<Nothing, NodeView>(
            "node",
            "The node as it is now; for a dry run as it was.",
            rights::list_nodes,
            |changed, _| Ok(changed.scene.views.node(&changed.view.node_name)),
        )
        .done();
}

/// The changes.
pub(in crate::graphql) fn mutation(mutation: Type<'_, Root>) -> Type<'_, Root> {
    mutation
        .change::<NodeInput, Changed, _>(
            "cordonNode",
            "No new pods are bound to the node. Can be repeated.",
            async |scene, NodeInput { node, dry_run }| {
                scene.demand_change("cordonNode", &[("node", node.as_str())]).await?;
                Ok(Changed::shown(&scene, scene.api.operations()?.cordon(&node, dry_run).await?))
            },
        )
        .change::<NodeInput, Changed, _>(
            "uncordonNode",
            "New pods may be bound to the node again. Refused while a maintenance or a drain acts on it. Can be repeated.",
            async |scene, NodeInput { node, dry_run }| {
                scene.demand_change("uncordonNode", &[("node", node.as_str())]).await?;
                let (take_back, rights) = rights_of_uncordon(&node, &scene.api.snapshot()?);
                scene.demand_besides(&rights).await?;
                Ok(Changed::shown(&scene, scene.api.operations()?.uncordon(&node, take_back, dry_run).await?))
            },
        )
}
