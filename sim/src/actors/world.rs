//! A little cluster for tests of actors: their writes go straight into the view, under a clock that the test moves.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    actor::{Actor, Turn, Write},
    kinds::{NAMESPACE, POD},
    kubevirt::names::INSTANCE,
    object::{is_deleting, is_finished, items, seconds, uid_of},
    view::{Key, Kind, View, key_of},
};

/// Objects, actors, and a clock.
pub(crate) struct World {
    pub(crate) view: View,
    pub(crate) now: Timestamp,
    /// Every write that was carried out: `kubelet Patch pods/status shop/web-1`.
    pub(crate) log: Vec<String>,
    actors: Vec<(Box<dyn Actor>, Option<Timestamp>)>,
    random: fastrand::Rng,
    version: u64,
    names: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            view: View::default(),
            now: "2026-11-24T00:00:00Z".parse().unwrap(),
            log: Vec::new(),
            actors: Vec::new(),
            random: fastrand::Rng::with_seed(1),
            version: 0,
            names: 0,
        }
    }

    pub(crate) fn with(mut self, actor: impl Actor + 'static) -> Self {
        self.actors.push((Box::new(actor), None));
        self
    }

    /// As the API server creates it.
    pub(crate) fn create(&mut self, kind: Kind, mut object: Value) -> Key {
        self.names += 1;
        let number = self.names;
        if object["metadata"]["name"].is_null() {
            let prefix = object["metadata"]["generateName"].as_str().unwrap_or("unnamed-");
            object["metadata"]["name"] = format!("{prefix}{number:05}").into();
        }
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{number}").into();
        }
        object["metadata"]["creationTimestamp"] = seconds(self.now).into();
        object["metadata"]["generation"] = 1.into();
        if kind == POD && object["status"]["phase"].is_null() {
            object["status"]["phase"] = "Pending".into();
        }
        let key = key_of(&object);
        assert!(self.view.get(kind, &key.0, &key.1).is_none(), "{key:?} exists");
        self.put(kind, object);
        key
    }

    fn put(&mut self, kind: Kind, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        self.view.put(kind, object);
    }

    #[track_caller]
    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> &Value {
        self.view.get(kind, namespace, name).unwrap_or_else(|| panic!("no {} {namespace}/{name}", kind.kind))
    }

    pub(crate) fn names(&self, kind: Kind) -> Vec<&str> {
        self.view.all(kind).filter_map(|object| object["metadata"]["name"].as_str()).collect()
    }

    /// A merge patch by somebody.
    #[track_caller]
    pub(crate) fn patch(&mut self, kind: Kind, namespace: &str, name: &str, patch: &Value) {
        let mut object = self.get(kind, namespace, name).clone();
        let spec = object["spec"].clone();
        json_patch::merge(&mut object, patch);
        if object["spec"] != spec {
            object["metadata"]["generation"] = (object["metadata"]["generation"].as_i64().unwrap() + 1).into();
        }
        if is_deleting(&object) && items(&object["metadata"]["finalizers"]).is_empty() && kind != POD {
            self.view.remove(kind, &key_of(&object));
        } else {
            self.put(kind, object);
        }
    }

    /// A deletion by somebody.
    #[track_caller]
    pub(crate) fn delete(&mut self, kind: Kind, namespace: &str, name: &str, grace: Option<u64>) {
        let mut object = self.get(kind, namespace, name).clone();
        let own = object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        let scheduled = object["spec"]["nodeName"].is_string() && !is_finished(&object);
        let grace = if kind == POD && scheduled { grace.unwrap_or(own) } else { 0 };
        let held = !items(&object["metadata"]["finalizers"]).is_empty();
        if grace == 0 && !held {
            self.view.remove(kind, &key_of(&object));
        } else if !is_deleting(&object) {
            let at = self.now + SignedDuration::from_secs(i64::try_from(grace).unwrap());
            object["metadata"]["deletionTimestamp"] = seconds(at).into();
            object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            self.put(kind, object);
        }
    }

    /// Time passes, and the actors act.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + SignedDuration::try_from(duration).unwrap();
        loop {
            self.settle();
            let next = self.actors.iter().filter_map(|(_, at)| *at).min().filter(|at| *at <= end);
            // As the driver: nobody is asked again within 10 ms.
            self.now = next.map_or(end, |next| next.max(self.now + SignedDuration::from_millis(10)));
            if self.now >= end {
                self.now = end;
                return self.settle();
            }
        }
    }

    /// The actors act until none has anything to do at this time.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let mut quiet = true;
            for index in 0..self.actors.len() {
                let (actor, again_at) = &mut self.actors[index];
                let name = actor.name();
                let Turn { writes, again_at: at } = actor.act(&self.view, self.now, &mut self.random);
                *again_at = at;
                quiet &= writes.is_empty();
                for write in writes {
                    self.carry_out(name, write);
                }
            }
            if quiet {
                return;
            }
        }
        panic!("the actors do not come to rest; their last writes: {:#?}", &self.log[self.log.len() - 10..]);
    }

    fn carry_out(&mut self, actor: &str, write: Write) {
        let refused = |why: &str| panic!("{actor}: {why}");
        match write {
            Write::Create { kind, object } => {
                let key = self.create(kind, object);
                self.log.push(format!("{actor} creates {} {}/{}", kind.plural, key.0, key.1));
            }
            Write::Patch { kind, key, subresource, mut patch } => {
                let path = subresource.map_or_else(String::new, |subresource| format!("/{subresource}"));
                self.log.push(format!("{actor} patches {}{path} {}/{}", kind.plural, key.0, key.1));
                let Some(object) = self.view.get(kind, &key.0, &key.1) else { return };
                for field in ["uid", "resourceVersion"] {
                    let wanted = &patch["metadata"][field];
                    if !wanted.is_null() && *wanted != object["metadata"][field] {
                        self.log.push("  conflict".into());
                        return;
                    }
                }
                match subresource {
                    Some("status") => patch = json!({"status": patch["status"]}),
                    None if patch["status"].is_object() && kind != NAMESPACE && kind != INSTANCE => {
                        refused("a status without /status");
                    }
                    _ => {}
                }
                self.patch(kind, &key.0, &key.1, &patch);
            }
            Write::Delete { kind, key, uid, grace_seconds } => {
                self.log.push(format!("{actor} deletes {} {}/{}", kind.plural, key.0, key.1));
                let Some(object) = self.view.get(kind, &key.0, &key.1) else { return };
                if uid_of(object) == uid {
                    let is_kubelet = grace_seconds == Some(0) && items(&object["metadata"]["finalizers"]).is_empty();
                    if is_kubelet {
                        self.view.remove(kind, &key);
                    } else {
                        self.delete(kind, &key.0, &key.1, grace_seconds.map(u64::from));
                    }
                }
            }
            // The world is what is there, so nobody is asked.
            Write::Collect { kind, key, uid, owners: _ } => {
                self.log.push(format!("{actor} deletes {} {}/{}", kind.plural, key.0, key.1));
                if self.view.get(kind, &key.0, &key.1).is_some_and(|object| uid_of(object) == uid) {
                    self.delete(kind, &key.0, &key.1, None);
                }
            }
            Write::Post { kind, key, subresource: "binding", body } => {
                self.log.push(format!("{actor} binds {}/{} to {}", key.0, key.1, body["target"]["name"]));
                let scheduled = json!({"type": "PodScheduled", "status": "True"});
                let patch = json!({
                    "spec": {"nodeName": body["target"]["name"]}, "status": {"conditions": [scheduled]},
                });
                self.patch(kind, &key.0, &key.1, &patch);
            }
            Write::Post { subresource, .. } => refused(&format!("POST {subresource} is unknown")),
        }
    }
}

/// A node with room for ten pods.
pub(crate) fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
    })
}

/// A pod that nobody owns.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "shop/web"}], "restartPolicy": "Always"},
    })
}

/// The object, changed.
pub(crate) fn merged(mut object: Value, patch: &Value) -> Value {
    json_patch::merge(&mut object, patch);
    object
}

/// So many seconds.
pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
