//! Whether the control plane keeps its quorum when a node goes.
//!
//! Nothing of Kubernetes answers that, so it is counted: etcd goes on while more than half of its members are ready
//! (<https://etcd.io/docs/v3.5/faq/#what-is-failure-tolerance>).

use crate::{
    cluster::{Snapshot, View},
    model::{DrainEnd, DrainOrder, Node, NodeName, Pod, Record, condition},
};

const CONTROL_PLANE_LABELS: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// On nodes whose etcd is no pod: k3s and RKE2.
const ETCD_NODE_LABEL: &str = "node-role.kubernetes.io/etcd";

/// What becomes of the control plane's quorum when a node goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// The node is no part of the control plane.
    NotConcerned,
    /// It stays.
    Kept,
    /// It would be lost.
    Lost {
        /// A sentence that counts the members.
        message: String,
    },
    /// It cannot be known.
    Unknown {
        /// A sentence that says what is missing, and the way out.
        message: String,
    },
}

/// Whether a node is part of the control plane, as far as its quorum goes: by its labels, or an etcd pod on it.
#[must_use]
pub fn is_control_plane(node: &Node, snapshot: &Snapshot) -> bool {
    let labelled = |label: &&str| node.labels.contains_key(*label);
    CONTROL_PLANE_LABELS.iter().any(labelled)
        || labelled(&ETCD_NODE_LABEL)
        || snapshot.pods_on(&node.name).any(|pod| is_etcd(pod))
}

/// What becomes of the quorum when that node goes. Members are the etcd pods; where none is seen the nodes that are
/// labelled for etcd, else the control-plane nodes.
///
/// A member counts as ready while it and its node are and the node is not about to go itself. A node whose own member
/// is not ready costs nothing. A snapshot that shows only some nodes ([`View::Nodes`]) must hold all control-plane
/// nodes and their etcd pods; one that holds no other than this node answers `Unknown`.
#[must_use]
pub fn quorum(node: &NodeName, snapshot: &Snapshot) -> Quorum {
    let Some(going) = snapshot.node(node) else { return Quorum::NotConcerned };
    if !is_control_plane(going, snapshot) {
        return Quorum::NotConcerned;
    }
    let members = members(snapshot);
    if snapshot.view() == View::Nodes && members.others(node).next().is_none() {
        return Quorum::Unknown {
            message: format!(
                "whether the control plane keeps its quorum without node {node} cannot be known: its other nodes are not seen; \
                 grant list on nodes and on pods, or set overrideQuorum"
            ),
        };
    }
    let own_is_ready = members.list.iter().any(|member| member.node == *node && member.down.is_none());
    let needed = members.list.len() / 2 + 1;
    let left = members.others(node).filter(|member| member.trouble().is_none()).count();
    if !own_is_ready || left >= needed {
        return Quorum::Kept;
    }
    Quorum::Lost { message: lost(node, &members, left, needed) }
}

/// The members of the control plane.
struct Members {
    /// What they are called.
    called: &'static str,
    list: Vec<Member>,
}

struct Member {
    node: NodeName,
    /// Why it is not ready; `None` when it is.
    down: Option<&'static str>,
    /// Whether its node is being taken out of service.
    is_going: bool,
}

impl Member {
    /// Why it cannot be counted on.
    fn trouble(&self) -> Option<&'static str> {
        self.down.or_else(|| self.is_going.then_some("its node is under maintenance"))
    }
}

impl Members {
    fn others(&self, node: &NodeName) -> impl Iterator<Item = &Member> {
        self.list.iter().filter(move |member| member.node != *node)
    }
}

fn members(snapshot: &Snapshot) -> Members {
    let member = |name: &NodeName, is_ready: bool| {
        let node = snapshot.node(name);
        let down = match node {
            _ if !is_ready => Some("it is not ready"),
            None => Some("its node is gone"),
            Some(node) if !node.is_ready() => Some("its node is not ready"),
            Some(_) => None,
        };
        Member { node: name.clone(), down, is_going: node.is_some_and(|node| is_going(node, snapshot)) }
    };
    let of_pod = |pod: &Pod| pod.node.as_ref().map(|node| member(node, pod.ready));
    let of_nodes = |label: &dyn Fn(&Node) -> bool| -> Vec<Member> {
        let nodes = snapshot.nodes().filter(|node| label(node));
        nodes.map(|node| member(&node.name, true)).collect()
    };
    let pods: Vec<Member> = snapshot.pods().filter(|pod| is_etcd(pod)).filter_map(|pod| of_pod(pod)).collect();
    if !pods.is_empty() {
        return Members { called: "etcd members", list: pods };
    }
    let etcd_nodes = of_nodes(&|node| node.labels.contains_key(ETCD_NODE_LABEL));
    if !etcd_nodes.is_empty() {
        return Members { called: "etcd nodes", list: etcd_nodes };
    }
    let control_plane = of_nodes(&|node| CONTROL_PLANE_LABELS.iter().any(|label| node.labels.contains_key(*label)));
    Members { called: "control-plane nodes", list: control_plane }
}

/// kubeadm's and RKE2's static pods, and OpenShift's.
fn is_etcd(pod: &Pod) -> bool {
    let has = |key: &str, value: &str| pod.labels.get(key).is_some_and(|label| label == value);
    let is_static = pod.annotations.contains_key(Pod::MIRROR_ANNOTATION)
        || pod.controller().is_some_and(|owner| owner.kind == "Node");
    match pod.key.namespace.as_str() {
        "kube-system" => has("component", "etcd") && is_static,
        "openshift-etcd" => has("app", "etcd") && !pod.is_finished(),
        _ => false,
    }
}

/// Whether somebody takes that node out of service, or is about to: its record says so, an accepted maintenance, or a
/// drain that was ordered. A node that was drained by order is about to be switched off as long as it is cordoned.
fn is_going(node: &Node, snapshot: &Snapshot) -> bool {
    let takes_it = |order: &DrainOrder| {
        order.request.node_uid == node.uid
            && match &order.status.outcome {
                None => order.has_begun(),
                Some(outcome) => outcome.end == DrainEnd::Drained && node.unschedulable,
            }
    };
    Record::of(node).is_some()
        || snapshot.maintenances_of(&node.name).any(|maintenance| maintenance.says(condition::ACCEPTED))
        || snapshot.drain_order(&node.name).is_some_and(|order| takes_it(order))
}

fn lost(node: &NodeName, members: &Members, left: usize, needed: usize) -> String {
    if members.list.len() == 1 {
        return format!(
            "node {node} is the single control plane: without it the cluster's API stops; add control-plane nodes first"
        );
    }
    let missing: Vec<String> = members
        .others(node)
        .filter_map(|member| member.trouble().map(|trouble| format!("{}: {trouble}", member.node)))
        .collect();
    let missing = if missing.is_empty() { String::new() } else { format!(" ({})", missing.join(", ")) };
    format!(
        "without node {node} {left} of {} {} would be ready and {needed} are needed{missing}: bring the others back first",
        members.list.len(),
        members.called
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            DrainOutcome,
            testing::{at, drain_order, maintenance, node, node_name, pod},
        },
        node::{Actor, ActorKind},
    };

    fn etcd(number: usize) -> Pod {
        let node = format!("cp{number}");
        pod("kube-system", &format!("etcd-{node}")).on(&node).label("component", "etcd").mirrored()
    }

    /// So many control-plane nodes, each with an etcd pod.
    fn control_plane(count: usize) -> Snapshot {
        let nodes = (1..=count).map(|number| node(&format!("cp{number}")).control_plane());
        Snapshot::default().with_all(nodes).with_all((1..=count).map(etcd)).with(node("node02"))
    }

    fn drained(name: &str) -> Node {
        let node = node(name).control_plane().cordoned();
        let record = Record {
            actor: Actor { kind: ActorKind::Maintenance, name: "m".into(), uid: "m".into() },
            node_uid: node.uid.clone(),
            was_unschedulable: false,
            added_taint: None,
            evacuations: vec![],
            since: at(0),
        };
        node.with_record(&record)
    }

    fn keeps(name: &str, snapshot: &Snapshot) -> bool {
        match quorum(&node_name(name), snapshot) {
            Quorum::Kept => true,
            Quorum::Lost { .. } => false,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn more_than_half_of_the_members_must_stay_ready() {
        for (members, kept) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
            assert_eq!(keeps("cp1", &control_plane(members)), kept, "{members}");
        }
        for (members, kept) in [(3, false), (4, false), (5, true)] {
            for one_less in [
                control_plane(members).with(node("cp2").control_plane().not_ready()),
                control_plane(members).with(etcd(2).unready()),
                control_plane(members).with(drained("cp2")),
                control_plane(members).with(maintenance("m", "cp2").decided(true)),
            ] {
                assert_eq!(keeps("cp1", &one_less), kept, "{members}");
            }
        }
        assert!(!keeps("cp1", &control_plane(5).with(drained("cp2")).with(etcd(3).unready())));
    }

    #[test]
    fn a_member_whose_drain_was_ordered_is_going_until_it_is_uncordoned() {
        let ordered = drain_order("d2", "cp2");
        let ended = |end| {
            let mut order = ordered.clone().begun(at(1));
            let message = String::new();
            order.status.outcome =
                Some(DrainOutcome { end, reason: None, message, at: at(9), left: 0, left_behind: vec![] });
            order
        };
        let cordoned = || control_plane(3).with(node("cp2").control_plane().cordoned());
        assert!(keeps("cp1", &control_plane(3).with(ordered.clone())), "nobody has decided on it");
        assert!(!keeps("cp1", &control_plane(3).with(ordered.clone().begun(at(1)))), "it may wait for the node Lease");
        assert!(!keeps("cp1", &cordoned().with(ended(DrainEnd::Drained))), "it is about to be switched off");
        assert!(keeps("cp1", &control_plane(3).with(ended(DrainEnd::Drained))), "it is back");
        assert!(keeps("cp1", &cordoned().with(ended(DrainEnd::Cancelled))));
        let rebuilt = Node { uid: "a new one".into(), ..node("cp2").control_plane().cordoned() };
        assert!(keeps("cp1", &control_plane(3).with(rebuilt).with(ended(DrainEnd::Drained))));
    }

    #[test]
    fn a_member_that_is_down_already_costs_nothing() {
        assert!(keeps("cp1", &control_plane(3).with(etcd(1).unready())));
        assert!(keeps("cp1", &control_plane(1).with(node("cp1").control_plane().not_ready())));
        // A control-plane node without a member, beside a ready control plane.
        assert!(keeps("cp9", &control_plane(3).with(node("cp9").control_plane())));
    }

    #[test]
    fn an_older_drain_of_the_node_itself_does_not_make_it_free() {
        assert!(!keeps("cp1", &control_plane(3).with(drained("cp1")).with(etcd(2).unready())));
    }

    #[test]
    fn cordoned_by_somebody_else_is_still_a_member() {
        assert!(keeps("cp1", &control_plane(3).with(node("cp2").control_plane().cordoned())));
        let of_an_older_node = drained("cp2");
        let rebuilt = Node { uid: "a new one".into(), ..of_an_older_node };
        assert!(keeps("cp1", &control_plane(3).with(rebuilt)));
    }

    #[test]
    fn other_nodes_are_not_concerned() {
        assert_eq!(quorum(&node_name("node02"), &control_plane(3)), Quorum::NotConcerned);
        let shared = control_plane(3).with(etcd(4).on("node02"));
        assert!(keeps("node02", &shared));
    }

    #[test]
    fn openshifts_etcd_pods_count_and_its_guards_do_not() {
        let pod = |number: usize| {
            pod("openshift-etcd", &format!("etcd-cp{number}")).on(&format!("cp{number}")).label("app", "etcd")
        };
        let nodes = (1..=3).map(|number| node(&format!("cp{number}")).label("node-role.kubernetes.io/master", ""));
        let installer = pod(1).named("installer-1-cp1").finished();
        let snapshot = Snapshot::default().with_all(nodes).with_all((1..=3).map(pod)).with(installer);
        assert!(keeps("cp1", &snapshot));
        assert!(!keeps("cp1", &snapshot.with(pod(2).unready())));
    }

    #[test]
    fn without_etcd_pods_the_nodes_are_counted() {
        let nodes = |count: usize| {
            Snapshot::default().with_all((1..=count).map(|number| node(&format!("cp{number}")).control_plane()))
        };
        assert!(keeps("cp1", &nodes(3)));
        assert!(!keeps("cp1", &nodes(3).with(node("cp2").control_plane().not_ready())));
        let Quorum::Lost { message } = quorum(&node_name("cp1"), &nodes(1)) else { panic!("it goes") };
        assert!(message.contains("single control plane"), "{message}");
        let k3s =
            nodes(3).with_all((1..=2).map(|number| {
                node(&format!("cp{number}")).control_plane().label("node-role.kubernetes.io/etcd", "true")
            }));
        assert!(!keeps("cp1", &k3s));
        assert!(keeps("cp3", &k3s));
    }

    #[test]
    fn who_is_missing_is_named() {
        let snapshot = control_plane(3).with(etcd(2).unready());
        let Quorum::Lost { message } = quorum(&node_name("cp1"), &snapshot) else { panic!("it goes") };
        assert_eq!(
            message,
            "without node cp1 1 of 3 etcd members would be ready and 2 are needed (cp2: it is not ready): bring the others back first"
        );
    }

    #[test]
    fn a_script_that_sees_no_other_control_plane_node_does_not_guess() {
        let alone = Snapshot::of(View::Nodes).with(node("cp1").control_plane()).with(etcd(1));
        assert!(matches!(quorum(&node_name("cp1"), &alone), Quorum::Unknown { .. }));
        let with_the_others = alone
            .with_all([2, 3].map(|number| node(&format!("cp{number}")).control_plane()))
            .with_all([2, 3].map(etcd));
        assert!(keeps("cp1", &with_the_others));
    }
}
