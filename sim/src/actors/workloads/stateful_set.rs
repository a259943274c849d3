//! Plays the controller of `StatefulSet`s: pods with names that stay, one after the other. It keeps no `ControllerRevision`s.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::owned::{REVISION_HASH, add_label, by_owner, count, deletions, hash, pod_of, replicas, status_write};
use crate::actors::{
    actor::{Actor, Turn, Write},
    kinds::{PERSISTENT_VOLUME_CLAIM, POD, STATEFUL_SET},
    object::{
        available_at, is_available, is_deleting, is_finished, is_ready, items, label, name_of, namespace_of, uid_of,
    },
    view::{Kind, View},
};

/// Plays the controller of `StatefulSet`s.
#[derive(Debug, Default)]
pub struct StatefulSets(());

impl Actor for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![STATEFUL_SET, POD, PERSISTENT_VOLUME_CLAIM]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let pods = by_owner(view, POD);
        for set in view.all(STATEFUL_SET) {
            let set = Set::of(view, set, pods.get(uid_of(set)).map_or(&[], Vec::as_slice), now);
            if !is_deleting(set.object) {
                set.go_on(&mut turn);
            }
            set.report(&mut turn);
        }
        turn
    }
}

/// A StatefulSet and its pods, by their ordinals.
struct Set<'a> {
    view: &'a View,
    object: &'a Value,
    pods: BTreeMap<i64, &'a Value>,
    revision: String,
    now: Timestamp,
}

impl<'a> Set<'a> {
    fn of(view: &'a View, object: &'a Value, pods: &[&'a Value], now: Timestamp) -> Self {
        let prefix = format!("{}-", name_of(object));
        let ordinal = |pod: &Value| name_of(pod).strip_prefix(&prefix)?.parse().ok();
        let pods = pods.iter().filter_map(|pod| Some((ordinal(pod)?, *pod))).collect();
        let revision = format!("{prefix}{}", hash(&object["spec"]["template"]));
        Self { view, object, pods, revision, now }
    }

    fn go_on(&self, turn: &mut Turn) {
        let in_parallel = self.object["spec"]["podManagementPolicy"] == "Parallel";
        for ordinal in self.wanted() {
            let pod = self.pods.get(&ordinal).copied();
            match pod {
                None => self.create(ordinal, turn),
                Some(pod) if is_finished(pod) && !is_deleting(pod) => turn.writes.extend(deletions([pod])),
                Some(_) => {}
            }
            let waits = pod.is_none_or(|pod| is_deleting(pod) || !self.is_up(pod));
            if waits && !in_parallel {
                return;
            }
        }
        // The highest first, and each only when those before it are up again.
        let excess: Vec<_> = self.pods.iter().rev().filter(|(at, _)| !self.wanted().contains(at)).collect();
        for (_, pod) in excess.iter().filter(|(_, pod)| !is_deleting(pod)) {
            if !in_parallel && excess.iter().any(|(_, other)| is_deleting(other)) {
                return;
            }
            turn.writes.extend(deletions([**pod]));
            if !in_parallel {
                return;
            }
        }
        if excess.is_empty() {
            self.update(turn);
        }
    }

    /// Replaces one pod of an old template, the highest first.
    fn update(&self, turn: &mut Turn) {
        let strategy = &self.object["spec"]["updateStrategy"];
        if strategy["type"] == "OnDelete" {
            return;
        }
        let from = strategy["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
        for (ordinal, pod) in self.pods.iter().rev() {
            let is_old = label(pod, REVISION_HASH) != Some(self.revision.as_str());
            if is_old && *ordinal >= from && !is_deleting(pod) {
                return turn.writes.extend(deletions([*pod]));
            }
            if is_deleting(pod) || !self.is_up(pod) {
                return;
            }
        }
    }

    fn create(&self, ordinal: i64, turn: &mut Turn) {
        let set = self.object;
        let name = format!("{}-{ordinal}", name_of(set));
        // Somebody else's pod of that name: the API server would refuse.
        if self.view.get(POD, namespace_of(set), &name).is_some() {
            return;
        }
        let mut pod = pod_of(STATEFUL_SET, set);
        pod["metadata"]["name"] = name.as_str().into();
        add_label(&mut pod, REVISION_HASH, &self.revision);
        add_label(&mut pod, "statefulset.kubernetes.io/pod-name", &name);
        add_label(&mut pod, "apps.kubernetes.io/pod-index", &ordinal.to_string());
        pod["spec"]["hostname"] = name.as_str().into();
        pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
        let claims = items(&set["spec"]["volumeClaimTemplates"]);
        let mut volumes = items(&pod["spec"]["volumes"]).to_vec();
        for template in claims {
            let claim = format!("{}-{name}", name_of(template));
            volumes.retain(|volume| volume["name"] != template["metadata"]["name"]);
            volumes.push(json!({
                "name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim},
            }));
            if self.view.get(PERSISTENT_VOLUME_CLAIM, namespace_of(set), &claim).is_none() {
                let metadata = json!({
                    "namespace": namespace_of(set), "name": claim, "labels": set["spec"]["selector"]["matchLabels"],
                });
                let object = json!({"metadata": metadata, "spec": template["spec"]});
                turn.writes.push(Write::Create { kind: PERSISTENT_VOLUME_CLAIM, object });
            }
        }
        if !volumes.is_empty() {
            pod["spec"]["volumes"] = volumes.into();
        }
        turn.writes.push(Write::Create { kind: POD, object: pod });
    }

    fn wanted(&self) -> std::ops::Range<i64> {
        let first = self.object["spec"]["ordinals"]["start"].as_i64().unwrap_or(0);
        first..first + replicas(self.object)
    }

    fn min_ready_seconds(&self) -> i64 {
        self.object["spec"]["minReadySeconds"].as_i64().unwrap_or(0)
    }

    fn is_up(&self, pod: &Value) -> bool {
        is_available(pod, self.min_ready_seconds(), self.now)
    }

    fn report(&self, turn: &mut Turn) {
        let set = self.object;
        for at in self.pods.values().filter_map(|pod| available_at(pod, self.min_ready_seconds())) {
            if at > self.now {
                turn.look_again(at);
            }
        }
        let of = |test: &dyn Fn(&Value) -> bool| self.pods.values().filter(|pod| test(pod)).count();
        let updated = of(&|pod| label(pod, REVISION_HASH) == Some(self.revision.as_str()));
        let before = set["status"]["currentRevision"].as_str().filter(|before| !before.is_empty());
        let all_are_new = updated == self.pods.len() && self.wanted().all(|ordinal| self.pods.contains_key(&ordinal));
        let current = before.filter(|_| !all_are_new).unwrap_or(&self.revision);
        let status = json!({
            "replicas": self.pods.len(),
            "readyReplicas": count(of(&is_ready)),
            "availableReplicas": of(&|pod| self.is_up(pod)),
            "currentReplicas": count(of(&|pod| label(pod, REVISION_HASH) == Some(current))),
            "updatedReplicas": count(updated),
            "currentRevision": current,
            "updateRevision": self.revision,
            "observedGeneration": set["metadata"]["generation"],
        });
        turn.writes.extend(status_write(STATEFUL_SET, set, &status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actors::{
            kinds::NODE,
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
            .with(StatefulSets::default())
            .with(Scheduler::default())
            .with(Kubelet::of(every_node, Rules::new(1).jittered(0.0)));
        world.create(NODE, node("a"));
        let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "a"}]}});
        let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
        let spec = json!({
            "replicas": 3, "selector": {"matchLabels": {"app": "db"}}, "template": template, "serviceName": "db",
            "volumeClaimTemplates": [claim],
        });
        world.create(STATEFUL_SET, json!({"metadata": {"namespace": "shop", "name": "db"}, "spec": spec}));
        world
    }

    #[test]
    fn pods_come_one_after_the_other_with_names_and_volumes_that_stay() {
        let mut world = world();
        world.run(s(1));
        assert_eq!(world.names(POD), ["db-0"]);
        world.run(s(10));
        assert_eq!(world.names(POD), ["db-0", "db-1", "db-2"]);
        assert_eq!(world.names(PERSISTENT_VOLUME_CLAIM), ["data-db-0", "data-db-1", "data-db-2"]);
        let uid = uid_of(world.get(POD, "shop", "db-1")).to_owned();
        world.delete(POD, "shop", "db-1", None);
        world.run(s(5));
        assert_ne!(uid_of(world.get(POD, "shop", "db-1")), uid);
        assert!(is_ready(world.get(POD, "shop", "db-1")));
        let status = &world.get(STATEFUL_SET, "shop", "db")["status"];
        assert_eq!((&status["readyReplicas"], &status["currentReplicas"]), (&json!(3), &json!(3)));
    }

    #[test]
    fn scaled_down_it_loses_the_highest_first_one_at_a_time() {
        let mut world = world();
        world.run(s(10));
        world.patch(STATEFUL_SET, "shop", "db", &json!({"spec": {"replicas": 1}}));
        world.run(s(0));
        let going: Vec<_> = world.view.all(POD).filter(|pod| is_deleting(pod)).map(name_of).collect();
        assert_eq!(going, ["db-2"]);
        world.run(s(10));
        assert_eq!(world.names(POD), ["db-0"]);
    }

    #[test]
    fn an_update_goes_from_the_highest_to_the_lowest_and_waits_for_each() {
        let mut world = world();
        world.run(s(10));
        let patch = json!({"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}});
        world.patch(STATEFUL_SET, "shop", "db", &patch);
        for _ in 0..30 {
            world.run(s(1));
            assert!(world.view.all(POD).filter(|pod| is_ready(pod)).count() >= 2);
        }
        assert_eq!(world.view.all(POD).filter(|pod| label(pod, "version") == Some("2")).count(), 3);
        let status = &world.get(STATEFUL_SET, "shop", "db")["status"];
        assert_eq!(status["currentRevision"], status["updateRevision"]);
    }
}
