//! Nodes, pods and budgets.

use std::sync::Arc;

use imbl::OrdMap;

use super::{Concerned, Kept, Key, Part, Snapshot, keys_in, reindex};
use crate::model::{Budget, Node, NodeName, ObjectKey, Pod, Uid};

impl Kept for Node {
    type Key = NodeName;

    fn key(&self) -> NodeName {
        self.name.clone()
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
        keys_in(&snapshot.nodes, part)
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
            Part::All | Part::Namespace(_) => keys_in(&snapshot.pods, part),
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
        keys.filter(|key| key.is_in(part)).cloned().collect()
    }

    fn uid(snapshot: &Snapshot, key: &ObjectKey) -> Option<Uid> {
        snapshot.budget(key).map(|budget| budget.uid.clone())
    }
}
