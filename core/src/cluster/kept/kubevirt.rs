//! VMs, their instances and migrations, and KubeVirt's configuration.

use std::sync::Arc;

use super::{Concerned, Kept, Part, Snapshot, keys_in, reindex};
use crate::model::{
    ObjectKey, Uid,
    virtual_machine::{KubeVirtConfiguration, Migration, VirtualMachine, VirtualMachineInstance},
};

impl Kept for VirtualMachine {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key.clone()
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
        keys_in(&snapshot.vms, part)
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
        keys_in(&snapshot.vmis, part)
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
        keys_in(&snapshot.migrations, part)
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
