//! The kinds that snapshots hold: where each is kept, by what it is found, and which nodes a change of it concerns.

use std::sync::Arc;

use imbl::OrdMap;
use kube::api::ObjectMeta;

use super::{
    Snapshot,
    apply::{Concerned, Kept, Part},
};
use crate::model::{
    Budget, DrainOrder, Node, NodeClaim, NodeMaintenance, NodeName, ObjectKey, Pod, Receipt, Uid,
    virtual_machine::{KubeVirtConfiguration, Migration, VirtualMachine, VirtualMachineInstance},
};

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

    fn uid(snapshot: &Snapshot, key: &NodeName) -> Option<Uid> {
        snapshot.nodes.get(key).map(|node| node.uid.clone())
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

    fn uid(snapshot: &Snapshot, key: &ObjectKey) -> Option<Uid> {
        snapshot.pods.get(key).map(|pod| pod.uid.clone())
    }

    fn is_superseded(&self, snapshot: &Snapshot) -> bool {
        // resourceVersions are numbers that grow, whatever the object (KEP-5504); where they are not, what comes
        // counts.
        let number = |pod: &Self| pod.resource_version.parse::<u64>().ok();
        snapshot.pods.get(&self.key).is_some_and(|found| {
            found.uid != self.uid && found.node != self.node && found.node.is_some() && number(found) > number(self)
        })
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

    fn uid(snapshot: &Snapshot, key: &ObjectKey) -> Option<Uid> {
        snapshot.budget(key).map(|budget| budget.uid.clone())
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
        if let Some(old) = snapshot.maintenances.insert(self.key(), self) {
            concerned.nodes.extend(old.spec.node_name.parse().ok());
        }
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

    fn uid(snapshot: &Snapshot, key: &String) -> Option<Uid> {
        snapshot.maintenances.get(key).and_then(|object| object.metadata.uid.clone()).map(Uid)
    }
}

impl Kept for DrainOrder {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<String> {
        metadata.name.clone()
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.nodes.insert(self.node().clone());
        snapshot.orders.insert(self.name.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &String, concerned: &mut Concerned) {
        if let Some(old) = snapshot.orders.remove(key) {
            concerned.nodes.insert(old.node().clone());
        }
    }

    fn keys(snapshot: &Snapshot, _: &Part) -> Vec<String> {
        snapshot.orders.keys().cloned().collect()
    }

    fn uid(snapshot: &Snapshot, key: &String) -> Option<Uid> {
        snapshot.orders.get(key).map(|order| order.uid.clone())
    }
}

impl Kept for Receipt {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<String> {
        metadata.name.clone()
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.maintenances.insert(self.request.maintenance.clone());
        snapshot.receipts.insert(self.name.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &String, concerned: &mut Concerned) {
        if let Some(old) = snapshot.receipts.remove(key) {
            concerned.maintenances.insert(old.request.maintenance.clone());
        }
    }

    fn keys(snapshot: &Snapshot, _: &Part) -> Vec<String> {
        snapshot.receipts.keys().cloned().collect()
    }

    fn uid(snapshot: &Snapshot, key: &String) -> Option<Uid> {
        snapshot.receipts.get(key).map(|receipt| receipt.uid.clone())
    }
}

impl Kept for NodeClaim {
    type Key = String;

    fn key(&self) -> String {
        self.lease.clone()
    }

    fn key_of(metadata: &ObjectMeta) -> Option<String> {
        metadata.name.clone()
    }

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        let (node, holder) = (self.node(), self.holder.clone());
        let old = snapshot.claims.insert(self.lease.clone(), self);
        // That its holder renews it concerns nobody.
        if old.and_then(|old| old.holder.clone()) != holder {
            concerned.nodes.extend(node);
        }
    }

    fn take(snapshot: &mut Snapshot, key: &String, concerned: &mut Concerned) {
        if let Some(old) = snapshot.claims.remove(key) {
            concerned.nodes.extend(old.node());
        }
    }

    fn keys(snapshot: &Snapshot, _: &Part) -> Vec<String> {
        snapshot.claims.keys().cloned().collect()
    }

    fn uid(snapshot: &Snapshot, key: &String) -> Option<Uid> {
        snapshot.claims.get(key).map(|claim| claim.uid.clone())
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

    fn uid(snapshot: &Snapshot, key: &ObjectKey) -> Option<Uid> {
        snapshot.vms.get(key).map(|vm| vm.uid.clone())
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
        for vmi in old.iter().chain([&self]) {
            concern_nodes_of(vmi, concerned);
        }
        let old_node = old.as_ref().and_then(|old| old.node.as_ref());
        let new = self.node.as_ref().map(|node| (node, self.clone()));
        reindex(&mut snapshot.vmis_by_node, &self.key, old_node, new);
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        if let Some(old) = snapshot.vmis.remove(key) {
            reindex(&mut snapshot.vmis_by_node, key, old.node.as_ref(), None);
            concern_nodes_of(&old, concerned);
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        snapshot.vmis.keys().filter(|key| part.has_key(key)).cloned().collect()
    }

    fn uid(snapshot: &Snapshot, key: &ObjectKey) -> Option<Uid> {
        snapshot.vmis.get(key).map(|vmi| vmi.uid.clone())
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
        let vmi = self.instance_key();
        concern_vmi(snapshot, &vmi, concerned);
        let old = snapshot.migrations.insert(self.key.clone(), self.clone());
        // One that was deleted and made anew under its name may be of another VMI.
        let old_vmi = old.map(|old| old.instance_key());
        if let Some(old_vmi) = &old_vmi {
            concern_vmi(snapshot, old_vmi, concerned);
        }
        let key = self.key.clone();
        reindex(&mut snapshot.migrations_by_vmi, &key, old_vmi.as_ref(), Some((&vmi, self)));
    }

    fn take(snapshot: &mut Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
        if let Some(old) = snapshot.migrations.remove(key) {
            let vmi = old.instance_key();
            reindex(&mut snapshot.migrations_by_vmi, key, Some(&vmi), None);
            concern_vmi(snapshot, &vmi, concerned);
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<ObjectKey> {
        snapshot.migrations.keys().filter(|key| part.has_key(key)).cloned().collect()
    }

    fn uid(snapshot: &Snapshot, key: &ObjectKey) -> Option<Uid> {
        snapshot.migrations.get(key).map(|migration| migration.uid.clone())
    }
}

fn concern_vmi(snapshot: &Snapshot, key: &ObjectKey, concerned: &mut Concerned) {
    if let Some(vmi) = snapshot.vmis.get(key) {
        concern_nodes_of(vmi, concerned);
    }
}

/// Where it runs, where it has to leave, and where it goes.
fn concern_nodes_of(vmi: &VirtualMachineInstance, concerned: &mut Concerned) {
    let target = vmi.migration_state.as_ref().and_then(|state| state.target_node.as_ref());
    let target = target.and_then(|target| target.parse().ok());
    concerned.nodes.extend(vmi.node.iter().chain(&vmi.evacuation_node).cloned().chain(target));
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

    fn uid(_: &Snapshot, (): &()) -> Option<Uid> {
        None
    }
}
