//! Maintenances, drain orders, receipts, and who holds which node.

use std::sync::Arc;

use super::{Concerned, Kept, Part, Snapshot, keys_in};
use crate::model::{DrainOrder, NodeClaim, NodeMaintenance, Receipt, Uid};

impl Kept for NodeMaintenance {
    type Key = String;

    fn key(&self) -> String {
        self.metadata.name.clone().unwrap_or_default()
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

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<String> {
        keys_in(&snapshot.maintenances, part)
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

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.nodes.insert(self.node().clone());
        snapshot.orders.insert(self.name.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &String, concerned: &mut Concerned) {
        if let Some(old) = snapshot.orders.remove(key) {
            concerned.nodes.insert(old.node().clone());
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<String> {
        keys_in(&snapshot.orders, part)
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

    fn put(self: Arc<Self>, snapshot: &mut Snapshot, concerned: &mut Concerned) {
        concerned.maintenances.insert(self.request.maintenance.clone());
        snapshot.receipts.insert(self.name.clone(), self);
    }

    fn take(snapshot: &mut Snapshot, key: &String, concerned: &mut Concerned) {
        if let Some(old) = snapshot.receipts.remove(key) {
            concerned.maintenances.insert(old.request.maintenance.clone());
        }
    }

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<String> {
        keys_in(&snapshot.receipts, part)
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

    fn keys(snapshot: &Snapshot, part: &Part) -> Vec<String> {
        keys_in(&snapshot.claims, part)
    }

    fn uid(snapshot: &Snapshot, key: &String) -> Option<Uid> {
        snapshot.claims.get(key).map(|claim| claim.uid.clone())
    }
}
