//! The record: what was done to a node, kept on the node.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Node, NodeName, TaintEffect, Uid};
use crate::{names::RECORD_ANNOTATION, schema::without_description};

/// A longer text is not read: Careen's own records stay far below (forty bytes for each evacuation).
const LONGEST: usize = 64 * 1024;

/// The annotation `careen.dev/record` of a Node: who acts on the node, and what there was before. It says what
/// was done; nothing is ever started because of it. It is written in the same write as the cordon and the taint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who acts.
    pub actor: Actor,
    /// UID of the Node that was changed: a node re-created under its name was not.
    pub node_uid: Uid,
    /// Whether somebody else had cordoned the node before; then it stays cordoned afterwards.
    pub was_unschedulable: bool,
    /// Key of the taint (effect `NoSchedule`) that was added; absent where it was there already or none was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_taint: Option<String>,
    /// UIDs of the VMIs whose evacuation was asked for; written before the eviction is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evacuations: Vec<Uid>,
    /// When the node was changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// Who acts on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// What kind of operation.
    pub kind: ActorKind,
    /// Name of the `NodeMaintenance`; for a drain its id.
    pub name: String,
    /// UID of the `NodeMaintenance`; for a drain its id.
    pub uid: Uid,
}

/// What kind of operation acts on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum ActorKind {
    /// A `NodeMaintenance`.
    Maintenance,
    /// A drain that was ordered over the network and is carried out by the leader.
    Order,
    /// A drain in somebody's own process; only reported by others.
    Process,
}

impl Actor {
    /// The holder that this actor writes into the node Lease.
    #[must_use]
    pub fn lease_holder(&self) -> String {
        match self.kind {
            ActorKind::Maintenance => format!("careen/maintenance/{}", self.uid),
            ActorKind::Order | ActorKind::Process => format!("careen/drain/{}", self.uid),
        }
    }
}

/// What the record annotation of a Node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordReading {
    /// There is none.
    Absent,
    /// A record; whether it may be obeyed says [`Record::check`].
    Present(Record),
    /// Something else: it is reported, not obeyed.
    Unreadable(UnreadableRecord),
}

/// Why the text in the annotation is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the annotation {RECORD_ANNOTATION} of node {node} cannot be read ({problem}), so nothing is undone because of it: \
     see what was done to the node, then remove the annotation"
)]
pub struct UnreadableRecord {
    /// The node.
    pub node: NodeName,
    /// What is wrong with the text.
    pub problem: String,
}

/// Why a record must not be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It was copied from elsewhere, or the node left the cluster and came back under its name.
    #[error(
        "the record on node {node} is about a Node with UID {recorded}, but this one has {actual}: it says nothing \
         about this node and can be removed (annotation {RECORD_ANNOTATION})"
    )]
    OtherNode {
        /// The node.
        node: NodeName,
        /// The UID in the record.
        recorded: Uid,
        /// The Node's own.
        actual: Uid,
    },
    /// Careen adds no other taint than its own, so somebody else wrote this.
    #[error(
        "the record on node {node} claims that Careen added the taint {taint}, but Careen adds {own}: the record was \
         edited, or the setting changed; remove the taint by hand if it should go"
    )]
    ForeignTaint {
        /// The node.
        node: NodeName,
        /// The key in the record.
        taint: String,
        /// The server's own drain taint key.
        own: String,
    },
    /// Whoever may only patch `nodes/status` can write annotations, but no taint.
    #[error(
        "the record on node {node} claims that Careen added the taint {taint}:NoSchedule, but the node does not have \
         it: the taint was removed by hand or the record is not Careen's; uncordon the node by hand if it should serve"
    )]
    TaintMissing {
        /// The node.
        node: NodeName,
        /// The taint's key.
        taint: String,
    },
}

impl Record {
    /// The record with which an operation begins: what the node is like before the change.
    ///
    /// A sound record of the same actor is kept: the node has been changed already, and no longer shows what it was
    /// like. `taint_key` is the taint that will be added, if any.
    #[must_use]
    pub fn begin(actor: &Actor, node: &Node, taint_key: Option<&str>, now: Timestamp) -> Self {
        let fresh = || Self {
            actor: actor.clone(),
            node_uid: node.uid.clone(),
            was_unschedulable: node.unschedulable,
            added_taint: taint_key
                .filter(|key| !node.has_taint(key, TaintEffect::NoSchedule.as_str()))
                .map(str::to_owned),
            evacuations: Vec::new(),
            since: now,
        };
        Self::of_actor(node, actor).unwrap_or_else(fresh)
    }

    /// Reads the annotation.
    #[must_use]
    pub fn read(node: &Node) -> RecordReading {
        let Some(text) = &node.record else { return RecordReading::Absent };
        let unreadable =
            |problem: String| RecordReading::Unreadable(UnreadableRecord { node: node.name.clone(), problem });
        if text.len() > LONGEST {
            return unreadable(format!("{} bytes; at most {LONGEST} are read", text.len()));
        }
        match serde_json::from_str(text) {
            Ok(record) => RecordReading::Present(record),
            Err(error) => unreadable(error.to_string()),
        }
    }

    /// The record of this very node: one that is about another Node of its name says nothing about it.
    #[must_use]
    pub fn of(node: &Node) -> Option<Self> {
        match Self::read(node) {
            RecordReading::Present(record) if record.node_uid == node.uid => Some(record),
            _ => None,
        }
    }

    /// The record of this very node, if it is that actor's.
    #[must_use]
    pub fn of_actor(node: &Node, actor: &Actor) -> Option<Self> {
        Self::of(node).filter(|record| record.actor == *actor)
    }

    /// Whether this record may be obeyed where nothing but the annotation vouches for it (its maintenance is gone).
    pub fn check(&self, node: &Node, drain_taint_key: &str) -> Result<(), RecordFault> {
        self.check_subject(node, drain_taint_key)?;
        // A genuine record without an added taint exists only where the taint was there before.
        let taint = self.added_taint.as_deref().unwrap_or(drain_taint_key);
        if node.has_taint(taint, TaintEffect::NoSchedule.as_str()) {
            Ok(())
        } else {
            Err(RecordFault::TaintMissing { node: node.name.clone(), taint: taint.to_owned() })
        }
    }

    /// Whether it is about this node and this server's taint. A taint that was removed by hand is no fault here.
    pub(crate) fn check_subject(&self, node: &Node, drain_taint_key: &str) -> Result<(), RecordFault> {
        if self.node_uid != node.uid {
            return Err(RecordFault::OtherNode {
                node: node.name.clone(),
                recorded: self.node_uid.clone(),
                actual: node.uid.clone(),
            });
        }
        match &self.added_taint {
            Some(taint) if taint != drain_taint_key => Err(RecordFault::ForeignTaint {
                node: node.name.clone(),
                taint: taint.clone(),
                own: drain_taint_key.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{names::DRAIN_TAINT_KEY, testing};

    fn record() -> Record {
        Record {
            actor: testing::maintenance_actor(),
            node_uid: "uid-node02".into(),
            was_unschedulable: false,
            added_taint: Some(DRAIN_TAINT_KEY.to_owned()),
            evacuations: vec!["vmi-1".into()],
            since: "2026-11-20T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_in_the_annotation_is_read_or_reported() {
        let text = serde_json::to_string(&record()).unwrap();
        let too_long = format!("{text}{}", " ".repeat(LONGEST));
        let cases = [
            (None, "absent"),
            (Some(text.as_str()), "present"),
            (Some("{"), "unreadable"),
            (Some("{\"actor\": 3}"), "unreadable"),
            (Some(too_long.as_str()), "unreadable"),
        ];
        for (text, expected) in cases {
            let mut node = testing::node();
            node.record = text.map(str::to_owned);
            let found = match Record::read(&node) {
                RecordReading::Absent => "absent",
                RecordReading::Present(found) => {
                    assert_eq!(found, record());
                    "present"
                }
                RecordReading::Unreadable(error) => {
                    assert!(error.to_string().contains("node02"), "{error}");
                    "unreadable"
                }
            };
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn a_record_is_checked_against_its_node() {
        let tainted = testing::node_with_taints(&[(DRAIN_TAINT_KEY, "NoSchedule")]);
        assert_eq!(record().check(&tainted, DRAIN_TAINT_KEY), Ok(()));

        let elsewhere = Record { node_uid: "uid-of-another".into(), ..record() };
        assert!(matches!(elsewhere.check(&tainted, DRAIN_TAINT_KEY), Err(RecordFault::OtherNode { .. })));

        let somebody_elses = Record { added_taint: Some("example.com/gpu".to_owned()), ..record() };
        let node = testing::node_with_taints(&[("example.com/gpu", "NoSchedule")]);
        assert!(matches!(somebody_elses.check(&node, DRAIN_TAINT_KEY), Err(RecordFault::ForeignTaint { .. })));

        for taints in [&[][..], &[(DRAIN_TAINT_KEY, "NoExecute")]] {
            let node = testing::node_with_taints(taints);
            assert!(matches!(record().check(&node, DRAIN_TAINT_KEY), Err(RecordFault::TaintMissing { .. })));
        }

        let untainted = Record { added_taint: None, ..record() };
        assert_eq!(untainted.check(&tainted, DRAIN_TAINT_KEY), Ok(()));
        // Else whoever may only write annotations could have a node uncordoned that somebody else has cordoned.
        let forged = untainted.check(&testing::node(), DRAIN_TAINT_KEY);
        assert!(matches!(forged, Err(RecordFault::TaintMissing { .. })));
    }

    #[test]
    fn a_record_begins_with_what_the_node_is_like_and_is_kept_once_written() {
        let actor = testing::maintenance_actor();
        let now = record().since;
        let begin = |node: &Node| Record::begin(&actor, node, Some(DRAIN_TAINT_KEY), now);

        let fresh = begin(&testing::node());
        assert_eq!((fresh.was_unschedulable, fresh.added_taint.as_deref()), (false, Some(DRAIN_TAINT_KEY)));

        let mut node = testing::node_with_taints(&[(DRAIN_TAINT_KEY, "NoSchedule")]);
        node.unschedulable = true;
        let found = begin(&node);
        assert_eq!((found.was_unschedulable, found.added_taint), (true, None));

        node.record = Some(serde_json::to_string(&record()).unwrap());
        assert_eq!(begin(&node), record());

        node.uid = "uid-after-reinstallation".into();
        assert_eq!(begin(&node).node_uid, node.uid);
    }
}
