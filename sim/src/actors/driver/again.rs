//! When a write that failed may be tried again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::actors::{
    actor::Write,
    view::{Key, Kind, key_of},
};

/// The first wait; each further one is twice as long.
const FIRST: SignedDuration = SignedDuration::from_millis(100);
/// After eight failures in a row.
const LONGEST: SignedDuration = SignedDuration::from_secs(20);

/// What failed, by who wanted it and the object. While an object waits, nothing is written to it: the order of writes stays.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<(&'static str, Kind, Key), Failure>);

#[derive(Debug)]
struct Failure {
    wait: SignedDuration,
    not_before: Timestamp,
}

impl Failures {
    pub(super) fn not_before(&self, actor: &'static str, write: &Write) -> Option<Timestamp> {
        self.0.get(&target(actor, write)).map(|failure| failure.not_before)
    }

    pub(super) fn succeeded(&mut self, actor: &'static str, write: &Write) {
        self.0.remove(&target(actor, write));
    }

    /// Says when it may be tried again.
    pub(super) fn failed(&mut self, actor: &'static str, write: &Write, now: Timestamp) -> Timestamp {
        // Of objects that are gone nothing more is heard.
        self.0.retain(|_, failure| failure.not_before + LONGEST > now);
        let key = target(actor, write);
        let wait = self.0.get(&key).map_or(FIRST, |failure| (failure.wait * 2).min(LONGEST));
        let not_before = now.saturating_add(wait).unwrap_or(now);
        self.0.insert(key, Failure { wait, not_before });
        not_before
    }
}

fn target(actor: &'static str, write: &Write) -> (&'static str, Kind, Key) {
    match write {
        Write::Create { kind, object } => {
            let (namespace, name) = key_of(object);
            let prefix = object["metadata"]["generateName"].as_str().unwrap_or_default();
            (actor, *kind, (namespace, if name.is_empty() { prefix.to_owned() } else { name }))
        }
        Write::Patch { kind, key, .. }
        | Write::Delete { kind, key, .. }
        | Write::Collect { kind, key, .. }
        | Write::Post { kind, key, .. } => (actor, *kind, key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::kinds::POD;

    #[test]
    fn waits_grow_to_a_bound_and_end_with_a_success() {
        let write = Write::Create { kind: POD, object: json!({"metadata": {"namespace": "a", "generateName": "b-"}}) };
        let mut failures = Failures::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let at = failures.failed("kubelet", &write, now);
            waits.push(at.duration_since(now).as_millis());
            now = at;
        }
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits.last(), Some(&20_000));
        assert_eq!(failures.not_before("scheduler", &write), None, "others have waits of their own");
        failures.succeeded("kubelet", &write);
        assert_eq!(failures.not_before("kubelet", &write), None);
    }
}
