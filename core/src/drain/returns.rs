//! Workloads that come back: pods that tolerate the cordon fill the node again as fast as it is emptied.
//!
//! kubectl's drain evicts them for ever. Here a controller whose pods have come back a few times is said to be stuck,
//! and its next pods are asked to leave ever more rarely: a service that restarts every few seconds serves nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cluster::Snapshot,
    model::{Owner, Pod, Uid},
    plan::{Block, BlockReason, vmi_of},
};

/// So many times it may be chance: a pod that was bound just before the cordon, a node that was uncordoned by hand.
const BY_CHANCE: u32 = 2;

/// Which controllers' pods have left the node, and how many have come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Returns {
    /// The controllers of the pods that are to leave.
    here: BTreeMap<Uid, Uid>,
    /// How many pods have come back, by the controllers of which one has left.
    come_back: BTreeMap<Uid, u32>,
}

/// A pod of a controller that has sent too many to the node.
pub(super) struct Return {
    /// What is said of it.
    pub(super) block: Block,
    /// How many have come back beyond those that may be chance, without this one.
    pub(super) before: u32,
}

impl Returns {
    /// Takes up which pods are on the node.
    pub(super) fn see_gone(&mut self, present: &BTreeSet<&Uid>) {
        self.here.retain(|pod, controller| {
            let is_here = present.contains(pod);
            if !is_here {
                self.come_back.entry(controller.clone()).or_insert(0);
            }
            is_here
        });
    }

    /// Takes up that a pod which has to leave is seen for the first time.
    pub(super) fn see_new(&mut self, pod: &Pod, snapshot: &Snapshot) -> Option<Return> {
        let controller = controller(pod, snapshot)?;
        self.here.insert(pod.uid.clone(), controller.uid.clone());
        let come_back = self.come_back.get_mut(&controller.uid)?;
        *come_back = come_back.saturating_add(1);
        let before = come_back.checked_sub(BY_CHANCE + 1)?;
        let message = format!(
            "{} {}/{} sends its pods back to the node, so they tolerate its cordon: take that toleration away, or leave them out with podSelector",
            controller.kind, pod.key.namespace, controller.name
        );
        Some(Return { block: Block::new(BlockReason::ReturnsToNode, message), before })
    }
}

/// What makes the workload again: of a VM's pod not the VMI, which is made anew with it.
fn controller<'a>(pod: &'a Pod, snapshot: &'a Snapshot) -> Option<&'a Owner> {
    vmi_of(pod, snapshot).map_or_else(|| pod.controller(), |vmi| vmi.owner.as_ref())
}
