//! The watches of a connection that sees the whole cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::StreamExt;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Node, Pod},
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::PartialObjectMeta,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    apply::Part,
    failures::{Failures, code, sentence},
    shared::{Shared, WatchState},
    watch::{Need, follow, kubevirt_api, receipts_api},
};
use crate::{
    model::{
        NodeMaintenance,
        virtual_machine::{KubeVirtConfiguration, Migration, VirtualMachine, VirtualMachineInstance},
    },
    names::{DRAIN_ORDER_LABEL, NODE_LEASE_NAMESPACE, RECEIPT_LABEL},
};

/// Starts the watches of the kinds that every cluster has.
pub(super) fn start(client: &Client, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    let config = watcher::Config::default;
    for kind in ["Node", "Pod", "PodDisruptionBudget"] {
        shared.set_state(kind, &Part::All, WatchState::Syncing);
    }
    let nodes = Api::<DeserializeGuard<Node>>::all(client.clone());
    tasks.spawn(follow(nodes, config(), "Node", Part::All, Need::Always, shared.clone()));
    let pods = Api::<DeserializeGuard<Pod>>::all(client.clone());
    tasks.spawn(follow(pods, config(), "Pod", Part::All, Need::Always, shared.clone()));
    let budgets = Api::<DeserializeGuard<PodDisruptionBudget>>::all(client.clone());
    tasks.spawn(follow(budgets, config(), "PodDisruptionBudget", Part::All, Need::Always, shared.clone()));
    for kind in OptionalKind::ALL {
        shared.set_state(kind.name(), &Part::All, WatchState::Syncing);
    }
    tasks.spawn(follow_optional_kinds(client.clone(), shared.clone()));
}

/// The kind under which the state of the drain orders is told.
const DRAIN_ORDERS: &str = "ConfigMap";

/// The kind under which the state of the node Leases is told.
const NODE_LEASES: &str = "Lease";

/// The kind under which the state of the receipts is told.
const RECEIPTS: &str = "Receipt";

/// Starts the watches of the drain orders and the receipts, which are in that namespace.
pub(super) fn follow_orders(client: &Client, namespace: &str, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    let part = Part::Namespace(namespace.to_owned());
    shared.set_state(DRAIN_ORDERS, &part, WatchState::Syncing);
    let orders = Api::<DeserializeGuard<ConfigMap>>::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().labels(&format!("{DRAIN_ORDER_LABEL}=true"));
    // Without the right, no drain can be ordered; everything else works.
    tasks.spawn(follow(orders, config, DRAIN_ORDERS, part.clone(), Need::IfAllowed, shared.clone()));
    shared.set_state(RECEIPTS, &part, WatchState::Syncing);
    let config = watcher::Config::default().labels(&format!("{RECEIPT_LABEL}=true"));
    let receipts = receipts_api(client, namespace);
    tasks.spawn(follow(receipts, config, RECEIPTS, part, Need::IfAllowed, shared.clone()));
}

/// Starts the watch of the node Leases: who holds which node.
pub(super) fn follow_node_leases(client: &Client, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    let part = Part::Namespace(NODE_LEASE_NAMESPACE.to_owned());
    shared.set_state(NODE_LEASES, &part, WatchState::Syncing);
    let leases = Api::<DeserializeGuard<Lease>>::namespaced(client.clone(), NODE_LEASE_NAMESPACE);
    // Without the right a plan does not say who holds the node; whoever acts asks for its Lease all the same.
    tasks.spawn(follow(leases, watcher::Config::default(), NODE_LEASES, part, Need::IfAllowed, shared.clone()));
}

/// A kind that a cluster has once its CustomResourceDefinition is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OptionalKind {
    NodeMaintenance,
    VirtualMachine,
    VirtualMachineInstance,
    VirtualMachineInstanceMigration,
    KubeVirt,
}

impl OptionalKind {
    pub(super) const ALL: [Self; 5] = [
        Self::NodeMaintenance,
        Self::VirtualMachine,
        Self::VirtualMachineInstance,
        Self::VirtualMachineInstanceMigration,
        Self::KubeVirt,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NodeMaintenance => "NodeMaintenance",
            Self::VirtualMachine => "VirtualMachine",
            Self::VirtualMachineInstance => "VirtualMachineInstance",
            Self::VirtualMachineInstanceMigration => "VirtualMachineInstanceMigration",
            Self::KubeVirt => "KubeVirt",
        }
    }

    /// The name of its CustomResourceDefinition.
    fn definition(self) -> &'static str {
        match self {
            Self::NodeMaintenance => "nodemaintenances.nodemaintenance.kubevirt.io",
            Self::VirtualMachine => "virtualmachines.kubevirt.io",
            Self::VirtualMachineInstance => "virtualmachineinstances.kubevirt.io",
            Self::VirtualMachineInstanceMigration => "virtualmachineinstancemigrations.kubevirt.io",
            Self::KubeVirt => "kubevirts.kubevirt.io",
        }
    }

    /// Starts its watch.
    fn follow(self, client: &Client, need: Need, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) -> AbortHandle {
        let (config, part, shared) = (watcher::Config::default(), Part::All, shared.clone());
        match self {
            Self::NodeMaintenance => {
                let api = Api::<DeserializeGuard<NodeMaintenance>>::all(client.clone());
                tasks.spawn(follow(api, config, self.name(), part, need, shared))
            }
            Self::VirtualMachine => {
                let api = kubevirt_api::<VirtualMachine>(client, self.name(), None);
                tasks.spawn(follow(api, config, self.name(), part, need, shared))
            }
            Self::VirtualMachineInstance => {
                let api = kubevirt_api::<VirtualMachineInstance>(client, self.name(), None);
                tasks.spawn(follow(api, config, self.name(), part, need, shared))
            }
            Self::VirtualMachineInstanceMigration => {
                let api = kubevirt_api::<Migration>(client, self.name(), None);
                tasks.spawn(follow(api, config, self.name(), part, need, shared))
            }
            Self::KubeVirt => {
                let api = kubevirt_api::<KubeVirtConfiguration>(client, self.name(), None);
                tasks.spawn(follow(api, config, self.name(), part, need, shared))
            }
        }
    }

    /// Forgets its objects.
    fn clear(self, shared: &Shared) {
        shared.change(|snapshot| match self {
            Self::NodeMaintenance => snapshot.clear::<NodeMaintenance>(),
            Self::VirtualMachine => snapshot.clear::<VirtualMachine>(),
            Self::VirtualMachineInstance => snapshot.clear::<VirtualMachineInstance>(),
            Self::VirtualMachineInstanceMigration => snapshot.clear::<Migration>(),
            Self::KubeVirt => snapshot.clear::<KubeVirtConfiguration>(),
        });
    }
}

/// The watches of the optional kinds that are served at the moment.
struct OptionalWatches {
    client: Client,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    running: BTreeMap<OptionalKind, AbortHandle>,
}

impl OptionalWatches {
    fn start(&mut self, kind: OptionalKind, need: Need) {
        if !self.running.contains_key(&kind) {
            self.shared.set_state(kind.name(), &Part::All, WatchState::Syncing);
            self.running.insert(kind, kind.follow(&self.client, need, &self.shared, &mut self.tasks));
        }
    }

    async fn stop(&mut self, kind: OptionalKind) {
        if let Some(watch) = self.running.remove(&kind) {
            watch.abort();
            // Until it has ended it may still write.
            while !watch.is_finished() && self.tasks.join_next().await.is_some() {}
            kind.clear(&self.shared);
        }
        self.shared.set_state(kind.name(), &Part::All, WatchState::NotServed);
    }

    fn all_are_failing(&self, error: &str) {
        for kind in OptionalKind::ALL {
            self.shared.set_state(kind.name(), &Part::All, WatchState::Failing { error: error.to_owned() });
        }
    }
}

/// Watches which CustomResourceDefinitions there are (their metadata only), and starts and ends the watches of the
/// optional kinds with them. Without the right to see definitions, every kind is watched as if it were there, and only
/// the API server's `404` tells that it is not.
async fn follow_optional_kinds(client: Client, shared: Arc<Shared>) {
    let definitions = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client.clone());
    let mut watches = OptionalWatches { client, shared, tasks: JoinSet::new(), running: BTreeMap::new() };
    let mut events = std::pin::pin!(watcher::watcher(definitions, watcher::Config::default()));
    let mut failures = Failures::default();
    let mut listed = BTreeSet::new();
    // Whether it is known which kinds to watch.
    let mut known = false;
    while let Some(event) = events.next().await {
        if matches!(event, Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_))) {
            failures.are_over("CustomResourceDefinition");
        }
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(definition)) => listed.extend(kind_defined_by(&definition)),
            Ok(Event::InitDone) => {
                for kind in OptionalKind::ALL {
                    if listed.contains(&kind) { watches.start(kind, Need::Always) } else { watches.stop(kind).await }
                }
                known = true;
            }
            Ok(Event::Apply(definition)) => {
                if let Some(kind) = kind_defined_by(&definition) {
                    watches.start(kind, Need::Always);
                }
            }
            Ok(Event::Delete(definition)) => {
                if let Some(kind) = kind_defined_by(&definition) {
                    watches.stop(kind).await;
                }
            }
            Err(error) => {
                let failure = sentence(&error);
                if code(&error) == Some(403) && !known {
                    for kind in OptionalKind::ALL {
                        watches.start(kind, Need::IfServed);
                    }
                    known = true;
                } else if !known {
                    watches.all_are_failing(&failure);
                }
                failures.pause("CustomResourceDefinition", &failure).await;
            }
        }
    }
}

fn kind_defined_by(definition: &PartialObjectMeta<CustomResourceDefinition>) -> Option<OptionalKind> {
    let name = definition.metadata.name.as_deref();
    OptionalKind::ALL.into_iter().find(|kind| Some(kind.definition()) == name)
}
