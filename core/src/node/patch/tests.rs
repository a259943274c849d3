//! Patches, applied as the API server applies them.

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
    let keys: Vec<_> = restored(&during, &record).taints.into_iter().map(|taint| (taint.key, taint.effect)).collect();
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
