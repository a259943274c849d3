//! A cheap, consistent view of the cluster for pure code.

use std::sync::Arc;

use imbl::OrdMap;

use crate::model::{
    Budget, DrainOrder, Node, NodeClaim, NodeMaintenance, NodeName, ObjectKey, Pod, Receipt,
    virtual_machine::{KubeVirtConfiguration, Migration, VirtualMachine, VirtualMachineInstance},
};

/// What was known at one moment. Cloning costs a few reference counts: the maps share what they have in common.
///
/// Objects of *different* kinds arrive by different watches, so they need not be of the same instant: a pod may be
/// missing that the API server has already bound. Whoever must be sure asks the API server once (`core::drain` does
/// before it says `Drained`).
///
/// Maps are ordered, so that what is decided from a snapshot is the same each time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(super) nodes: OrdMap<NodeName, Arc<Node>>,
    pub(super) pods: OrdMap<ObjectKey, Arc<Pod>>,
    pub(super) pods_by_node: OrdMap<NodeName, OrdMap<ObjectKey, Arc<Pod>>>,
    pub(super) budgets: OrdMap<String, OrdMap<String, Arc<Budget>>>,
    pub(super) maintenances: OrdMap<String, Arc<NodeMaintenance>>,
    pub(super) orders: OrdMap<String, Arc<DrainOrder>>,
    pub(super) receipts: OrdMap<String, Arc<Receipt>>,
    pub(super) claims: OrdMap<String, Arc<NodeClaim>>,
    pub(super) vms: OrdMap<ObjectKey, Arc<VirtualMachine>>,
    pub(super) vmis: OrdMap<ObjectKey, Arc<VirtualMachineInstance>>,
    pub(super) vmis_by_node: OrdMap<NodeName, OrdMap<ObjectKey, Arc<VirtualMachineInstance>>>,
    pub(super) migrations: OrdMap<ObjectKey, Arc<Migration>>,
    pub(super) migrations_by_vmi: OrdMap<ObjectKey, OrdMap<ObjectKey, Arc<Migration>>>,
    pub(super) kubevirt: KubeVirtConfiguration,
    pub(super) view: View,
}

/// How much of the cluster a snapshot shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Everything.
    #[default]
    Whole,
    /// Some nodes and what runs on them: what is elsewhere is unknown, not absent.
    Nodes,
}

impl Snapshot {
    /// An empty snapshot that will show that much of the cluster.
    #[must_use]
    pub fn of(view: View) -> Self {
        Self { view, ..Self::default() }
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&Arc<Node>> {
        self.nodes.get(name)
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The pod of that namespace and name, wherever it is.
    #[must_use]
    pub fn pod(&self, key: &ObjectKey) -> Option<&Arc<Pod>> {
        self.pods.get(key)
    }

    /// All pods, by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// The pods bound to a node.
    pub fn pods_on(&self, node: &NodeName) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods_by_node.get(node).into_iter().flat_map(OrdMap::values)
    }

    /// How many pods are bound to a node.
    #[must_use]
    pub fn count_pods_on(&self, node: &NodeName) -> usize {
        self.pods_by_node.get(node).map_or(0, OrdMap::len)
    }

    /// The pods of a namespace, wherever they are.
    pub fn pods_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        let pods = self.pods.range(ObjectKey::new(namespace, "")..);
        pods.take_while(move |(key, _)| key.namespace == namespace).map(|(_, pod)| pod)
    }

    /// All budgets, by namespace and name.
    pub fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.budgets.values().flat_map(OrdMap::values)
    }

    /// The budgets that cover a pod.
    pub fn budgets_covering<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Arc<Budget>> {
        let of_namespace = self.budgets.get(&pod.key.namespace);
        of_namespace.into_iter().flat_map(OrdMap::values).filter(|budget| budget.covers(pod))
    }

    /// The budget of that namespace and name.
    #[must_use]
    pub fn budget(&self, key: &ObjectKey) -> Option<&Arc<Budget>> {
        self.budgets.get(&key.namespace).and_then(|budgets| budgets.get(&key.name))
    }

    /// The maintenance of that name.
    #[must_use]
    pub fn maintenance(&self, name: &str) -> Option<&Arc<NodeMaintenance>> {
        self.maintenances.get(name)
    }

    /// All maintenances, by name.
    pub fn maintenances(&self) -> impl Iterator<Item = &Arc<NodeMaintenance>> {
        self.maintenances.values()
    }

    /// The maintenances that name a node, by name: those that were refused or that wait, too.
    pub fn maintenances_of(&self, node: &NodeName) -> impl Iterator<Item = &Arc<NodeMaintenance>> {
        self.maintenances().filter(move |object| object.spec.node_name == node.as_str())
    }

    /// The drain order of that node, finished or not.
    #[must_use]
    pub fn drain_order(&self, node: &NodeName) -> Option<&Arc<DrainOrder>> {
        self.orders.get(&DrainOrder::name_for(node))
    }

    /// All drain orders, by name.
    pub fn drain_orders(&self) -> impl Iterator<Item = &Arc<DrainOrder>> {
        self.orders.values()
    }

    /// The receipt of that name.
    #[must_use]
    pub fn receipt(&self, name: &str) -> Option<&Arc<Receipt>> {
        self.receipts.get(name)
    }

    /// All receipts, by name.
    pub fn receipts(&self) -> impl Iterator<Item = &Arc<Receipt>> {
        self.receipts.values()
    }

    /// Who holds that node, as its Lease says; `None` if it has none, or where Leases are not watched.
    #[must_use]
    pub fn node_claim(&self, node: &NodeName) -> Option<&Arc<NodeClaim>> {
        self.claims.get(&NodeClaim::key_of(node).name)
    }

    /// The VM of that namespace and name.
    #[must_use]
    pub fn virtual_machine(&self, key: &ObjectKey) -> Option<&Arc<VirtualMachine>> {
        self.vms.get(key)
    }

    /// The VMI of that namespace and name.
    #[must_use]
    pub fn virtual_machine_instance(&self, key: &ObjectKey) -> Option<&Arc<VirtualMachineInstance>> {
        self.vmis.get(key)
    }

    /// All VMIs, by namespace and name.
    pub fn virtual_machine_instances(&self) -> impl Iterator<Item = &Arc<VirtualMachineInstance>> {
        self.vmis.values()
    }

    /// The VMIs that run on a node (`status.nodeName`).
    pub fn virtual_machine_instances_on(&self, node: &NodeName) -> impl Iterator<Item = &Arc<VirtualMachineInstance>> {
        self.vmis_by_node.get(node).into_iter().flat_map(OrdMap::values)
    }

    /// How many VMIs run on a node (`status.nodeName`).
    #[must_use]
    pub fn count_virtual_machine_instances_on(&self, node: &NodeName) -> usize {
        self.vmis_by_node.get(node).map_or(0, OrdMap::len)
    }

    /// The migration of that namespace and name.
    #[must_use]
    pub fn migration(&self, key: &ObjectKey) -> Option<&Arc<Migration>> {
        self.migrations.get(key)
    }

    /// All migrations, by namespace and name.
    pub fn migrations(&self) -> impl Iterator<Item = &Arc<Migration>> {
        self.migrations.values()
    }

    /// The migrations of a VMI, finished ones too.
    pub fn migrations_of(&self, vmi: &ObjectKey) -> impl Iterator<Item = &Arc<Migration>> {
        self.migrations_by_vmi.get(vmi).into_iter().flat_map(OrdMap::values)
    }

    /// The migration of a VMI that is not over yet, if any.
    #[must_use]
    pub fn unfinished_migration_of(&self, vmi: &ObjectKey) -> Option<&Arc<Migration>> {
        self.migrations_of(vmi).find(|migration| !migration.is_finished())
    }

    /// KubeVirt's configuration; its defaults where there is none.
    #[must_use]
    pub fn kubevirt(&self) -> &KubeVirtConfiguration {
        &self.kubevirt
    }

    /// How much of the cluster this shows.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }
}
