//! The view, as watches and answers to own writes bring it up to date. Own writes are seen at once; what a watch brings
//! later and is older is left out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    object::{is_deleting, items, uid_of},
    view::{Key, Kind, View, key_of},
};

/// A view, and what is needed to keep it in order.
#[derive(Debug, Default)]
pub struct Mirror {
    view: View,
    /// Those that an own write has removed, until the watch says so too: by UID.
    gone: BTreeSet<(Kind, String)>,
    /// While a kind is listed again: those that were there before, and have not been listed yet.
    unlisted: BTreeMap<Kind, BTreeSet<Key>>,
    /// The kinds that changed since they were last asked for.
    changed: BTreeSet<Kind>,
}

impl Mirror {
    /// As it is now.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The kinds of which something has changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<Kind> {
        std::mem::take(&mut self.changed)
    }

    /// A watch lists the kind, from the start.
    pub fn begins_listing(&mut self, kind: Kind) {
        let known = self.view.all(kind).map(key_of).collect();
        self.unlisted.insert(kind, known);
    }

    /// A watch has listed all: what was not among them is gone.
    pub fn has_listed(&mut self, kind: Kind) {
        for key in self.unlisted.remove(&kind).unwrap_or_default() {
            self.remove(kind, &key);
        }
    }

    /// The kind is not served (any more).
    pub fn is_not_served(&mut self, kind: Kind) {
        self.unlisted.remove(&kind);
        let known: Vec<Key> = self.view.all(kind).map(key_of).collect();
        for key in known {
            self.remove(kind, &key);
        }
    }

    /// A watch has brought an object, or an own write was answered with it.
    pub fn put(&mut self, kind: Kind, mut object: Value) {
        let key = key_of(&object);
        if let Some(unlisted) = self.unlisted.get_mut(&kind) {
            unlisted.remove(&key);
        }
        let known = self.view.get(kind, &key.0, &key.1);
        let is_news = known.is_none_or(|known| version_of(&object) > version_of(known));
        if !is_news || self.gone.contains(&(kind, uid_of(&object).to_owned())) {
            return;
        }
        // Lists leave them out.
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        self.view.put(kind, object);
        self.changed.insert(kind);
    }

    /// An own write was answered with this object, which may have been its last version.
    pub fn answered(&mut self, kind: Kind, object: Value) {
        if was_last(&object) {
            self.removed(kind, &key_of(&object), uid_of(&object));
        } else {
            self.put(kind, object);
        }
    }

    /// An own write has removed the object of that UID.
    pub fn removed(&mut self, kind: Kind, key: &Key, uid: &str) {
        if self.view.get(kind, &key.0, &key.1).is_some_and(|known| uid_of(known) == uid) {
            self.remove(kind, key);
            self.gone.insert((kind, uid.to_owned()));
        }
    }

    /// A watch says that this object is gone.
    pub fn is_gone(&mut self, kind: Kind, last: &Value) {
        self.gone.remove(&(kind, uid_of(last).to_owned()));
        let key = key_of(last);
        let known = self.view.get(kind, &key.0, &key.1);
        // Unless it has been made anew.
        if known.is_some_and(|known| version_of(last) >= version_of(known)) {
            self.remove(kind, &key);
        }
    }

    fn remove(&mut self, kind: Kind, key: &Key) {
        self.view.remove(kind, key);
        self.changed.insert(kind);
    }
}

/// Whether this is what an object was when it went: deleted, and nothing holds it.
fn was_last(object: &Value) -> bool {
    is_deleting(object)
        && items(&object["metadata"]["finalizers"]).is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// Versions are numbers that grow, of one object and since Kubernetes 1.35 by promise.
fn version_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::kinds::POD;

    fn pod(uid: &str, version: u64) -> Value {
        json!({"metadata": {"namespace": "shop", "name": "web", "uid": uid, "resourceVersion": version.to_string()}})
    }

    fn version(mirror: &Mirror) -> Option<u64> {
        mirror.view().get(POD, "shop", "web").map(version_of)
    }

    #[test]
    fn an_own_write_is_seen_and_an_older_watch_event_does_not_undo_it() {
        let mut mirror = Mirror::default();
        mirror.put(POD, pod("a", 1));
        mirror.answered(POD, pod("a", 3));
        mirror.put(POD, pod("a", 2));
        assert_eq!(version(&mirror), Some(3));
    }

    #[test]
    fn what_was_deleted_does_not_come_back_by_a_late_event() {
        let mut mirror = Mirror::default();
        mirror.put(POD, pod("a", 1));
        mirror.removed(POD, &("shop".into(), "web".into()), "a");
        mirror.put(POD, pod("a", 2));
        assert_eq!(version(&mirror), None);
        mirror.answered(POD, pod("b", 4));
        mirror.is_gone(POD, &pod("a", 3));
        assert_eq!(version(&mirror), Some(4), "the new one under the old name stays");
    }

    #[test]
    fn an_answer_with_the_last_version_of_an_object_removes_it() {
        let mut mirror = Mirror::default();
        mirror.put(POD, pod("a", 1));
        let mut last = pod("a", 2);
        last["metadata"]["deletionTimestamp"] = "2026-11-24T01:39:38Z".into();
        last["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        mirror.answered(POD, last.clone());
        assert_eq!(version(&mirror), Some(2), "it still ends");
        last["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        mirror.answered(POD, last);
        assert_eq!(version(&mirror), None);
    }

    #[test]
    fn a_second_list_removes_what_is_not_in_it_but_not_what_was_made_meanwhile() {
        let mut mirror = Mirror::default();
        mirror.put(POD, pod("a", 1));
        mirror.begins_listing(POD);
        let mut made = pod("b", 5);
        made["metadata"]["name"] = "made".into();
        mirror.answered(POD, made);
        mirror.has_listed(POD);
        assert_eq!(version(&mirror), None);
        assert!(mirror.view().get(POD, "shop", "made").is_some());
    }

    #[test]
    fn only_changes_are_told() {
        let mut mirror = Mirror::default();
        mirror.put(POD, pod("a", 1));
        assert_eq!(mirror.take_changed(), BTreeSet::from([POD]));
        mirror.put(POD, pod("a", 1));
        assert_eq!(mirror.take_changed(), BTreeSet::new());
    }
}
