//! Cordon, uncordon, taint, untaint.

use serde_json::Value;

use super::{Holder, OperationError, Operations, holder};
use crate::{
    cluster::Snapshot,
    lease::{NodeLease, NodeLeaseError},
    maintenance::{Unconfirmed, maintenance_is_gone},
    migration::{has_to_take_back, take_back},
    model::{Actor, ActorKind, DrainOrder, DrainSpec, Node, NodeName, Record, TaintEffect, TaintKey, TaintValue},
    node::{self, Refused},
    order::Orders,
};

/// A taint to be added; one of that key and effect gets this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: TaintKey,
    /// Its value; may be empty.
    pub value: TaintValue,
    /// Its effect.
    pub effect: TaintEffect,
}

/// Taints to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untaint {
    /// Their key.
    pub key: TaintKey,
    /// Their effect; `None`: all effects of the key.
    pub effect: Option<TaintEffect>,
}

/// What becomes of evacuations and migrations that an operation has left behind, when its node is uncordoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeBack {
    /// They are taken back.
    Allowed,
    /// There were none when it was asked whether that is allowed: if there are some now, nothing is done.
    NotAllowed,
}

impl TakeBack {
    /// Whether it has to be asked for: whether uncordoning that node takes something back.
    #[must_use]
    pub fn is_needed(node: &NodeName, snapshot: &Snapshot) -> bool {
        snapshot.node(node).is_some_and(|node| match holder(node, snapshot) {
            Holder::LeftBehind(record) => has_to_take_back(&node.name, &record, snapshot),
            _ => false,
        })
    }
}

/// What became of a node.
#[derive(Clone, Debug)]
pub struct NodeChanged {
    /// The node as it is now; for a dry run as it was.
    pub node: Node,
    /// Whether something was (for a dry run: would be) changed.
    pub changed: bool,
    /// Whose record the node was restored from, if it carried one that was left behind.
    pub restored_from: Option<Actor>,
    /// What is worth knowing, in sentences.
    pub warnings: Vec<String>,
}

impl Operations {
    /// No new pods. Repeating it changes nothing.
    pub async fn cordon(&self, name: &NodeName, dry_run: bool) -> Result<NodeChanged, OperationError> {
        let (node, snapshot) = self.find(name)?;
        let holder = self.living_holder(&node, &snapshot).await?;
        holder.refuse(name)?;
        let left_behind = actor_of(&holder);
        self.change(&node, dry_run, |node| unless_taken(node, left_behind.as_ref(), node::cordon(node))).await
    }

    /// New pods again. A record that an operation has left behind is restored from: its taint goes, and the record.
    pub async fn uncordon(
        &self,
        name: &NodeName,
        take_back: TakeBack,
        dry_run: bool,
    ) -> Result<NodeChanged, OperationError> {
        let (node, snapshot) = self.find(name)?;
        if take_back == TakeBack::NotAllowed && TakeBack::is_needed(name, &snapshot) {
            let message = format!("node {name} was recorded anew while rights were asked for: try again");
            return Err(OperationError::Contended { message });
        }
        let holder = self.living_holder(&node, &snapshot).await?;
        holder.refuse(name)?;
        let changed = match holder {
            Holder::LeftBehind(record) => self.uncordon_left_behind(&node, record, dry_run).await?,
            _ => self.change(&node, dry_run, |node| unless_taken(node, None, node::uncordon(node))).await?,
        };
        if dry_run {
            return Ok(changed);
        }
        // What a drain that is over has said about the node is true no longer.
        let client = self.cluster.client();
        let said = node::set_conditions(client, &changed.node, None, self.clock.now()).await?;
        Ok(NodeChanged { node: said.unwrap_or(changed.node), ..changed })
    }

    /// Adds a taint. KubeVirt's own drain taint is never added; the drain taint not while somebody acts on the node.
    pub async fn taint(&self, name: &NodeName, taint: &Taint, dry_run: bool) -> Result<NodeChanged, OperationError> {
        let (node, snapshot) = self.find(name)?;
        let kubevirt_key = snapshot.kubevirt().node_drain_taint_key.clone();
        self.may_touch_taint(&node, &snapshot, taint.key.as_str(), Some(taint.effect))?;
        let value = Some(taint.value.as_str());
        self.change(&node, dry_run, |node| {
            node::add_taint(node, taint.key.as_str(), value, taint.effect, &kubevirt_key)
        })
        .await
    }

    /// Removes taints. The drain taint is not removed while somebody acts on the node.
    pub async fn untaint(
        &self,
        name: &NodeName,
        taint: &Untaint,
        dry_run: bool,
    ) -> Result<NodeChanged, OperationError> {
        let (node, snapshot) = self.find(name)?;
        self.may_touch_taint(&node, &snapshot, taint.key.as_str(), taint.effect)?;
        self.change(&node, dry_run, |found| {
            // Taken since the caches were filled: the taint may be that of the record.
            let patch = node::remove_taint(found, taint.key.as_str(), taint.effect);
            if self.is_drain_taint(found, taint.key.as_str(), taint.effect) {
                unless_taken(found, Record::of(&node).map(|record| record.actor).as_ref(), patch)
            } else {
                Ok(patch)
            }
        })
        .await
    }

    pub(super) fn find(&self, name: &NodeName) -> Result<(std::sync::Arc<Node>, Snapshot), OperationError> {
        let snapshot = self.cluster.snapshot();
        let node = snapshot.node(name).cloned();
        node.map(|node| (node, snapshot)).ok_or_else(|| OperationError::NodeNotFound { node: name.clone() })
    }

    /// Who acts on the node; the API server is asked where the caches leave it open. What remains `LeftBehind` is so,
    /// but for a drain in somebody's process: only its node Lease tells.
    async fn living_holder(&self, node: &Node, snapshot: &Snapshot) -> Result<Holder, OperationError> {
        let Holder::LeftBehind(record) = holder(node, snapshot) else { return Ok(holder(node, snapshot)) };
        let lives = match record.actor.kind {
            ActorKind::Maintenance => match maintenance_is_gone(self.cluster.client(), &record.actor).await {
                Ok(gone) => !gone,
                // Nobody will ever restore the node from it, so who uncordons it does.
                Err(Unconfirmed::NotServed | Unconfirmed::Refused(_)) => false,
                Err(error @ Unconfirmed::Unavailable(_)) => return Err(error.into()),
            },
            ActorKind::Order => {
                let orders = Orders::new(self.cluster.client(), &self.namespace);
                let order = orders.get(&DrainOrder::name_for(&node.name)).await?;
                order.is_some_and(|order| *order.id() == record.actor.uid && !order.is_finished())
            }
            ActorKind::Process => false,
        };
        Ok(match (lives, record.actor.kind) {
            (false, _) => Holder::LeftBehind(record),
            (true, ActorKind::Maintenance) => Holder::Maintenance(record.actor.name),
            (true, ActorKind::Order | ActorKind::Process) => Holder::Drain(record.actor.name),
        })
    }

    async fn uncordon_left_behind(
        &self,
        node: &Node,
        record: Record,
        dry_run: bool,
    ) -> Result<NodeChanged, OperationError> {
        let key = &self.drain_taint_key;
        let plain = |node: &Node| unless_taken(node, Some(&record.actor), node::uncordon(node));
        if let Err(fault) = node::uncordon_left_behind(node, &record, key) {
            // It is reported, not obeyed.
            let changed = self.change(node, dry_run, plain).await?;
            return Ok(NodeChanged { warnings: vec![fault.to_string()], ..changed });
        }
        let patch = |node: &Node| match Record::of(node) {
            Some(found) if found.actor == record.actor => node::uncordon_left_behind(node, &found, key),
            _ => plain(node),
        };
        let restored_from = Some(record.actor.clone());
        if dry_run {
            return Ok(NodeChanged { restored_from, ..self.change(node, true, patch).await? });
        }
        let mut lease = self.hold_left_behind(node, &record.actor).await?;
        let warnings = match DrainSpec::default().for_drain() {
            Ok(options) => take_back(&self.cluster, &node.name, &record, &options).await,
            Err(_) => Vec::new(),
        };
        let changed = self.change(node, false, patch).await;
        if let Err(error) = lease.release().await {
            tracing::warn!(node = %node.name, %error, "the node Lease was not released; it lapses by itself");
        }
        Ok(NodeChanged { restored_from, warnings, ..changed? })
    }

    /// The node Lease, under a name of our own: whoever left the record behind holds it if it lives after all.
    async fn hold_left_behind(&self, node: &Node, actor: &Actor) -> Result<NodeLease, OperationError> {
        let client = self.cluster.client().clone();
        let own = format!("careen/uncordon/{}", actor.uid);
        let acquired = NodeLease::acquire(client, self.clock, &node.name, &node.uid, own).await;
        acquired.map_err(|error| match error {
            NodeLeaseError::HeldBy { node, holder, .. } if holder == actor.lease_holder() => match actor.kind {
                ActorKind::Maintenance => OperationError::UnderMaintenance { node, by: actor.name.clone() },
                kind @ (ActorKind::Order | ActorKind::Process) => {
                    OperationError::DrainInProgress { node, by: actor.name.clone(), kind }
                }
            },
            error => error.into(),
        })
    }

    fn may_touch_taint(
        &self,
        node: &Node,
        snapshot: &Snapshot,
        key: &str,
        effect: Option<TaintEffect>,
    ) -> Result<(), OperationError> {
        if !self.is_drain_taint(node, key, effect) {
            return Ok(());
        }
        holder(node, snapshot).refuse(&node.name)
    }

    /// Whether it is the taint of a maintenance, by the setting or by what was added.
    fn is_drain_taint(&self, node: &Node, key: &str, effect: Option<TaintEffect>) -> bool {
        let added = Record::of(node).and_then(|record| record.added_taint);
        (key == self.drain_taint_key || added.as_deref() == Some(key))
            && effect.is_none_or(|effect| effect == TaintEffect::NoSchedule)
    }

    async fn change<F>(&self, node: &Node, dry_run: bool, patch: F) -> Result<NodeChanged, OperationError>
    where
        F: Fn(&Node) -> Result<Option<Value>, Refused>,
    {
        let done = |node: Node, changed| NodeChanged { node, changed, restored_from: None, warnings: Vec::new() };
        if dry_run {
            let patch = patch(node).map_err(node::NodeError::from)?;
            return Ok(done(node.clone(), patch.is_some()));
        }
        let changed = node::change(self.cluster.client(), node, patch).await?;
        Ok(changed.map_or_else(|| done(node.clone(), false), |after| done(after, true)))
    }
}

fn actor_of(holder: &Holder) -> Option<Actor> {
    match holder {
        Holder::LeftBehind(record) => Some(record.actor.clone()),
        _ => None,
    }
}

/// The change, unless the node carries the record of somebody who is not known to be gone. Record and cordon are one
/// write, and every change is guarded by the resourceVersion: so nobody's cordon is undone between two looks.
fn unless_taken(node: &Node, gone: Option<&Actor>, patch: Option<Value>) -> Result<Option<Value>, Refused> {
    match Record::of(node) {
        Some(record) if Some(&record.actor) != gone => {
            Err(Refused::Taken { node: node.name.clone(), by: record.actor })
        }
        _ => Ok(patch),
    }
}
