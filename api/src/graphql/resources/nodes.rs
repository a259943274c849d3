//! `nodes`, `node`, `nodeChanged`, and what leads on from a node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use careen_core::{
    model::{DrainSpec, Node, NodeName},
    selector::LabelSelector,
    view::{DrainView, MaintenanceView, NodeView, PlanView, VirtualMachineInstanceView, WorkloadView},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Root, Shown, Type, Types, plan, rights, virtual_machine_instances, workloads};
use crate::{
    auth::{Digest, Right, besides::rights_of_filter},
    graphql::{
        arguments::Nothing,
        connection::{FIRST, Paging},
        cost::Price,
        scene::Scene,
        stream::{Cause, Look, Streams},
    },
    rest::Problem,
};

/// Which nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Filter {
    /// Only nodes that are ready, or are not.
    ready: Option<bool>,
    /// Only nodes that are schedulable, or are cordoned.
    schedulable: Option<bool>,
    /// Only nodes that have a maintenance, or have none. It needs the right to list maintenances.
    under_maintenance: Option<bool>,
    /// Only nodes with these labels, written as for `kubectl get -l`.
    label_selector: Option<LabelSelector>,
    #[serde(flatten)]
    paging: Paging,
}

/// A node.
#[derive(Debug, Deserialize, JsonSchema)]
struct NodeNamed {
    /// Its name.
    name: NodeName,
}

/// How it would be drained.
#[derive(Debug, Deserialize, JsonSchema)]
struct Planned {
    /// Options; what is left out takes the default of a maintenance.
    options: Option<DrainSpec>,
}

impl Filter {
    fn rights(&self) -> Vec<Right> {
        let mut rights = rights::list_nodes(self);
        rights.extend(rights_of_filter(self.under_maintenance));
        rights
    }

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
        .connection::<Filter, NodeView>("nodes", "Nodes, by name.", Filter::rights, |root: &Shown<Root>, filter| {
            let views = &root.scene.views;
            let show = |node: &Arc<Node>| views.node(&node.name).filter(|node| filter.takes(node));
            filter.paging.cut("nodes", views.snapshot().nodes(), |node| vec![node.name.to_string()], show)
        })
        .link::<NodeNamed, NodeView>(
            "node",
            "The node of that name.",
            |NodeNamed { name }| rights::get_node(name.as_str()),
            |root, NodeNamed { name }| match root.scene.views.node(&name) {
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
    label_selector: Option<LabelSelector>,
}

/// So many nodes an event has at most: as many as it costs.
const NODES_OF_EVENT: usize = FIRST as usize;

/// Nodes as they are, and the names of those that are gone.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NodesEvent")]
#[serde(rename_all = "camelCase")]
struct NodesEvent {
    /// Whether it begins here: so it is at first. If more than 100 nodes are followed, the others come in the next
    /// events.
    is_snapshot: bool,
    #[serde(skip)]
    nodes: Vec<NodeView>,
    /// Names of nodes that have left the cluster, or are not selected any more.
    removed: Vec<NodeName>,
}

impl Followed {
    fn takes(&self, node: &NodeView) -> bool {
        self.label_selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
    }

    fn is_of(&self, name: &NodeName) -> bool {
        self.node.as_ref().is_none_or(|node| node == name)
    }
}

/// What a client was shown of nodes: only digests, because there may be thousands.
#[derive(Debug, Default)]
struct Last {
    shown: BTreeMap<NodeName, Digest>,
    /// Which nodes it has still to be shown, if they are not as it was shown them.
    due: BTreeSet<NodeName>,
}

impl Last {
    /// What is to be shown, no more than an event holds; at first everything.
    fn look(&mut self, followed: &Followed, scene: &Scene, cause: Cause<'_>) -> Option<Look<NodesEvent>> {
        let all = || scene.views.snapshot().nodes().map(|node| &node.name).chain(self.shown.keys());
        let due: Vec<NodeName> = match cause {
            Cause::Begin => all().filter(|name| followed.is_of(name)).cloned().collect(),
            Cause::Change(concerned) => {
                all().filter(|name| followed.is_of(name) && concerned.concerns(name)).cloned().collect()
            }
            Cause::Rest => Vec::new(),
        };
        self.due.extend(due);
        let (mut nodes, mut removed) = (Vec::new(), Vec::new());
        while nodes.len() < NODES_OF_EVENT {
            let Some(name) = self.due.pop_first() else { break };
            match scene.views.node(&name).filter(|node| followed.takes(node)) {
                Some(node) => {
                    let digest = digest(&node);
                    if self.shown.insert(name, digest) != Some(digest) {
                        nodes.push(node);
                    }
                }
                None if self.shown.remove(&name).is_some() => removed.push(name),
                None => {}
            }
        }
        let is_snapshot = matches!(cause, Cause::Begin);
        let is_news = is_snapshot || !nodes.is_empty() || !removed.is_empty();
        let is_more = !self.due.is_empty();
        is_news.then_some(Look { shown: NodesEvent { is_snapshot, nodes, removed }, is_more })
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
        // How many there will be is not known: no more than a page has.
        .costing("nodes", Price::PAGE)
        .done();
    streams.following::<Followed, NodesEvent, _>(
        "nodeChanged",
        "Nodes: at first all of them, and then those that have changed, 100 at most in one event. What is on a node is not followed, only the node.",
        "NodesEvent",
        rights::list_nodes,
        |followed| {
            let mut last = Last::default();
            move |scene: &Scene, cause: Cause<'_>| last.look(&followed, scene, cause)
        },
    )
}
