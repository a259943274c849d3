//! How a [`Snapshot`] takes up what the watches bring; the only code that changes one.

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;
use kube::api::ObjectMeta;

use super::Snapshot;
use crate::{
    maintenance::NodeMaintenance,
    model::{
        Budget, Node, NodeName, ObjectKey, Pod,
        virtual_machine::{KubeVirtConfiguration, Migration, VirtualMachine, VirtualMachineInstance},
    },
};

/// A kind of object that snapshots hold: where it is kept, and which nodes a change of it concerns.
pub trait Kept: Clone + Send + Sync + 'static {
    /// What tells two of them apart.
    type Key: Ord + Clone + Send;

    /// Its key.
    fn key(&self) -> Self::Key;
    /// The key of an object of which only the metadata is known; `None` if it can be in no snapshot.
    fn key_of(metadata: &ObjectMeta) -> Option<Self::Key>;
    /// Puts it in, in place of an older one; adds the nodes that are concerned.
    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned);
    /// Takes it out.
    fn take(snapshot: &mut Snapshot, key: &Self::Key, concerned: &mut Concerned);
    /// The keys of those that are in and belong to that part of the cluster.
    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<Self::Key>;
}

/// The part of the cluster that one watch covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Everything.
    All,
    /// A node, and the pods bound to it.
    Node(NodeName),
    /// The objects of a namespace.
    Namespace(String),
}

impl Part {
    fn has_key(&self, key: &ObjectKey) -> bool {
        match self {
            Self::Namespace(namespace) => *namespace == key.namespace,
            Self::All | Self::Node(_) => true,
        }
    }
}

/// What a change concerns: whoever acts on one of these nodes looks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// The nodes.
    pub nodes: BTreeSet<NodeName>,
    /// The maintenances.
    pub maintenances: BTreeSet<String>,
    /// Everything may be concerned: a budget, a configuration, or more than can be told.
    pub everything: bool,
}

impl Concerned {
    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Whether somebody who acts on that node should look again.
    #[must_use]
    pub fn concerns(&self, node: &NodeName) -> bool {
        self.everything || self.nodes.contains(node)
    }

    /// Adds what another change concerns.
    pub fn merge(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.maintenances.extend(other.maintenances);
        self.everything |= other.everything;
    }

    /// Whether nothing is concerned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everything && self.nodes.is_empty() && self.maintenances.is_empty()
    }
}

impl Snapshot {
    /// Puts an object in.
    pub fn put<K: Kept>(&mut self, object: K) -> Concerned {
        let mut concerned = Concerned::default();
        Arc::new(object).put(self, &mut concerned);
        concerned
    }

    /// Takes an object out.
    pub fn take<K: Kept>(&mut self, key: &K::Key) -> Concerned {
        let mut concerned = Concerned::default();
        K::take(self, key, &mut concerned);
        concerned
    }

    /// Takes all objects of a kind out, as after the end of the kind.
    pub fn clear<K: Kept>(&mut self) -> Concerned {
        self.replace::<K>(&Part::All, Vec::new(), &BTreeSet::new())
    }

    /// Replaces the objects of a kind in a part of the cluster, as after a new list; those in `keep` stay as they are.
    pub fn replace<K: Kept>(&mut self, part: &Part, objects: Vec<K>, keep: &BTreeSet<K::Key>) -> Concerned {
        let mut concerned = Concerned::default();
        let present: BTreeSet<K::Key> = objects.iter().map(K::key).collect();
        for key in K::keys(self, part) {
            if !present.contains(&key) && !keep.contains(&key) {
                K::take(self, &key, &mut concerned);
            }
        }
        for object in objects {
            Arc::new(object).put(self, &mut concerned);
        }
        concerned
    }
}

fn namespaced_key(metadata: &ObjectMeta) -> Option<ObjectKey> {
    Some(ObjectKey::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
}

/// Moves an entry of an index from one owner to another.
fn reindex<I: Ord + Clone, K: Ord + Clone, V: Clone>(
    index: &mut OrdMap<I, OrdMap<K, V>>,
    key: &K,
    old: Option<&I>,
    new: Option<(&I, V)>,
) {
    if let Some(old) = old
        && new.as_ref().is_none_or(|(new, _)| *new != old)
        && let Some(entries) = index.get_mut(old)
    {
        entries.remove(key);
        if entries.is_empty() {
            index.remove(old);
        }
    }
    if let Some((new, value)) = new {
        index.entry(new.clone()).or_default().insert(key.clone(), value);
    }
}

impl Kept for Node {
    type Key = NodeName;

    fn key(&self) -> NodeName {
        self.name.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<NodeName> {
        metadata.name.as_deref()?.parse().ok()
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.nodes.insert(self.name.clone());
        snapshot.nodes.insert(self.name.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &NodeName, concerned: &mut Concerned) {
        snapshot.nodes.remove(key);
        concerned.nodes.insert(key.clone());
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<NodeName> {
        let in_part = |name: &&NodeName| !matches!(part, Part::Node(node) if node != *name);
        snapshot.nodes.keys().filter(in_part).cloned().collect()
    }
}

impl Kept for Pod {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
        namespaced_key(metadata)
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        let old = snapshot.pods.insert(self.key.clone(), self.clone());
        let old_node = old.as_ref().and_then(|old| old.node.as_ref());
        concerned.nodes.extend(old_node.cloned());
        concerned.nodes.extend(self.node.clone());
        let new = self.node.as_ref().map(|node| (node, self.clone()));
        reindex(&mut snapshot.pods_by_node, &self.key, old_node, new);
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        if let Some(old) = snapshot.pods.remove(key) {
            reindex(&mut snapshot.pods_by_node, key, old.node.as_ref(), None);
            concerned.nodes.extend(old.node.clone());
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        match part {
            Part::Node(node) => snapshot.pods_on(node).map(|pod| pod.key.clone()).collect(),
            Part::All | Part::Namespace(_) => snapshot.pods.keys().filter(|key| part.has_key(key)).cloned().collect(),
        }
    }
}

impl Kept for Budget {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
        namespaced_key(metadata)
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.everything = true;
        let of_namespace = snapshot.budgets.entry(self.key.namespace.clone()).or_default();
        of_namespace.insert(self.key.name.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        concerned.everything = true;
        if let Some(of_namespace) = snapshot.budgets.get_mut(&key.namespace) {
            of_namespace.remove(&key.name);
            if of_namespace.is_empty() {
                snapshot.budgets.remove(&key.namespace);
            }
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        let keys = snapshot.budgets.values().flat_map(OrdMap::values).map(|budget| &budget.key);
        keys.filter(|key| part.has_key(key)).cloned().collect()
    }
}

impl Kept for NodeMaintenance {
    type Key = String;

    fn key(&self) -> String {
        self.metadata.name.clone().unwrap_or_default()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<String> {
        metadata.name.clone()
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.maintenances.insert(self.key());
        concerned.nodes.extend(self.spec.node_name.parse().ok());
        snapshot.maintenances.insert(self.key(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &String, concerned: &mut Concerned) {
        concerned.maintenances.insert(key.clone());
        if let Some(old) = snapshot.maintenances.remove(key) {
            concerned.nodes.extend(old.spec.node_name.parse().ok());
        }
    }

    fn keys(snapshot: &Snapshot, _: &Part) -> Vec<String> {
        snapshot.maintenances.keys().cloned().collect()
    }
}

impl Kept for VirtualMachine {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
        namespaced_key(metadata)
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        // A VM's VMI has its name.
        let vmi = snapshot.vmis.get(&self.key);
        concerned.nodes.extend(vmi.and_then(|vmi| vmi.node.clone()));
        snapshot.vms.insert(self.key.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        concerned.nodes.extend(snapshot.vmis.get(key).and_then(|vmi| vmi.node.clone()));
        snapshot.vms.remove(key);
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        snapshot.vms.keys().filter(|key| part.has_key(key)).cloned().collect()
    }
}

impl Kept for VirtualMachineInstance {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
        namespaced_key(metadata)
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        let old = snapshot.vmis.insert(self.key.clone(), self.clone());
        let old_node = old.as_ref().and_then(|old| old.node.as_ref());
        concerned.nodes.extend(old_node.cloned());
        concerned.nodes.extend(self.node.clone());
        concerned.nodes.extend(self.evacuation_node.clone());
        let new = self.node.as_ref().map(|node| (node, self.clone()));
        reindex(&mut snapshot.vmis_by_node, &self.key, old_node, new);
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        if let Some(old) = snapshot.vmis.remove(key) {
            reindex(&mut snapshot.vmis_by_node, key, old.node.as_ref(), None);
            concerned.nodes.extend(old.node.clone());
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        snapshot.vmis.keys().filter(|key| part.has_key(key)).cloned().collect()
    }
}

impl Kept for Migration {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<ObjectKey> {
        namespaced_key(metadata)
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        let vmi = ObjectKey::new(&self.key.namespace, &self.vmi_name);
        concern_vmi(snapshot, &vmi, concerned);
        snapshot.migrations.insert(self.key.clone(), self.clone());
        let key = self.key.clone();
        reindex(&mut snapshot.migrations_by_vmi, &key, None, Some((&vmi, self)));
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        if let Some(old) = snapshot.migrations.remove(key) {
            let vmi = ObjectKey::new(&key.namespace, &old.vmi_name);
            reindex(&mut snapshot.migrations_by_vmi, key, Some(&vmi), None);
            concern_vmi(snapshot, &vmi, concerned);
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        snapshot.migrations.keys().filter(|key| part.has_key(key)).cloned().collect()
    }
}

fn concern_vmi(snapshot: &Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
    if let Some(vmi) = snapshot.vmis.get(key) {
        concerned.nodes.extend(vmi.node.clone());
        let target = vmi.migration_state.as_ref().and_then(|state| state.target_node.as_ref());
        concerned.nodes.extend(target.and_then(|target| target.parse().ok()));
    }
}

impl Kept for KubeVirtConfiguration {
    type Key = ();

    fn key(&self) {}

    fn key_of(_: &ObjectMeta) -> Option<()> {
        Some(())
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.everything |= snapshot.kubevirt != *self;
        snapshot.kubevirt = Self::clone(&self);
    }

    fn take(snapshot: &mut Snapshot, (): &(), concerned: &mut Concerned) {
        concerned.everything = true;
        snapshot.kubevirt = Self::default();
    }

    fn keys(_: &Snapshot, _: &Part) -> Vec<()> {
        vec![()]
    }
}
