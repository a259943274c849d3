//! What has changed between two moments, as people are told of it: pure.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;

use super::{DrainView, MaintenanceView, Views};
use crate::{
    cluster::Concerned,
    model::{DrainOrder, Node, NodeMaintenance, NodeName, Uid},
    order::obsolete_at,
};

/// One thing that has changed, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeView {
    /// A node has come, or stands otherwise than before.
    NodeChanged(NodeStateView),
    /// A node has left the cluster.
    NodeGone(NodeStateView),
    /// A maintenance has come, or is otherwise than before.
    MaintenanceChanged(Box<MaintenanceView>),
    /// A maintenance has ended: as it was last seen, in phase `Ended`.
    MaintenanceEnded(Box<MaintenanceView>),
    /// A drain has come, or is otherwise than before.
    DrainChanged(Box<DrainView>),
    /// A drain says nothing about its node any more: as it was last seen.
    DrainForgotten(Box<DrainView>),
}

/// How a node stands, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStateView {
    /// Its name.
    pub name: NodeName,
    /// Its UID.
    pub uid: Uid,
    /// Whether its kubelet says that it is ready.
    pub ready: bool,
    /// Whether new pods may come.
    pub schedulable: bool,
    /// The name of the maintenance that it has.
    pub maintenance: Option<String>,
    /// The id of the drain that runs, or of the last one.
    pub drain: Option<Uid>,
}

impl ChangeView {
    /// The name of this kind of change.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NodeChanged(_) => "NodeChanged",
            Self::NodeGone(_) => "NodeGone",
            Self::MaintenanceChanged(_) => "MaintenanceChanged",
            Self::MaintenanceEnded(_) => "MaintenanceEnded",
            Self::DrainChanged(_) => "DrainChanged",
            Self::DrainForgotten(_) => "DrainForgotten",
        }
    }

    /// Whether nothing more can happen to what it is about.
    #[must_use]
    pub fn is_the_end(&self) -> bool {
        matches!(self, Self::MaintenanceEnded(_) | Self::DrainForgotten(_))
    }
}

impl Views {
    /// How all nodes stand, by name.
    pub fn node_states(&self) -> impl Iterator<Item = NodeStateView> {
        self.snapshot.nodes().map(|node| self.node_state(node))
    }

    /// All drains of which something is known, by node.
    pub fn drains(&self) -> impl Iterator<Item = DrainView> {
        self.snapshot.nodes().filter_map(|node| self.drain(&node.name))
    }

    /// What has changed since that moment; `concerned` says where to look.
    #[must_use]
    pub fn changes_since(&self, before: &Self, concerned: &Concerned) -> Vec<ChangeView> {
        let mut changes = Vec::new();
        for name in self.maintenances_to_look_at(before, concerned) {
            let (old, new) = (before.snapshot.maintenance(&name), self.snapshot.maintenance(&name));
            maintenance_changes(old, new, &mut changes);
        }
        let forgotten = self.forgotten_since(before);
        for name in &self.nodes_to_look_at(before, concerned) | &forgotten {
            if !forgotten.contains(&name) && self.is_the_same(before, &name) {
                continue;
            }
            let (old, new) = (before.drain(&name), self.drain(&name));
            drain_changes(old, new, &mut changes);
            let state = |views: &Self| views.snapshot.node(&name).map(|node| views.node_state(node));
            match (state(before), state(self)) {
                (Some(old), None) => changes.push(ChangeView::NodeGone(old)),
                (old, Some(new)) if old.as_ref() != Some(&new) => changes.push(ChangeView::NodeChanged(new)),
                _ => {}
            }
        }
        changes
    }

    fn node_state(&self, node: &Node) -> NodeStateView {
        NodeStateView {
            name: node.name.clone(),
            uid: node.uid.clone(),
            ready: node.is_ready(),
            schedulable: !node.unschedulable,
            maintenance: self.maintenance_of(&node.name).map(|object| object.name().to_owned()),
            drain: self.drain(&node.name).map(|drain| drain.id),
        }
    }

    fn maintenances_to_look_at(&self, before: &Self, concerned: &Concerned) -> BTreeSet<String> {
        if !concerned.everything {
            return concerned.maintenances.clone();
        }
        let all = before.snapshot.maintenances().chain(self.snapshot.maintenances());
        all.map(|object| object.name().to_owned()).collect()
    }

    fn nodes_to_look_at(&self, before: &Self, concerned: &Concerned) -> BTreeSet<NodeName> {
        if !concerned.everything {
            return concerned.nodes.clone();
        }
        let all = before.snapshot.nodes().chain(self.snapshot.nodes()).map(|node| node.name.clone());
        let ordered = before.snapshot.drain_orders().chain(self.snapshot.drain_orders());
        all.chain(ordered.map(|order| order.node().clone())).collect()
    }

    /// The nodes whose drain says nothing any more because of the time alone, whatever has changed elsewhere.
    fn forgotten_since(&self, before: &Self) -> BTreeSet<NodeName> {
        let is_forgotten = |order: &&Arc<DrainOrder>| {
            obsolete_at(order, &before.snapshot).is_some_and(|at| before.now < at && at <= self.now)
        };
        before.snapshot.drain_orders().filter(is_forgotten).map(|order| order.node().clone()).collect()
    }

    /// Whether nothing about that node can have changed: most nodes, most of the time. What drains has always changed,
    /// because its pods have.
    fn is_the_same(&self, before: &Self, node: &NodeName) -> bool {
        let order = self.snapshot.drain_order(node);
        same(before.snapshot.node(node), self.snapshot.node(node))
            && same(before.maintenance_of(node), self.maintenance_of(node))
            && same(before.snapshot.drain_order(node), order)
            && order.is_none_or(|order| order.is_finished())
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

fn maintenance_changes(
    old: Option<&Arc<NodeMaintenance>>,
    new: Option<&Arc<NodeMaintenance>>,
    changes: &mut Vec<ChangeView>,
) {
    if same(old, new) {
        return;
    }
    let is_another = |old: &NodeMaintenance| new.is_none_or(|new| new.metadata.uid != old.metadata.uid);
    if let Some(ended) = old.filter(|old| is_another(old)) {
        changes.push(ChangeView::MaintenanceEnded(Box::new(MaintenanceView::ended(ended))));
    }
    if let Some(new) = new.map(|object| MaintenanceView::from(&**object))
        && old.is_none_or(|old| MaintenanceView::from(&**old) != new)
    {
        changes.push(ChangeView::MaintenanceChanged(Box::new(new)));
    }
}

fn drain_changes(old: Option<DrainView>, new: Option<DrainView>, changes: &mut Vec<ChangeView>) {
    if old == new {
        return;
    }
    let is_another = |old: &DrainView| new.as_ref().is_none_or(|new| new.id != old.id);
    if let Some(forgotten) = old.filter(is_another) {
        changes.push(ChangeView::DrainForgotten(Box::new(forgotten)));
    }
    changes.extend(new.map(|new| ChangeView::DrainChanged(Box::new(new))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::Snapshot,
        model::{
            DrainEnd, DrainOutcome,
            testing::{at, drain_order, maintenance, node, node_name, pod},
        },
        view::MaintenancePhaseView,
    };

    /// The names of the changes from one snapshot to the other, wherever they are.
    fn changes(before: &Snapshot, after: &Snapshot) -> Vec<ChangeView> {
        let views = |snapshot: &Snapshot| Views::of(snapshot.clone(), at(100));
        views(after).changes_since(&views(before), &Concerned::everything())
    }

    fn names(before: &Snapshot, after: &Snapshot) -> Vec<&'static str> {
        changes(before, after).iter().map(ChangeView::name).collect()
    }

    #[test]
    fn what_comes_changes_and_goes_is_told_once() {
        let empty = Snapshot::default().with(node("node02"));
        let open = empty.clone().with(maintenance("m", "node02"));
        let accepted = empty.clone().with(maintenance("m", "node02").decided(true));
        assert_eq!(names(&empty, &open), ["MaintenanceChanged", "NodeChanged"]);
        assert_eq!(names(&open, &open), [""; 0]);
        assert_eq!(names(&open, &accepted), ["MaintenanceChanged"]);
        assert_eq!(names(&accepted, &empty), ["MaintenanceEnded", "NodeChanged"]);
        let ended = changes(&accepted, &empty).remove(0);
        let ChangeView::MaintenanceEnded(ended) = ended else { panic!("{ended:?}") };
        assert_eq!((ended.name.as_str(), ended.phase), ("m", MaintenancePhaseView::Ended));
    }

    #[test]
    fn one_that_was_made_again_under_its_name_is_another() {
        let mut again = maintenance("m", "node02");
        again.metadata.uid = Some("again".to_owned());
        let with = |object| Snapshot::default().with(object);
        let told = names(&with(maintenance("m", "node02")), &with(again));
        assert_eq!(told, ["MaintenanceEnded", "MaintenanceChanged"]);
    }

    #[test]
    fn a_drain_is_told_whenever_its_pods_change_and_once_more_when_it_is_forgotten() {
        let order = drain_order("d1", "node02").begun(at(1));
        let cordoned = Snapshot::default().with(node("node02").cordoned()).with(order.clone());
        let two = cordoned
            .clone()
            .with_all(["a", "b"].map(|name| pod("shop", name).on("node02").owned_by("ReplicaSet", "web")));
        let one = cordoned.clone().with(pod("shop", "a").on("node02").owned_by("ReplicaSet", "web"));
        assert_eq!(names(&two, &one), ["DrainChanged"]);
        assert_eq!(names(&one, &one.clone()), [""; 0]);
        let forgotten = Snapshot::default().with(node("node02").cordoned());
        assert_eq!(names(&cordoned, &forgotten), ["DrainForgotten", "NodeChanged"]);
        let next = forgotten.with(drain_order("d2", "node02"));
        assert_eq!(names(&cordoned, &next), ["DrainForgotten", "DrainChanged", "NodeChanged"]);
    }

    #[test]
    fn a_drain_that_the_time_forgets_is_told_whatever_else_changes_meanwhile() {
        let (end, message) = (DrainEnd::Drained, String::new());
        let outcome = DrainOutcome { end, message, reason: None, at: at(10), left: 0, left_behind: Vec::new() };
        let mut order = drain_order("d1", "node02").begun(at(1));
        order.status.outcome = Some(outcome);
        let over = Snapshot::default().with(node("node01")).with(node("node02")).with(order);
        let mut elsewhere = over.clone();
        let concerned = elsewhere.put(node("node01").cordoned());
        // It is told for thirty seconds.
        let [early, late, later] = [39, 41, 43].map(at);
        let told = |before: Views, after: &Views| {
            let changes = after.changes_since(&before, &concerned);
            changes.iter().map(ChangeView::name).collect::<Vec<_>>()
        };
        let then = Views::of(elsewhere.clone(), late);
        assert_eq!(told(Views::of(over, early), &then), ["NodeChanged", "DrainForgotten", "NodeChanged"]);
        assert_eq!(told(then, &Views::of(elsewhere, later)), [""; 0]);
    }

    #[test]
    fn what_a_kubelet_tells_again_and_again_is_no_news() {
        let before = Snapshot::default().with(node("node02"));
        let mut later = node("node02");
        later.resource_version = "9".to_owned();
        assert_eq!(names(&before, &before.clone().with(later)), [""; 0]);
        assert_eq!(names(&before, &before.clone().with(node("node02").not_ready())), ["NodeChanged"]);
        assert_eq!(names(&before, &before.clone().with(node("node02").cordoned())), ["NodeChanged"]);
        assert_eq!(names(&before, &Snapshot::default()), ["NodeGone"]);
    }

    #[test]
    fn only_what_is_concerned_is_looked_at() {
        let before = Snapshot::default().with(node("node01")).with(node("node02"));
        let mut after = before.clone();
        let concerned = after.put(node("node02").cordoned());
        after.put(node("node01").cordoned());
        let views = |snapshot| Views::of(snapshot, at(100));
        let told = views(after).changes_since(&views(before), &concerned);
        let [ChangeView::NodeChanged(state)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(state.name, node_name("node02"));
    }
}
