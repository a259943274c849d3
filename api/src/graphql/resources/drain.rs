//! `drainNode`, `cancelDrain`, `drainProgress`, and what leads on from a drain.

use std::sync::Arc;

use careen_core::{
    model::{DrainOrder, DrainSpec, NodeName, Uid},
    operation::{CancelDrain, OrderDrain, drain_is_shown, new_drain_id},
    view::{DrainView, NodeView},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Root, Shown, Type, Types, rights};
use crate::{
    auth::besides::{cancel_of, rights_of_dry_run, rights_of_options},
    graphql::{
        arguments::{Nothing, OfNode},
        scene::Scene,
        stream::Streams,
    },
};

/// A node to be drained.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DrainNodeInput {
    /// The name of the node.
    node: NodeName,
    /// What the drain may do; what is left out is as for `kubectl drain`.
    options: Option<DrainSpec>,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// A drain to be cancelled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CancelDrainInput {
    /// The name of the node.
    node: NodeName,
    /// Only the drain of this id.
    id: Option<Uid>,
    /// Only say what would happen; nothing is changed. Default: false.
    #[serde(default)]
    dry_run: bool,
}

/// What became of an order, or of its cancelling.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DrainChanged")]
#[serde(rename_all = "camelCase")]
struct Changed {
    /// The name of the node.
    node_name: NodeName,
    /// Whether something was (for a dry run: would be) changed: false for a repeat.
    changed: bool,
}

/// An order as an operation has left it.
struct Outcome<'a> {
    order: &'a DrainOrder,
    /// Whether something was (for a dry run: would be) changed.
    changed: bool,
    dry_run: bool,
}

impl Changed {
    /// The drain as the caches show it, or else as it was written just now; for a dry run as it would be.
    async fn shown(scene: &Scene, Outcome { order, changed, dry_run }: Outcome<'_>) -> Arc<Shown<Self>> {
        let view = Self { node_name: order.node().clone(), changed };
        if !dry_run {
            scene.api.until_shown(|snapshot| drain_is_shown(order, snapshot)).await;
        }
        let after = scene.after(|snapshot| {
            if !drain_is_shown(order, snapshot) {
                drop(snapshot.put(order.clone()));
            }
        });
        Shown::new(after, view)
    }
}

/// The types.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<DrainView>::of_view(types, &[], &[("node", "nodeName")])
        .link::<Nothing, NodeView>("node", "The node.", rights::list_nodes, |drain, _| {
            Ok(drain.scene.views.node(&drain.view.node))
        })
        .done();
    Type::<Changed>::of_view(types, &[], &[])
        .link::<Nothing, DrainView>("drain", "The drain as it is now.", rights::list_pods, |changed, _| {
            Ok(changed.scene.views.drain(&changed.view.node_name))
        })
        .link::<Nothing, NodeView>("node", "The node.", rights::list_nodes, |changed, _| {
            Ok(changed.scene.views.node(&changed.view.node_name))
        })
        .done();
}

/// The changes.
pub(in crate::graphql) fn mutation(mutation: Type<'_, Root>) -> Type<'_, Root> {
    mutation
        .change::<DrainNodeInput, Changed, _>(
            "drainNode",
            "Empties a node. The drain is durable: it goes on when you go away, and any replica shows and cancels it. The \
             node stays cordoned at its end. A repeat while it runs orders nothing more.",
            async |scene, DrainNodeInput { node, options, dry_run }| {
                let options = options.unwrap_or_default();
                scene.demand_change("startDrain", &[("node", node.as_str())]).await?;
                scene.demand_besides(&rights_of_options(&options)).await?;
                scene.demand_besides(&rights_of_dry_run(dry_run)).await?;
                let requested_by = scene.asker.account.user();
                let request = OrderDrain { id: new_drain_id(), node, options, requested_by, dry_run };
                let ordered = scene.api.operations()?.order_drain(&request).await?;
                let outcome = Outcome { order: &ordered.order, changed: ordered.created, dry_run };
                Ok(Changed::shown(&scene, outcome).await)
            },
        )
        .change::<CancelDrainInput, Changed, _>(
            "cancelDrain",
            "Ends a drain before it is done: nothing new starts, and marks on VMs are taken back; the node stays cordoned. \
             Can be repeated.",
            async |scene, CancelDrainInput { node, id, dry_run }| {
                scene.demand_change("cancelDrain", &[("node", node.as_str())]).await?;
                let requested_by = scene.asker.account.user();
                let request = CancelDrain { node, id, requested_by, dry_run };
                let (request, rights) = cancel_of(request, &scene.api.snapshot()?)?;
                scene.demand_besides(&rights).await?;
                let cancelled = scene.api.operations()?.cancel_drain(&request).await?;
                let outcome = Outcome { order: &cancelled.order, changed: !cancelled.already, dry_run };
                Ok(Changed::shown(&scene, outcome).await)
            },
        )
}

/// The stream.
pub(in crate::graphql) fn subscription(streams: Streams<'_>) -> Streams<'_> {
    streams.one::<OfNode, DrainView>(
        "drainProgress",
        "The drain of a node: as it is, and then whenever the answer to what is asked changes. Null while there is none.",
        |OfNode { node }| [rights::get_node(node.as_str()), rights::list_pods(node)].concat(),
        |scene, OfNode { node }| scene.views.drain(node),
        |concerned, OfNode { node }| concerned.concerns(node),
    )
}
