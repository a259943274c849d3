//! Plays the garbage collector: what has owners goes with the last of them.
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>
//!
//! An owner of a kind that it does not watch counts as there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    actor::{Actor, Turn, Write},
    kinds::{
        CONFIG_MAP, CONTROLLER_REVISION, CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, LEASE, NODE, PERSISTENT_VOLUME_CLAIM,
        POD, POD_DISRUPTION_BUDGET, REPLICA_SET, REPLICATION_CONTROLLER, SECRET, SERVICE, STATEFUL_SET,
    },
    object::{has_finalizer, is_deleting, items, uid_of},
    rules::{Rules, after},
    view::{Key, Kind, View, key_of},
};

/// So long an owner must have been missing before the API server is asked for it: it may not have been seen yet.
const MISSING_FOR: Duration = Duration::from_millis(500);
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Plays the garbage collector.
#[derive(Debug)]
pub struct GarbageCollector {
    rules: Rules,
    kinds: Vec<Kind>,
    /// Since when owners have been missing, by UID.
    missing: BTreeMap<String, Timestamp>,
}

impl GarbageCollector {
    /// For Kubernetes' own kinds that have owners or are some.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let kinds = vec![
            POD,
            REPLICA_SET,
            DEPLOYMENT,
            DAEMON_SET,
            STATEFUL_SET,
            CONTROLLER_REVISION,
            REPLICATION_CONTROLLER,
            JOB,
            CRON_JOB,
            CONFIG_MAP,
            SECRET,
            SERVICE,
            PERSISTENT_VOLUME_CLAIM,
            POD_DISRUPTION_BUDGET,
            LEASE,
            NODE,
        ];
        Self { rules, kinds, missing: BTreeMap::new() }
    }

    /// For further kinds.
    #[must_use]
    pub fn and(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds.extend(kinds);
        self
    }
}

impl Actor for GarbageCollector {
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn watches(&self) -> Vec<Kind> {
        self.kinds.clone()
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let graph = Graph::of(view, &self.kinds);
        let missing: BTreeSet<&str> = graph.missing();
        self.missing.retain(|uid, _| missing.contains(uid.as_str()));
        let mut absent = BTreeSet::new();
        for uid in missing {
            let since = *self.missing.entry(uid.to_owned()).or_insert(now);
            let at = after(since, self.rules.scale(MISSING_FOR));
            if at <= now {
                absent.insert(uid);
            } else {
                turn.look_again(at);
            }
        }
        for (kind, object) in graph.objects.values() {
            if is_deleting(object) {
                graph.let_go(*kind, object, &mut turn);
            }
            if !items(&object["metadata"]["ownerReferences"]).is_empty() {
                graph.collect(*kind, object, &absent, &mut turn);
            }
        }
        turn
    }
}

/// Objects by UID, and who depends on whom.
struct Graph<'a> {
    kinds: &'a [Kind],
    objects: BTreeMap<&'a str, (Kind, &'a Value)>,
    dependents: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn of(view: &'a View, kinds: &'a [Kind]) -> Self {
        let mut graph = Self { kinds, objects: BTreeMap::new(), dependents: BTreeMap::new() };
        for kind in kinds {
            for object in view.all(*kind) {
                graph.objects.insert(uid_of(object), (*kind, object));
                for owner in items(&object["metadata"]["ownerReferences"]) {
                    let uid = owner["uid"].as_str().unwrap_or_default();
                    graph.dependents.entry(uid).or_default().push(uid_of(object));
                }
            }
        }
        graph
    }

    /// Owners of kinds that are watched, and that are not there.
    fn missing(&self) -> BTreeSet<&'a str> {
        let owners = self.objects.values().flat_map(|(_, object)| items(&object["metadata"]["ownerReferences"]));
        owners
            .filter(|owner| self.knows(owner))
            .filter_map(|owner| owner["uid"].as_str())
            .filter(|uid| !self.objects.contains_key(uid))
            .collect()
    }

    fn knows(&self, owner: &Value) -> bool {
        self.kinds.iter().any(|kind| is_of(owner, *kind))
    }

    fn dependents(&self, object: &Value) -> impl Iterator<Item = &(Kind, &'a Value)> {
        self.dependents.get(uid_of(object)).into_iter().flatten().filter_map(|uid| self.objects.get(uid))
    }

    /// An owner that is being deleted, and waits for its dependents or wants them to stay.
    fn let_go(&self, kind: Kind, object: &Value, turn: &mut Turn) {
        if has_finalizer(object, ORPHAN) {
            for (kind, dependent) in self.dependents(object) {
                disown(*kind, dependent, &BTreeSet::from([uid_of(object)]), turn);
            }
            if self.dependents(object).next().is_none() {
                without_finalizer(kind, object, ORPHAN, turn);
            }
        } else if has_finalizer(object, FOREGROUND) {
            let blocks = |dependent: &Value| {
                items(&dependent["metadata"]["ownerReferences"])
                    .iter()
                    .any(|owner| owner["uid"] == uid_of(object) && owner["blockOwnerDeletion"] == true)
            };
            if !self.dependents(object).any(|(_, dependent)| blocks(dependent)) {
                without_finalizer(kind, object, FOREGROUND, turn);
            }
        }
    }

    /// What has no owner left goes, unless one still waits for it.
    fn collect(&self, kind: Kind, object: &Value, absent: &BTreeSet<&str>, turn: &mut Turn) {
        if is_deleting(object) {
            return;
        }
        let mut solid = false;
        let mut gone = BTreeSet::new();
        let mut waited_for = false;
        for owner in items(&object["metadata"]["ownerReferences"]) {
            let uid = owner["uid"].as_str().unwrap_or_default();
            match self.objects.get(uid) {
                Some((_, owner)) if is_deleting(owner) && has_finalizer(owner, FOREGROUND) => {
                    waited_for = true;
                    gone.insert(uid);
                }
                None if absent.contains(uid) => {
                    gone.insert(uid);
                }
                // Also one of which nothing is known yet.
                _ => solid = true,
            }
        }
        if solid {
            if !gone.is_empty() {
                disown(kind, object, &gone, turn);
            }
            return;
        }
        if waited_for && self.dependents(object).next().is_some() && !has_finalizer(object, FOREGROUND) {
            // So that it waits for its own dependents, as its owner waits for it.
            let mut finalizers = items(&object["metadata"]["finalizers"]).to_vec();
            finalizers.push(FOREGROUND.into());
            turn.writes.push(patch(kind, object, &json!({"finalizers": finalizers})));
        }
        let owners = items(&object["metadata"]["ownerReferences"]).iter();
        let owners = owners.filter(|owner| owner["uid"].as_str().is_some_and(|uid| !self.objects.contains_key(uid)));
        turn.writes.push(Write::Collect {
            kind,
            key: key_of(object),
            uid: uid_of(object).to_owned(),
            owners: owners.filter_map(|owner| self.named(owner, object)).collect(),
        });
    }

    /// The object that a reference names.
    fn named(&self, owner: &Value, dependent: &Value) -> Option<(Kind, Key, String)> {
        let kind = *self.kinds.iter().find(|kind| is_of(owner, **kind))?;
        let namespace = if kind.namespaced { key_of(dependent).0 } else { String::new() };
        let text = |field: &str| owner[field].as_str().map(str::to_owned);
        Some((kind, (namespace, text("name")?), text("uid")?))
    }
}

fn is_of(owner: &Value, kind: Kind) -> bool {
    let group = owner["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    owner["kind"] == kind.kind && kind.group == group
}

fn disown(kind: Kind, object: &Value, owners: &BTreeSet<&str>, turn: &mut Turn) {
    let mut left = items(&object["metadata"]["ownerReferences"]).to_vec();
    left.retain(|owner| !owner["uid"].as_str().is_some_and(|uid| owners.contains(uid)));
    turn.writes.push(patch(kind, object, &json!({"ownerReferences": left})));
}

fn without_finalizer(kind: Kind, object: &Value, finalizer: &str, turn: &mut Turn) {
    let mut left = items(&object["metadata"]["finalizers"]).to_vec();
    left.retain(|one| one != finalizer);
    turn.writes.push(patch(kind, object, &json!({"finalizers": left})));
}

/// Lists are replaced, so the version has to be the one that was read.
fn patch(kind: Kind, object: &Value, metadata: &Value) -> Write {
    let mut metadata = metadata.clone();
    metadata["uid"] = object["metadata"]["uid"].clone();
    metadata["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
    Write::Patch { kind, key: key_of(object), subresource: None, patch: json!({"metadata": metadata}) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::{
        object::controlled_by,
        world::{World, merged, pod, s},
    };

    /// A Deployment, its ReplicaSet, and the pod of that.
    fn world() -> World {
        let mut world = World::new().with(GarbageCollector::new(Rules::new(1)));
        world.create(DEPLOYMENT, json!({"metadata": {"namespace": "shop", "name": "web"}}));
        let owner = controlled_by(DEPLOYMENT, world.get(DEPLOYMENT, "shop", "web"));
        let set = json!({"metadata": {"namespace": "shop", "name": "web-1", "ownerReferences": [owner]}});
        world.create(REPLICA_SET, set);
        let owner = controlled_by(REPLICA_SET, world.get(REPLICA_SET, "shop", "web-1"));
        world.create(POD, merged(pod("web-1-a"), &json!({"metadata": {"ownerReferences": [owner]}})));
        world.run(s(1));
        world
    }

    fn delete_with(world: &mut World, finalizer: &str) {
        world.patch(DEPLOYMENT, "shop", "web", &json!({"metadata": {"finalizers": [finalizer]}}));
        world.delete(DEPLOYMENT, "shop", "web", None);
        world.run(s(5));
    }

    #[test]
    fn what_is_owned_stays_as_long_as_its_owner() {
        let world = world();
        assert_eq!(world.log, Vec::<String>::new());
    }

    #[test]
    fn in_the_background_the_owner_goes_first_and_all_below_it_follow() {
        let mut world = world();
        world.delete(DEPLOYMENT, "shop", "web", None);
        world.run(s(5));
        assert_eq!((world.names(REPLICA_SET), world.names(POD)), (vec![], vec![]));
    }

    #[test]
    fn in_the_foreground_the_owner_goes_last() {
        let mut world = world();
        let held = json!({"metadata": {"finalizers": ["example.com/slow"]}});
        world.patch(POD, "shop", "web-1-a", &held);
        delete_with(&mut world, FOREGROUND);
        assert_eq!((world.names(DEPLOYMENT), world.names(REPLICA_SET)), (vec!["web"], vec!["web-1"]));
        world.view.remove(POD, &("shop".into(), "web-1-a".into()));
        world.run(s(5));
        assert_eq!((world.names(DEPLOYMENT), world.names(REPLICA_SET)), (vec![], vec![]));
    }

    #[test]
    fn orphans_stay_without_an_owner() {
        let mut world = world();
        delete_with(&mut world, ORPHAN);
        assert_eq!(world.names(DEPLOYMENT), Vec::<&str>::new());
        assert_eq!(world.get(REPLICA_SET, "shop", "web-1")["metadata"]["ownerReferences"], json!([]));
        assert_eq!(world.names(POD), ["web-1-a"]);
    }

    #[test]
    fn with_another_owner_left_only_the_reference_goes() {
        let mut world = world();
        world.create(CONFIG_MAP, json!({"metadata": {"namespace": "shop", "name": "other"}}));
        let other = controlled_by(CONFIG_MAP, world.get(CONFIG_MAP, "shop", "other"));
        let first = world.get(REPLICA_SET, "shop", "web-1")["metadata"]["ownerReferences"][0].clone();
        world.patch(REPLICA_SET, "shop", "web-1", &json!({"metadata": {"ownerReferences": [first, other]}}));
        world.delete(DEPLOYMENT, "shop", "web", None);
        world.run(s(5));
        let left = items(&world.get(REPLICA_SET, "shop", "web-1")["metadata"]["ownerReferences"]);
        assert_eq!(left.iter().map(|owner| owner["name"].as_str().unwrap()).collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn an_owner_under_an_old_name_is_another() {
        let mut world = world();
        world.delete(DEPLOYMENT, "shop", "web", None);
        world.create(DEPLOYMENT, json!({"metadata": {"namespace": "shop", "name": "web"}}));
        world.run(s(5));
        assert_eq!(world.names(REPLICA_SET), Vec::<&str>::new());
    }

    #[test]
    fn an_owner_of_an_unknown_kind_counts_as_there() {
        let mut world = world();
        let owner = json!({"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "t"});
        world.patch(REPLICA_SET, "shop", "web-1", &json!({"metadata": {"ownerReferences": [owner]}}));
        world.delete(DEPLOYMENT, "shop", "web", None);
        world.run(s(5));
        assert_eq!(world.names(REPLICA_SET), ["web-1"]);
    }
}
