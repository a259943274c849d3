//! Which record a node should carry for a maintenance: pure.

use jiff::Timestamp;

use super::NodeMaintenance;
use crate::model::{Node, Record, RecordReading, Trouble, TroubleReason};

/// The record that the node should carry, and what was wrong with the one it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The record.
    pub record: Record,
    /// Somebody removed or edited the record; the copy in the status is put back.
    pub mended: Option<String>,
}

/// The record that the node should carry.
///
/// Whoever may patch nodes/status can write annotations; only the leader writes the status of a maintenance. So where
/// the two differ, the copy there counts. `Err`: the node carries something that nobody can vouch for.
pub fn intent(
    maintenance: &NodeMaintenance,
    node: &Node,
    drain_taint_key: &str,
    now: Timestamp,
) -> Result<Intent, Trouble> {
    let actor = maintenance.actor();
    let copy = mirrored(maintenance, node);
    let as_it_is = |record| Ok(Intent { record, mended: None });
    let mended = |record, what: &str| {
        let what =
            format!("the record on node {} was {what}: it is put back from the status of {}", node.name, actor.name);
        Ok(Intent { record, mended: Some(what) })
    };
    match (Record::read(node), copy) {
        (RecordReading::Present(found), Some(copy)) if found.actor == actor && found.node_uid == node.uid => {
            if says_the_same(&found, copy) {
                return as_it_is(found);
            }
            mended(Record { evacuations: found.evacuations, ..copy.clone() }, "edited")
        }
        (RecordReading::Present(found), None) if found.actor == actor && found.node_uid == node.uid => as_it_is(found),
        (RecordReading::Present(found), _) if found.node_uid == node.uid => Err(Trouble::new(
            TroubleReason::RecordOfAnother,
            format!(
                "node {} carries the record of {:?} {}: wait for its end, or see what was done to the node and remove the annotation {}",
                node.name,
                found.actor.kind,
                found.actor.name,
                crate::names::RECORD_ANNOTATION
            ),
        )),
        (RecordReading::Absent, Some(copy)) => mended(copy.clone(), "removed"),
        (RecordReading::Unreadable(_), Some(copy)) => mended(copy.clone(), "made unreadable"),
        (RecordReading::Unreadable(error), None) => {
            Err(Trouble::new(TroubleReason::RecordUnreadable, error.to_string()))
        }
        // A record of an older node of that name says nothing about this one.
        (RecordReading::Absent | RecordReading::Present(_), _) => {
            as_it_is(Record::begin(&actor, node, Some(drain_taint_key), now))
        }
    }
}

/// The record to restore a node from: its own where the status does not contradict it; `None` if nothing was done to
/// it.
#[must_use]
pub fn to_restore(maintenance: &NodeMaintenance, node: &Node) -> Option<Record> {
    let own = Record::of_actor(node, &maintenance.actor());
    match (own, mirrored(maintenance, node)) {
        (Some(own), Some(copy)) if says_the_same(&own, copy) => Some(own),
        (Some(own), Some(copy)) => Some(Record { evacuations: own.evacuations, ..copy.clone() }),
        (Some(own), None) => Some(own),
        // Neither record nor taint: it was restored, and the object has outlived that by a crash. Whoever has cordoned
        // the node since then meant it.
        (None, Some(copy)) if copy.added_taint.as_ref().is_some_and(|key| !node.has_taint(key, "NoSchedule")) => None,
        (None, copy) => copy.cloned(),
    }
}

/// Key of the taint that was added, as the status vouches for it: the server's setting may have changed since.
#[must_use]
pub fn drain_taint_key(maintenance: &NodeMaintenance, node: &Node, setting: &str) -> String {
    mirrored(maintenance, node).and_then(|copy| copy.added_taint.clone()).unwrap_or_else(|| setting.to_owned())
}

/// The copy of the record in the status, if it is about this very node.
fn mirrored<'a>(maintenance: &'a NodeMaintenance, node: &Node) -> Option<&'a Record> {
    let copy = maintenance.status.as_ref()?.record.as_ref()?;
    (copy.node_uid == node.uid && copy.actor == maintenance.actor()).then_some(copy)
}

/// Whether two records say the same about the node (VMIs are added to them while the drain runs).
fn says_the_same(one: &Record, other: &Record) -> bool {
    one.was_unschedulable == other.was_unschedulable && one.added_taint == other.added_taint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        maintenance::NodeMaintenanceStatus,
        model::testing::{self, at, maintenance, node},
        names::DRAIN_TAINT_KEY,
    };

    fn begun() -> (NodeMaintenance, Record) {
        let mut maintenance = maintenance("node02-maintenance", "node02");
        let record = Record::begin(&maintenance.actor(), &node("node02"), Some(DRAIN_TAINT_KEY), at(0));
        maintenance.status = Some(NodeMaintenanceStatus { record: Some(record.clone()), ..Default::default() });
        (maintenance, record)
    }

    fn intended(maintenance: &NodeMaintenance, node: &Node) -> Result<Intent, Trouble> {
        intent(maintenance, node, DRAIN_TAINT_KEY, at(9))
    }

    #[test]
    fn a_record_removed_by_hand_is_put_back_from_the_status_not_from_the_node_as_it_is_now() {
        let (maintenance, record) = begun();
        let cordoned = node("node02").cordoned().tainted(DRAIN_TAINT_KEY, "NoSchedule");
        let found = intended(&maintenance, &cordoned).unwrap();
        assert_eq!(found.record, record);
        assert!(found.mended.unwrap().contains("removed"));
        assert_eq!(to_restore(&maintenance, &cordoned), Some(record));
    }

    #[test]
    fn an_edited_record_is_not_obeyed() {
        let (maintenance, record) = begun();
        let edited = Record { was_unschedulable: true, evacuations: vec!["vmi".into()], ..record.clone() };
        let node = node("node02").cordoned().with_record(&edited);
        let expected = Record { evacuations: vec!["vmi".into()], ..record };
        assert_eq!(intended(&maintenance, &node).unwrap().record, expected);
        assert_eq!(to_restore(&maintenance, &node), Some(expected));
    }

    #[test]
    fn a_node_that_came_back_under_its_name_gets_a_new_record() {
        let (maintenance, _) = begun();
        let mut new = node("node02").cordoned();
        new.uid = "another".into();
        let found = intended(&maintenance, &new).unwrap();
        assert_eq!(
            (found.record.node_uid, found.record.was_unschedulable, found.mended),
            ("another".into(), true, None)
        );
        assert_eq!(to_restore(&maintenance, &new), None);
    }

    #[test]
    fn a_setting_that_changed_since_does_not_keep_a_node_from_being_restored() {
        let (maintenance, _) = begun();
        assert_eq!(drain_taint_key(&maintenance, &node("node02"), "example.com/new"), DRAIN_TAINT_KEY);
        let fresh = testing::maintenance("m", "node02");
        assert_eq!(drain_taint_key(&fresh, &node("node02"), "example.com/new"), "example.com/new");
    }

    #[test]
    fn a_node_that_was_restored_is_not_restored_twice() {
        let (maintenance, _) = begun();
        assert_eq!(to_restore(&maintenance, &node("node02").cordoned()), None);
    }

    #[test]
    fn what_nobody_vouches_for_is_left_alone() {
        let fresh = maintenance("node02-maintenance", "node02");
        let unreadable = node("node02").with_record_text("{");
        assert_eq!(intended(&fresh, &unreadable).unwrap_err().reason, TroubleReason::RecordUnreadable);
        let other = maintenance("other", "node02");
        let record = Record::begin(&other.actor(), &node("node02"), Some(DRAIN_TAINT_KEY), at(0));
        let of_another = node("node02").with_record(&record);
        assert_eq!(intended(&fresh, &of_another).unwrap_err().reason, TroubleReason::RecordOfAnother);
        assert_eq!(to_restore(&fresh, &of_another), None);
    }
}
