//! `nodes`, `node`, `nodeChanged`, and what leads on from a node.

use std::collections::{BTreeMap, BTreeSet};

use careen_core::{
    cluster::Concerned,
    model::{DrainSpec, NodeName},
    selector::PodSelector,
    view::{DrainView, MaintenanceView, NodeView, PlanView, VirtualMachineInstanceView, WorkloadView},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Root, Shown, Type, Types, plan, rights, virtual_machine_instances, workloads};
use crate::{
    auth::Digest,
    graphql::{arguments::Nothing, connection::Paging, cost::Price, scene::Scene, stream::Streams},
    rest::Problem,
};

/// Which nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Which {
    /// Only nodes that are ready, or are not.
    ready: Option<bool>,
    /// Only nodes that are schedulable, or are cordoned.
    schedulable: Option<bool>,
    /// Only nodes that have a maintenance, or have none.
    under_maintenance: Option<bool>,
    /// Only nodes with these labels, written as for `kubectl get -l`.
    label_selector: Option<PodSelector>,
    #[serde(flatten)]
    paging: Paging,
}

/// A node.
#[derive(Debug, Deserialize, JsonSchema)]
struct Named {
    /// Its name.
    name: NodeName,
}

/// How it would be drained.
#[derive(Debug, Deserialize, JsonSchema)]
struct Planned {
    /// Options; what is left out takes the default of a maintenance.
    options: Option<DrainSpec>,
}

impl Which {
    fn takes(&self, node: &NodeView) -> bool {
        self.ready.is_none_or(|ready| node.ready == ready)
            && self.schedulable.is_none_or(|schedulable| node.schedulable == schedulable)
            && self.under_maintenance.is_none_or(|under| node.maintenance.is_some() == under)
            && self.label_selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
    }
}

/// The type.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<NodeView>::of_view(
        types,
        &["maintenance", "drain"],
        &[("pods", "podCount"), ("virtualMachineInstances", "virtualMachineInstanceCount")],
    )
    .link::<Nothing, MaintenanceView>(
        "maintenance",
        "The maintenance that it has.",
        rights::list_maintenances,
        |node, _| Ok(node.scene.views.maintenance_on(&node.view.name)),
    )
    .link::<Nothing, DrainView>(
        "drain",
        "The drain that runs, or the last one until the node is uncordoned or drained again.",
        rights::list_pods,
        |node, _| Ok(node.scene.views.drain(&node.view.name)),
    )
    .connection::<workloads::OnNode, WorkloadView>(
        "workloads",
        "The pods and VMs on it, by namespace and pod.",
        rights::list_pods,
        |node, which| which.find(&node.scene.views, &node.view.name),
    )
    .connection::<virtual_machine_instances::OnNode, VirtualMachineInstanceView>(
        "virtualMachineInstances",
        "The VMs that run on it, by namespace and name.",
        rights::list_instances,
        |node, which| which.find(&node.scene.views, &node.view.name),
    )
    .link::<Planned, PlanView>(
        "plan",
        "What would happen if it were drained now.",
        rights::list_pods,
        |node, Planned { options }| plan::plan_of(&node.scene, &node.view.name, options).map(Some),
    )
    .costing("plan", Price::like(plan::COSTS))
    .done();
}

/// The questions.
pub(in crate::graphql) fn query(query: Type<'_, Root>) -> Type<'_, Root> {
    query
        .connection::<Which, NodeView>("nodes", "Nodes, by name.", rights::list_nodes, |root: &Shown<Root>, which| {
            let nodes: Vec<NodeView> = root.scene.views.nodes().filter(|node| which.takes(node)).collect();
            which.paging.cut("nodes", nodes, |node| vec![node.name.to_string()])
        })
        .link::<Named, NodeView>(
            "node",
            "The node of that name.",
            |Named { name }| rights::get_node(name.as_str()),
            |root, Named { name }| match root.scene.views.node(&name) {
                Some(node) => Ok(Some(node)),
                None => Err(Problem::no_node(&name)),
            },
        )
}

/// Which nodes are followed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Followed {
    /// Only the node of this name.
    node: Option<NodeName>,
    /// Only nodes with these labels, written as for `kubectl get -l`.
    label_selector: Option<PodSelector>,
}

/// Nodes as they are, and the names of those that are gone.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NodesEvent")]
#[serde(rename_all = "camelCase")]
struct NodesEvent {
    /// Whether these are all nodes that are followed: so it is at first.
    is_snapshot: bool,
    #[serde(skip)]
    nodes: Vec<NodeView>,
    /// Names of nodes that have left the cluster, or are not selected any more.
    removed: Vec<NodeName>,
}

impl Followed {
    fn takes(&self, node: &NodeView) -> bool {
        self.node.as_ref().is_none_or(|name| node.name == *name)
            && self.label_selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
    }

    fn is_concerned(&self, name: &NodeName, concerned: &Concerned) -> bool {
        self.node.as_ref().is_none_or(|node| node == name) && concerned.concerns(name)
    }
}

/// What a client was shown of nodes: only digests, because there may be thousands.
#[derive(Debug, Default)]
struct Last(BTreeMap<NodeName, Digest>);

impl Last {
    /// What is to be shown after a change; at first everything.
    fn look(&mut self, followed: &Followed, scene: &Scene, concerned: Option<&Concerned>) -> Option<NodesEvent> {
        let is_due = |name: &NodeName| concerned.is_none_or(|concerned| followed.is_concerned(name, concerned));
        let nodes = scene.views.snapshot().nodes().map(|node| &node.name).filter(|name| is_due(name));
        let nodes = nodes.filter_map(|name| scene.views.node(name)).filter(|node| followed.takes(node));
        let (mut changed, mut seen) = (Vec::new(), BTreeSet::new());
        for node in nodes {
            seen.insert(node.name.clone());
            let digest = digest(&node);
            if self.0.insert(node.name.clone(), digest) != Some(digest) {
                changed.push(node);
            }
        }
        let removed: Vec<NodeName> =
            self.0.keys().filter(|name| is_due(name) && !seen.contains(*name)).cloned().collect();
        self.0.retain(|name, _| !removed.contains(name));
        let is_snapshot = concerned.is_none();
        let is_news = is_snapshot || !changed.is_empty() || !removed.is_empty();
        is_news.then_some(NodesEvent { is_snapshot, nodes: changed, removed })
    }
}

/// What a node looks like. Its resourceVersion changes with every heartbeat, and says nothing.
fn digest(node: &NodeView) -> Digest {
    let node = NodeView { resource_version: String::new(), ..node.clone() };
    // A struct with named fields: this does not fail.
    Digest::of(&serde_json::to_vec(&node).unwrap_or_default())
}

/// The stream.
pub(in crate::graphql) fn subscription(mut streams: Streams<'_>) -> Streams<'_> {
    Type::<NodesEvent>::of_view(streams.types(), &[], &[])
        .links::<NodeView>(
            "nodes",
            "Those that have changed, as they are now.",
            |_| Vec::new(),
            |event| event.view.nodes.clone(),
        )
        // How many there will be is not known: as many as a page has.
        .costing("nodes", Price::PAGE)
        .done();
    streams.following::<Followed, NodesEvent, _>(
        "nodeChanged",
        "Nodes: at first all of them, and then those that have changed. What is on a node is not followed, only the node.",
        "NodesEvent",
        rights::list_nodes,
        |followed| {
            let mut last = Last::default();
            move |scene: &Scene, concerned: Option<&Concerned>| last.look(&followed, scene, concerned)
        },
    )
}
