//! Changes to a Node as JSON merge patches: decided here, sent by [`super::change`].
//!
//! Every function gives `None` if the node is already as wanted. Every patch carries the `resourceVersion` that it was
//! computed from, so the API server refuses it (409) once the node has changed; and taints, which are one atomic list,
//! are always given in full.

use k8s_openapi::api::core::v1::Taint;
use serde_json::{Map, Value, json};

use super::{
    record::{Record, RecordFault, RecordReading},
    taint::TaintEffect,
};
use crate::{
    model::{Node, NodeName},
    names::{KUBEVIRT_DRAIN_TAINT_KEY, RECORD_ANNOTATION},
};

/// Why a change is not made at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// KubeVirt's `nodeDrainTaintKey` is never written.
    #[error(
        "the taint {key} is not added to node {node}: KubeVirt would move or stop every VM of the node at once, and \
         that cannot be cancelled; to empty the node, drain it or start a maintenance"
    )]
    KubeVirtDrainTaint {
        /// The node.
        node: NodeName,
        /// The taint's key.
        key: String,
    },
    /// The record must not be obeyed.
    #[error(transparent)]
    Record(#[from] RecordFault),
}

/// Takes a node out of service: record, cordon and, if the record says that it was added, the drain taint, in one patch.
///
/// Make the record with [`Record::begin`] from the same node, so that it is right also after a conflict.
/// `kubevirt_taint_key` is the cluster's `nodeDrainTaintKey`.
pub fn take_out(
    node: &Node,
    record: &Record,
    drain_taint_key: &str,
    kubevirt_taint_key: &str,
) -> Result<Option<Value>, Refused> {
    record.check_subject(node, drain_taint_key)?;
    let mut patch = NodePatch::of(node).record(record).unschedulable(true);
    if let Some(key) = &record.added_taint {
        refuse_kubevirt_taint(node, key, kubevirt_taint_key)?;
        if !node.has_taint(key, TaintEffect::NoSchedule.as_str()) {
            patch = patch.taints(&with_taint(&node.taints, key, None, TaintEffect::NoSchedule));
        }
    }
    Ok(patch.finish())
}

/// Undoes exactly what the record says was done: the node becomes schedulable unless it was cordoned before, the drain
/// taint goes if it was added, and the record goes.
///
/// A taint that has been removed by hand meanwhile is no obstacle. Where nothing but the annotation vouches for the
/// record, call [`Record::check`] first.
pub fn restore(node: &Node, record: &Record, drain_taint_key: &str) -> Result<Option<Value>, Refused> {
    record.check_subject(node, drain_taint_key)?;
    let mut patch = NodePatch::of(node).no_record();
    if !record.was_unschedulable {
        patch = patch.unschedulable(false);
    }
    if let Some(key) = &record.added_taint {
        patch = patch.taints(&without_taint(&node.taints, key, Some(TaintEffect::NoSchedule)));
    }
    Ok(patch.finish())
}

/// Writes the record, and nothing else.
#[must_use]
pub fn write_record(node: &Node, record: &Record) -> Option<Value> {
    NodePatch::of(node).record(record).finish()
}

/// Removes the record, readable or not, and nothing else.
#[must_use]
pub fn forget_record(node: &Node) -> Option<Value> {
    NodePatch::of(node).no_record().finish()
}

/// No new pods.
#[must_use]
pub fn cordon(node: &Node) -> Option<Value> {
    NodePatch::of(node).unschedulable(true).finish()
}

/// New pods again.
#[must_use]
pub fn uncordon(node: &Node) -> Option<Value> {
    NodePatch::of(node).unschedulable(false).finish()
}

/// Adds a taint at the end of the list; where the node has one of that key and effect, gives it this value.
///
/// `kubevirt_taint_key` is the cluster's `nodeDrainTaintKey`.
pub fn add_taint(
    node: &Node,
    key: &str,
    value: Option<&str>,
    effect: TaintEffect,
    kubevirt_taint_key: &str,
) -> Result<Option<Value>, Refused> {
    refuse_kubevirt_taint(node, key, kubevirt_taint_key)?;
    Ok(NodePatch::of(node).taints(&with_taint(&node.taints, key, value, effect)).finish())
}

/// Removes the taint of that key and effect; without an effect, all taints of that key.
#[must_use]
pub fn remove_taint(node: &Node, key: &str, effect: Option<TaintEffect>) -> Option<Value> {
    NodePatch::of(node).taints(&without_taint(&node.taints, key, effect)).finish()
}

/// The default key is refused even where the cluster has another: a configuration that could not be read looks the same.
fn refuse_kubevirt_taint(node: &Node, key: &str, kubevirt_taint_key: &str) -> Result<(), Refused> {
    if key == kubevirt_taint_key || key == KUBEVIRT_DRAIN_TAINT_KEY {
        return Err(Refused::KubeVirtDrainTaint { node: node.name.clone(), key: key.to_owned() });
    }
    Ok(())
}

fn with_taint(taints: &[Taint], key: &str, value: Option<&str>, effect: TaintEffect) -> Vec<Taint> {
    let value = value.filter(|value| !value.is_empty());
    let mut taints = taints.to_vec();
    match taints.iter_mut().find(|taint| taint.key == key && taint.effect == effect.as_str()) {
        Some(taint) if taint.value.as_deref().unwrap_or_default() == value.unwrap_or_default() => {}
        Some(taint) => taint.value = value.map(str::to_owned),
        None => taints.push(Taint {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            effect: effect.as_str().to_owned(),
            time_added: None,
        }),
    }
    taints
}

fn without_taint(taints: &[Taint], key: &str, effect: Option<TaintEffect>) -> Vec<Taint> {
    let goes = |taint: &Taint| taint.key == key && effect.is_none_or(|effect| taint.effect == effect.as_str());
    taints.iter().filter(|taint| !goes(taint)).cloned().collect()
}

/// A merge patch in the making: holds only what differs from the node.
struct NodePatch<'a> {
    node: &'a Node,
    annotations: Map<String, Value>,
    spec: Map<String, Value>,
}

impl<'a> NodePatch<'a> {
    fn of(node: &'a Node) -> Self {
        Self { node, annotations: Map::new(), spec: Map::new() }
    }

    fn record(mut self, record: &Record) -> Self {
        if Record::read(self.node) != RecordReading::Present(record.clone()) {
            self.annotations.insert(RECORD_ANNOTATION.to_owned(), Value::String(json!(record).to_string()));
        }
        self
    }

    fn no_record(mut self) -> Self {
        if self.node.record.is_some() {
            self.annotations.insert(RECORD_ANNOTATION.to_owned(), Value::Null);
        }
        self
    }

    fn unschedulable(mut self, wanted: bool) -> Self {
        if self.node.unschedulable != wanted {
            // null, as kubectl does: the field was absent before the node was first cordoned.
            self.spec.insert("unschedulable".to_owned(), if wanted { Value::Bool(true) } else { Value::Null });
        }
        self
    }

    fn taints(mut self, wanted: &[Taint]) -> Self {
        if self.node.taints.as_slice() != wanted {
            self.spec.insert("taints".to_owned(), if wanted.is_empty() { Value::Null } else { json!(wanted) });
        }
        self
    }

    fn finish(self) -> Option<Value> {
        if self.annotations.is_empty() && self.spec.is_empty() {
            return None;
        }
        let mut patch = json!({ "metadata": { "resourceVersion": self.node.resource_version } });
        if !self.annotations.is_empty() {
            patch["metadata"]["annotations"] = Value::Object(self.annotations);
        }
        if !self.spec.is_empty() {
            patch["spec"] = Value::Object(self.spec);
        }
        Some(patch)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        names::DRAIN_TAINT_KEY,
        testing::{self, merged},
    };

    const KUBEVIRT: &str = KUBEVIRT_DRAIN_TAINT_KEY;

    fn now() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn begin(node: &Node) -> Record {
        Record::begin(&testing::maintenance_actor(), node, Some(DRAIN_TAINT_KEY), now())
    }

    fn taken_out(node: &Node, record: &Record) -> Node {
        let patch = take_out(node, record, DRAIN_TAINT_KEY, KUBEVIRT).unwrap().expect("something to do");
        merged(node, &patch)
    }

    fn restored(node: &Node, record: &Record) -> Node {
        let patch = restore(node, record, DRAIN_TAINT_KEY).unwrap().expect("something to do");
        merged(node, &patch)
    }

    #[test]
    fn taking_out_is_one_patch_and_guarded() {
        let node = testing::node_with_taints(&[("example.com/gpu", "NoSchedule")]);
        let record = begin(&node);
        let patch = take_out(&node, &record, DRAIN_TAINT_KEY, KUBEVIRT).unwrap().unwrap();
        assert_eq!(
            patch,
            json!({
                "metadata": {
                    "resourceVersion": node.resource_version,
                    "annotations": { RECORD_ANNOTATION: json!(record).to_string() },
                },
                "spec": {
                    "unschedulable": true,
                    "taints": [
                        { "key": "example.com/gpu", "effect": "NoSchedule" },
                        { "key": DRAIN_TAINT_KEY, "effect": "NoSchedule" },
                    ],
                },
            })
        );

        let after = merged(&node, &patch);
        assert_eq!(Record::read(&after), RecordReading::Present(record.clone()));
        assert_eq!(take_out(&after, &record, DRAIN_TAINT_KEY, KUBEVIRT), Ok(None));
    }

    #[test]
    fn a_drain_adds_no_taint() {
        let node = testing::node();
        let record = Record::begin(&testing::maintenance_actor(), &node, None, now());
        let after = taken_out(&node, &record);
        assert!(after.unschedulable && after.taints.is_empty());
    }

    #[test]
    fn a_node_that_was_cordoned_before_stays_cordoned() {
        let mut node = testing::node();
        node.unschedulable = true;
        let record = begin(&node);
        let after = restored(&taken_out(&node, &record), &record);
        assert!(after.unschedulable && after.taints.is_empty() && after.record.is_none());
    }

    #[test]
    fn a_taint_that_somebody_else_had_added_stays() {
        let node = testing::node_with_taints(&[(DRAIN_TAINT_KEY, "NoSchedule")]);
        let record = begin(&node);
        assert_eq!(record.added_taint, None);
        let after = restored(&taken_out(&node, &record), &record);
        assert_eq!(after.taints, node.taints);
        assert!(!after.unschedulable);
    }

    #[test]
    fn restoring_leaves_what_others_changed_meanwhile() {
        let node = testing::node_with_taints(&[("a", "NoSchedule"), (DRAIN_TAINT_KEY, "NoExecute")]);
        let record = begin(&node);
        let mut during = taken_out(&node, &record);
        during.taints.insert(0, Taint { key: "b".into(), effect: "NoExecute".into(), ..Taint::default() });
        let keys: Vec<_> =
            restored(&during, &record).taints.into_iter().map(|taint| (taint.key, taint.effect)).collect();
        let expected = [("b", "NoExecute"), ("a", "NoSchedule"), (DRAIN_TAINT_KEY, "NoExecute")];
        assert_eq!(keys, expected.map(|(key, effect)| (key.to_owned(), effect.to_owned())));
    }

    #[test]
    fn the_last_taint_leaves_no_empty_list() {
        let node = testing::node();
        let record = begin(&node);
        let after = taken_out(&node, &record);
        let patch = restore(&after, &record, DRAIN_TAINT_KEY).unwrap().unwrap();
        assert_eq!(patch["spec"], json!({ "unschedulable": null, "taints": null }));
    }

    #[test]
    fn a_taint_removed_by_hand_does_not_keep_the_node_out_of_service() {
        let node = testing::node();
        let record = begin(&node);
        let mut after = taken_out(&node, &record);
        after.taints.clear();
        assert!(!restored(&after, &record).unschedulable);
    }

    #[test]
    fn a_forged_record_restores_nothing() {
        let mut node = testing::node_with_taints(&[("example.com/gpu", "NoSchedule")]);
        node.unschedulable = true;
        let honest = begin(&node);
        let foreign_taint = Record { added_taint: Some("example.com/gpu".to_owned()), ..honest.clone() };
        let other_node = Record { node_uid: "uid-of-another".into(), ..honest };
        for record in [foreign_taint, other_node] {
            assert!(matches!(restore(&node, &record, DRAIN_TAINT_KEY), Err(Refused::Record(_))));
            assert!(matches!(take_out(&node, &record, DRAIN_TAINT_KEY, KUBEVIRT), Err(Refused::Record(_))));
        }
    }

    #[test]
    fn what_is_as_wanted_is_not_written() {
        let mut node = testing::node_with_taints(&[("a", "NoSchedule")]);
        assert_eq!(uncordon(&node), None);
        assert_eq!(forget_record(&node), None);
        assert_eq!(remove_taint(&node, "b", None), None);
        assert_eq!(remove_taint(&node, "a", Some(TaintEffect::NoExecute)), None);
        assert_eq!(add_taint(&node, "a", None, TaintEffect::NoSchedule, KUBEVIRT), Ok(None));
        assert_eq!(add_taint(&node, "a", Some(""), TaintEffect::NoSchedule, KUBEVIRT), Ok(None));

        node = merged(&node, &cordon(&node).unwrap());
        assert_eq!(cordon(&node), None);
        let record = begin(&node);
        node = merged(&node, &write_record(&node, &record).unwrap());
        assert_eq!(write_record(&node, &record), None);
        node = merged(&node, &forget_record(&node).unwrap());
        assert_eq!(node.record, None);
    }

    #[test]
    fn taints_are_added_changed_and_removed() {
        let node = testing::node_with_taints(&[("a", "NoSchedule"), ("b", "NoExecute"), ("a", "NoExecute")]);
        let taints = |patch: Option<Value>| {
            let taints = merged(&node, &patch.unwrap()).taints;
            let shown = taints
                .iter()
                .map(|taint| format!("{}={}:{}", taint.key, taint.value.as_deref().unwrap_or_default(), taint.effect));
            shown.collect::<Vec<_>>().join(" ")
        };
        let add = |key, value, effect| add_taint(&node, key, value, effect, KUBEVIRT).unwrap();
        assert_eq!(
            taints(add("c", Some("1"), TaintEffect::PreferNoSchedule)),
            "a=:NoSchedule b=:NoExecute a=:NoExecute c=1:PreferNoSchedule"
        );
        assert_eq!(taints(add("a", Some("1"), TaintEffect::NoSchedule)), "a=1:NoSchedule b=:NoExecute a=:NoExecute");
        assert_eq!(taints(remove_taint(&node, "a", None)), "b=:NoExecute");
        assert_eq!(taints(remove_taint(&node, "a", Some(TaintEffect::NoExecute))), "a=:NoSchedule b=:NoExecute");
    }

    #[test]
    fn kubevirts_drain_taint_is_never_written() {
        let node = testing::node();
        for (key, configured) in
            [(KUBEVIRT, KUBEVIRT), (KUBEVIRT, "example.com/evacuate"), ("example.com/e", "example.com/e")]
        {
            let added = add_taint(&node, key, None, TaintEffect::NoSchedule, configured);
            assert!(matches!(added, Err(Refused::KubeVirtDrainTaint { .. })), "{key} {configured}");
            let record = Record::begin(&testing::maintenance_actor(), &node, Some(key), now());
            let taken = take_out(&node, &record, key, configured);
            assert!(matches!(taken, Err(Refused::KubeVirtDrainTaint { .. })), "{key} {configured}");
        }
        let node = testing::node_with_taints(&[(KUBEVIRT, "NoSchedule")]);
        assert!(remove_taint(&node, KUBEVIRT, None).is_some(), "it may be removed");
    }

    fn any_taint() -> impl Strategy<Value = Taint> {
        let keys = prop::sample::select(vec![DRAIN_TAINT_KEY, KUBEVIRT, "node.kubernetes.io/unreachable", "a", "b"]);
        let effects = prop::sample::select(vec!["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        let values = prop::option::of(prop::sample::select(vec!["1", "2"]));
        (keys, effects, values, prop::bool::ANY).prop_map(|(key, effect, value, timed)| Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            value: value.map(str::to_owned),
            time_added: timed.then(|| now().into()),
        })
    }

    proptest! {
        #[test]
        fn restoring_gives_back_the_node_as_it_was(
            mut taints in prop::collection::vec(any_taint(), 0..6),
            unschedulable: bool,
            taint_wanted: bool,
        ) {
            let mut seen = std::collections::HashSet::new();
            taints.retain(|taint| seen.insert((taint.key.clone(), taint.effect.clone())));
            let before = Node { unschedulable, taints, ..testing::node() };

            let taint = taint_wanted.then_some(DRAIN_TAINT_KEY);
            let record = Record::begin(&testing::maintenance_actor(), &before, taint, now());
            let during = taken_out(&before, &record);
            prop_assert!(during.unschedulable);
            prop_assert!(!taint_wanted || during.has_taint(DRAIN_TAINT_KEY, "NoSchedule"));

            let after = restored(&during, &record);
            prop_assert_eq!(after.unschedulable, before.unschedulable);
            prop_assert_eq!(after.taints, before.taints);
            prop_assert_eq!(after.record, None);
        }
    }
}
