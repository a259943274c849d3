//! The watches of a connection that sees some nodes only: what a script needs, and no more.
//!
//! A node and its pods are watched by name; budgets, VMs, VMIs and migrations in the namespaces of those pods only. So
//! a drain of one node costs no more in a large cluster than in a small one, and needs no right to list everything.
//! Around a control-plane node the other control-plane nodes and their etcd pods are read as well: without them nobody
//! can say whether the quorum is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, core::DeserializeGuard, runtime::watcher};
use tokio::{
    sync::broadcast,
    task::{AbortHandle, JoinSet},
};

use super::{
    apply::Part,
    shared::{Shared, WatchState},
    watch::{Need, follow, kubevirt_api},
};
use crate::{
    model::{
        NodeMaintenance, NodeName,
        virtual_machine::{KubeVirtConfiguration, Migration, VirtualMachine, VirtualMachineInstance},
    },
    plan::is_control_plane,
};

/// The kinds that are watched in the namespaces of the pods, if KubeVirt is there.
const KUBEVIRT_KINDS: [&str; 3] = ["VirtualMachine", "VirtualMachineInstance", "VirtualMachineInstanceMigration"];

/// Not a watch: whether it is known what to watch around the nodes.
const SURROUNDINGS: &str = "Namespace";

/// Without an answer to whether KubeVirt is there, its kinds are asked for.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(12);

/// Starts the watches for these nodes.
pub(super) fn start(client: &Client, names: BTreeSet<NodeName>, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    let watches =
        Watches { client: client.clone(), shared: shared.clone(), running: BTreeMap::new(), tasks: JoinSet::new() };
    for name in &names {
        for kind in ["Node", "Pod"] {
            shared.set_state(kind, &Part::Node(name.clone()), WatchState::Syncing);
        }
    }
    shared.set_state(SURROUNDINGS, &Part::All, WatchState::Syncing);
    tasks.spawn(watches.run(names));
}

/// Starts the watch of all maintenances.
pub(super) fn follow_maintenances(client: &Client, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    const KIND: &str = "NodeMaintenance";
    shared.set_state(KIND, &Part::All, WatchState::Syncing);
    let api = Api::<DeserializeGuard<NodeMaintenance>>::all(client.clone());
    let config = watcher::Config::default();
    tasks.spawn(follow(api, config, KIND, Part::All, Need::IfServed, shared.clone()));
}

struct Watches {
    client: Client,
    shared: Arc<Shared>,
    running: BTreeMap<(&'static str, Part), AbortHandle>,
    tasks: JoinSet<()>,
}

impl Watches {
    async fn run(mut self, names: BTreeSet<NodeName>) {
        let mut changes = self.shared.subscribe();
        for name in names.iter().cloned() {
            self.follow_node(name);
        }
        let kubevirt = self.serves_kubevirt().await;
        if kubevirt {
            let api = kubevirt_api::<KubeVirtConfiguration>(&self.client, "KubeVirt", None);
            let config = watcher::Config::default();
            self.spawn("KubeVirt", Part::All, |part, shared| {
                follow(api, config, "KubeVirt", part, Need::IfServed, shared)
            });
        }
        let mut states = self.shared.states();
        loop {
            // The states first: what they say is in the snapshot that is taken after them.
            let known = states.borrow_and_update().clone();
            let is_settled = |kind, part| known.get(&(kind, part)).is_some_and(WatchState::is_settled);
            let node_is_known =
                |name: &NodeName| ["Node", "Pod"].into_iter().all(|kind| is_settled(kind, Part::Node(name.clone())));
            self.follow_namespaces(&names, kubevirt);
            let control_plane = self.follow_control_plane(&names);
            if names.iter().all(node_is_known) && (!control_plane || is_settled("Node", Part::All)) {
                self.shared.set_state(SURROUNDINGS, &Part::All, WatchState::Synced);
            }
            let closed = tokio::select! {
                biased;
                change = changes.recv() => matches!(change, Err(broadcast::error::RecvError::Closed)),
                state = states.changed() => state.is_err(),
            };
            if closed {
                return;
            }
        }
    }

    /// Whether KubeVirt is there. If that cannot be told, its kinds are watched as if it were.
    async fn serves_kubevirt(&self) -> bool {
        match tokio::time::timeout(DISCOVERY_TIMEOUT, self.client.list_api_groups()).await {
            Ok(Ok(groups)) => groups.groups.iter().any(|group| group.name == "kubevirt.io"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot tell whether KubeVirt is there");
                true
            }
            Err(_) => {
                tracing::warn!("no answer to whether KubeVirt is there");
                true
            }
        }
    }

    fn follow_node(&mut self, name: NodeName) {
        let nodes = Api::<DeserializeGuard<Node>>::all(self.client.clone());
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        self.spawn("Node", Part::Node(name.clone()), |part, shared| {
            follow(nodes, config, "Node", part, Need::Always, shared)
        });
        self.follow_pods(name, Need::Always);
    }

    fn follow_pods(&mut self, node: NodeName, need: Need) {
        let pods = Api::<DeserializeGuard<Pod>>::all(self.client.clone());
        let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        self.spawn("Pod", Part::Node(node), |part, shared| follow(pods, config, "Pod", part, need, shared));
    }

    /// The namespaces of the pods on the nodes. One that was watched stays so: its pods may come back.
    fn follow_namespaces(&mut self, names: &BTreeSet<NodeName>, kubevirt: bool) {
        let snapshot = self.shared.snapshot();
        let pods = names.iter().flat_map(|node| snapshot.pods_on(node));
        let namespaces: BTreeSet<String> = pods.map(|pod| pod.key.namespace.clone()).collect();
        for namespace in namespaces {
            let part = Part::Namespace(namespace.clone());
            if self.running.contains_key(&("PodDisruptionBudget", part.clone())) {
                continue;
            }
            let budgets = Api::<DeserializeGuard<PodDisruptionBudget>>::namespaced(self.client.clone(), &namespace);
            let config = watcher::Config::default;
            self.spawn("PodDisruptionBudget", part.clone(), |part, shared| {
                follow(budgets, config(), "PodDisruptionBudget", part, Need::Always, shared)
            });
            if !kubevirt {
                continue;
            }
            let [vm, vmi, migration] = KUBEVIRT_KINDS;
            let api = kubevirt_api::<VirtualMachine>(&self.client, vm, Some(&namespace));
            self.spawn(vm, part.clone(), |part, shared| follow(api, config(), vm, part, Need::IfServed, shared));
            let api = kubevirt_api::<VirtualMachineInstance>(&self.client, vmi, Some(&namespace));
            self.spawn(vmi, part.clone(), |part, shared| follow(api, config(), vmi, part, Need::IfServed, shared));
            let api = kubevirt_api::<Migration>(&self.client, migration, Some(&namespace));
            self.spawn(migration, part, |part, shared| follow(api, config(), migration, part, Need::IfServed, shared));
        }
    }

    /// Where one of the nodes is of the control plane: the others of it, and what runs on them. Says whether one is.
    fn follow_control_plane(&mut self, names: &BTreeSet<NodeName>) -> bool {
        let snapshot = self.shared.snapshot();
        let concerned =
            names.iter().filter_map(|name| snapshot.node(name)).any(|node| is_control_plane(node, &snapshot));
        if !concerned {
            return false;
        }
        if !self.running.contains_key(&("Node", Part::All)) {
            let nodes = Api::<DeserializeGuard<Node>>::all(self.client.clone());
            self.spawn("Node", Part::All, |part, shared| {
                follow(nodes, watcher::Config::default(), "Node", part, Need::IfAllowed, shared)
            });
        }
        let others: Vec<_> = snapshot.nodes().filter(|node| is_control_plane(node, &snapshot)).cloned().collect();
        for node in others {
            if !self.running.contains_key(&("Pod", Part::Node(node.name.clone()))) {
                self.follow_pods(node.name.clone(), Need::IfAllowed);
            }
        }
        true
    }

    fn spawn<F>(&mut self, kind: &'static str, part: Part, watch: impl FnOnce(Part, Arc<Shared>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shared.set_state(kind, &part, WatchState::Syncing);
        let handle = self.tasks.spawn(watch(part.clone(), self.shared.clone()));
        self.running.insert((kind, part), handle);
    }
}

#[cfg(test)]
mod tests;
