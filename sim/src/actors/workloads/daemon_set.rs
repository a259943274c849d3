//! Plays the controller of `DaemonSet`s: a pod on each node that may have one. It keeps no `ControllerRevision`s, and a
//! rolling update has no `maxSurge`.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::owned::{REVISION_HASH, add_label, by_owner, count, deletions, hash, pod_of, status_write};
use crate::actors::{
    actor::{Actor, Turn, Write},
    kinds::{DAEMON_SET, NODE, POD},
    object::{
        available_at, int_or_percent, is_available, is_deleting, is_finished, is_ready, items, label, name_of, uid_of,
    },
    rules::after,
    scheduling::{is_meant, untolerated},
    view::{Kind, View},
};

/// How long until a daemon that has failed is started again: the real controller doubles this each time.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(1);

/// Plays the controller of `DaemonSet`s.
#[derive(Debug, Default)]
pub struct DaemonSets {
    /// When pods were first seen to have failed, by UID.
    failed: BTreeMap<String, Timestamp>,
}

impl Actor for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![DAEMON_SET, NODE, POD]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let pods = by_owner(view, POD);
        self.failed.retain(|uid, _| pods.values().flatten().any(|pod| uid_of(pod) == uid));
        for set in view.all(DAEMON_SET) {
            let nodes = placements(view, set, pods.get(uid_of(set)).map_or(&[], Vec::as_slice));
            if !is_deleting(set) {
                self.place(set, &nodes, now, &mut turn);
                update(set, &nodes, now, &mut turn);
            }
            report(set, &nodes, now, &mut turn);
        }
        turn
    }
}

/// A node, whether it should have a pod and whether one that is there may stay; and its pods, the one that counts first.
struct Placement<'a> {
    node: &'a Value,
    should_run: bool,
    may_stay: bool,
    pods: Vec<&'a Value>,
}

impl<'a> Placement<'a> {
    fn pod(&self) -> Option<&'a Value> {
        self.pods.first().copied()
    }
}

fn placements<'a>(view: &'a View, set: &Value, pods: &[&'a Value]) -> Vec<Placement<'a>> {
    let mut by_node: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = node_of(pod) {
            by_node.entry(node).or_default().push(pod);
        }
    }
    let spec = &set["spec"]["template"]["spec"];
    let tolerations = tolerations(spec);
    let of = |node: &'a Value| {
        let taints = items(&node["spec"]["taints"]);
        let is_meant = is_meant(node, spec);
        let mut pods = by_node.remove(name_of(node)).unwrap_or_default();
        // Running ones before others, older ones before younger ones.
        pods.sort_by_key(|pod| {
            let created = pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
            (is_deleting(pod), Reverse(is_ready(pod)), created, name_of(pod))
        });
        Placement {
            node,
            should_run: is_meant && untolerated(taints, &tolerations, &["NoSchedule", "NoExecute"]).is_none(),
            may_stay: is_meant && untolerated(taints, &tolerations, &["NoExecute"]).is_none(),
            pods,
        }
    };
    view.all(NODE).map(of).collect()
}

/// The node that a daemon is on, or is made for.
fn node_of(pod: &Value) -> Option<&str> {
    let terms =
        &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let meant = || items(&terms[0]["matchFields"]).first()?["values"][0].as_str();
    pod["spec"]["nodeName"].as_str().or_else(meant)
}

/// Those of the template, and those that every daemon has.
fn tolerations(spec: &Value) -> Vec<Value> {
    let mut tolerations = items(&spec["tolerations"]).to_vec();
    let network = (spec["hostNetwork"] == true).then_some(("network-unavailable", "NoSchedule"));
    let own = [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ];
    for (name, effect) in own.into_iter().chain(network) {
        let key = format!("node.kubernetes.io/{name}");
        tolerations.push(json!({"key": key, "operator": "Exists", "effect": effect}));
    }
    tolerations
}

fn revision(set: &Value) -> String {
    hash(&set["spec"]["template"])
}

fn new_pod(set: &Value, node: &str) -> Value {
    let mut pod = pod_of(DAEMON_SET, set);
    pod["metadata"]["generateName"] = format!("{}-", name_of(set)).into();
    add_label(&mut pod, REVISION_HASH, &revision(set));
    pod["spec"]["tolerations"] = tolerations(&set["spec"]["template"]["spec"]).into();
    // Instead of the template's, which the node has been held against.
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    let affinity = &mut pod["spec"]["affinity"]["nodeAffinity"];
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = json!({"nodeSelectorTerms": [term]});
    pod
}

impl DaemonSets {
    fn place(&mut self, set: &Value, nodes: &[Placement<'_>], now: Timestamp, turn: &mut Turn) {
        for placement in nodes {
            let pods = &placement.pods;
            if placement.should_run && pods.is_empty() {
                turn.writes.push(Write::Create { kind: POD, object: new_pod(set, name_of(placement.node)) });
            } else if !placement.may_stay {
                turn.writes.extend(deletions(pods.iter().copied().filter(|pod| !is_deleting(pod))));
            } else {
                turn.writes.extend(deletions(pods.iter().copied().skip(1).filter(|pod| !is_deleting(pod))));
                if let Some(pod) = placement.pod().filter(|pod| is_finished(pod) && !is_deleting(pod)) {
                    let since = *self.failed.entry(uid_of(pod).to_owned()).or_insert(now);
                    let at = after(since, AFTER_FAILURE);
                    if at <= now {
                        turn.writes.extend(deletions([pod]));
                    } else {
                        turn.look_again(at);
                    }
                }
            }
        }
    }
}

/// Takes as many pods of an old template away as may be unavailable; those that are not available anyway first.
fn update(set: &Value, nodes: &[Placement<'_>], now: Timestamp, turn: &mut Turn) {
    if set["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return;
    }
    let (revision, seconds) = (revision(set), min_ready_seconds(set));
    let value = &set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
    let desired = i64::try_from(nodes.iter().filter(|node| node.should_run).count()).unwrap_or(i64::MAX);
    let may = int_or_percent(value, desired, true).and_then(|most| usize::try_from(most).ok()).unwrap_or(1);
    let is_up = |pod: &Value| is_available(pod, seconds, now) && !is_deleting(pod);
    let away = nodes.iter().filter(|node| node.should_run && !node.pod().is_some_and(is_up)).count();
    let old = || {
        let pods = nodes.iter().filter(|node| node.should_run).filter_map(Placement::pod);
        pods.filter(|pod| !is_deleting(pod) && label(pod, REVISION_HASH) != Some(revision.as_str()))
    };
    turn.writes.extend(deletions(old().filter(|pod| !is_up(pod))));
    turn.writes.extend(deletions(old().filter(|pod| is_up(pod)).take(may.saturating_sub(away))));
}

fn min_ready_seconds(set: &Value) -> i64 {
    set["spec"]["minReadySeconds"].as_i64().unwrap_or(0)
}

fn report(set: &Value, nodes: &[Placement<'_>], now: Timestamp, turn: &mut Turn) {
    let (revision, seconds) = (revision(set), min_ready_seconds(set));
    let right: Vec<_> = nodes.iter().filter(|node| node.should_run).collect();
    let pods: Vec<&Value> = right.iter().filter_map(|node| node.pod()).collect();
    for at in pods.iter().filter_map(|pod| available_at(pod, seconds)).filter(|at| *at > now) {
        turn.look_again(at);
    }
    let of = |test: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| test(pod)).count();
    let available = of(&|pod| is_available(pod, seconds, now));
    let status = json!({
        "currentNumberScheduled": pods.len(),
        "desiredNumberScheduled": right.len(),
        "numberMisscheduled": nodes.iter().filter(|node| !node.should_run && !node.pods.is_empty()).count(),
        "numberReady": of(&is_ready),
        "numberAvailable": count(available),
        "numberUnavailable": count(right.len() - available),
        "updatedNumberScheduled": count(of(&|pod| label(pod, REVISION_HASH) == Some(revision.as_str()))),
        "observedGeneration": set["metadata"]["generation"],
    });
    turn.writes.extend(status_write(DAEMON_SET, set, &status));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actors::{
            kubelet::Kubelet,
            rules::Rules,
            scheduler::Scheduler,
            world::{World, node, s},
        },
        selector::LabelSelector,
    };

    fn world() -> World {
        let every_node = LabelSelector::from_json(&json!({})).unwrap();
        let mut world = World::new()
            .with(DaemonSets::default())
            .with(Scheduler::default())
            .with(Kubelet::of(every_node, Rules::new(1)));
        for name in ["a", "b", "c"] {
            world.create(NODE, node(name));
        }
        let template = json!({"metadata": {"labels": {"app": "log"}}, "spec": {"containers": [{"name": "a"}]}});
        let spec = json!({"selector": {"matchLabels": {"app": "log"}}, "template": template});
        world.create(DAEMON_SET, json!({"metadata": {"namespace": "shop", "name": "log"}, "spec": spec}));
        world.run(s(5));
        world
    }

    fn nodes(world: &World) -> Vec<&str> {
        let mut nodes: Vec<&str> = world
            .view
            .all(POD)
            .filter(|pod| !is_deleting(pod))
            .filter_map(|pod| pod["spec"]["nodeName"].as_str())
            .collect();
        nodes.sort_unstable();
        nodes
    }

    #[test]
    fn each_node_has_one_and_a_cordon_does_not_matter() {
        let mut world = world();
        assert_eq!(nodes(&world), ["a", "b", "c"]);
        let taint = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
        world.patch(NODE, "", "a", &json!({"spec": {"unschedulable": true, "taints": [taint]}}));
        let name = name_of(world.view.all(POD).find(|pod| pod["spec"]["nodeName"] == "a").unwrap()).to_owned();
        world.delete(POD, "shop", &name, None);
        world.run(s(5));
        assert_eq!(nodes(&world), ["a", "b", "c"], "it comes back to the cordoned node");
        let status = &world.get(DAEMON_SET, "shop", "log")["status"];
        assert_eq!((&status["numberReady"], &status["numberUnavailable"]), (&json!(3), &Value::Null));
    }

    #[test]
    fn a_taint_keeps_new_ones_away_and_no_execute_drives_them_out() {
        let mut world = world();
        let taint = |effect: &str| json!({"spec": {"taints": [{"key": "gpu", "effect": effect}]}});
        world.patch(NODE, "", "a", &taint("NoSchedule"));
        world.run(s(5));
        assert_eq!(nodes(&world), ["a", "b", "c"], "what runs may stay");
        let status = &world.get(DAEMON_SET, "shop", "log")["status"];
        assert_eq!((&status["numberMisscheduled"], &status["desiredNumberScheduled"]), (&json!(1), &json!(2)));
        world.patch(NODE, "", "a", &taint("NoExecute"));
        world.run(s(5));
        assert_eq!(nodes(&world), ["b", "c"]);
    }

    #[test]
    fn an_update_takes_one_after_the_other() {
        let mut world = world();
        let patch = json!({"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}});
        world.patch(DAEMON_SET, "shop", "log", &patch);
        for _ in 0..30 {
            world.run(s(1));
            assert!(world.view.all(POD).filter(|pod| is_ready(pod)).count() >= 2);
        }
        assert_eq!(world.view.all(POD).filter(|pod| label(pod, "version") == Some("2")).count(), 3);
    }
}
