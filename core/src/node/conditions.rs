//! The node conditions of [KEP-5683](https://github.com/kubernetes/enhancements/issues/5683): they tell others
//! (kubelet, `DaemonSet`s, autoscalers, people) what is going on.
//!
//! An entry is Careen's own if its message says so; others' are never removed. The patch is a strategic merge by
//! `type`: kubelet and others write the same list.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::{
    model::{Actor, ActorKind, ConditionStatus, Node},
    names::FIELD_MANAGER,
};

/// The node is under maintenance.
pub const MAINTENANCE_IN_PROGRESS: &str = "MaintenanceInProgress";
/// The node is being drained.
pub const DRAIN_IN_PROGRESS: &str = "DrainInProgress";
/// What had to leave has left.
pub const DRAINED: &str = "Drained";

const ALL: [&str; 3] = [MAINTENANCE_IN_PROGRESS, DRAIN_IN_PROGRESS, DRAINED];

/// What the conditions shall say.
#[derive(Clone, Copy, Debug)]
pub struct Lifecycle<'a> {
    /// Who acts on the node.
    pub actor: &'a Actor,
    /// How far the drain is.
    pub drain: DrainStage,
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainStage {
    /// It runs.
    InProgress,
    /// Everything that had to leave has left.
    Completed,
    /// It was cancelled or ran out of time; the node is still cordoned.
    Ended,
}

/// The strategic merge patch for `nodes/status` that makes the conditions say this, or removes Careen's own (`None`):
/// then the list is as it was before. `None` if they say it already.
#[must_use]
pub fn conditions_patch(node: &Node, wanted: Option<&Lifecycle<'_>>, now: Timestamp) -> Option<Value> {
    let wanted = wanted.map(Wanted::all_of).unwrap_or_default();
    let changes: Vec<Value> = ALL
        .into_iter()
        .filter_map(|type_| match wanted.iter().find(|condition| condition.type_ == type_) {
            Some(condition) => condition.entry(node, now),
            None => removal(node, type_),
        })
        .collect();
    (!changes.is_empty()).then(|| {
        json!({
            // By type they merge, so nobody else's change is lost, and the node changes often at this moment: its UID
            // is guard enough.
            "metadata": { "uid": node.uid },
            "status": { "conditions": changes },
        })
    })
}

/// Whether the node has conditions of Careen's own.
pub(crate) fn has_conditions(node: &Node) -> bool {
    ALL.into_iter().any(|type_| removal(node, type_).is_some())
}

fn removal(node: &Node, type_: &str) -> Option<Value> {
    let is_ours = node.conditions.iter().any(|found| found.type_ == type_ && is_ours(&found.message));
    is_ours.then(|| json!({ "$patch": "delete", "type": type_ }))
}

fn is_ours(message: &str) -> bool {
    message.strip_prefix(FIELD_MANAGER).is_some_and(|rest| rest.starts_with(": "))
}

/// One condition as it shall be.
struct Wanted {
    type_: &'static str,
    status: ConditionStatus,
    reason: &'static str,
    message: String,
}

impl Wanted {
    fn all_of(lifecycle: &Lifecycle<'_>) -> Vec<Self> {
        let Actor { kind, name, .. } = lifecycle.actor;
        let message = match kind {
            ActorKind::Maintenance => format!("{FIELD_MANAGER}: NodeMaintenance {name}"),
            ActorKind::Order | ActorKind::Process => format!("{FIELD_MANAGER}: drain {name}"),
        };
        let condition =
            |type_, is_true, reason| Self { type_, status: status(is_true), reason, message: message.clone() };
        let (running, drained, reason) = match lifecycle.drain {
            DrainStage::InProgress => (true, false, "AdminRequested"),
            DrainStage::Completed => (false, true, "DrainCompleted"),
            DrainStage::Ended => (false, false, "DrainEnded"),
        };
        let mut all = vec![condition(DRAIN_IN_PROGRESS, running, reason), condition(DRAINED, drained, reason)];
        if *kind == ActorKind::Maintenance {
            all.push(condition(MAINTENANCE_IN_PROGRESS, true, "AdminRequested"));
        }
        all
    }

    fn entry(&self, node: &Node, now: Timestamp) -> Option<Value> {
        let found = node.conditions.iter().find(|found| found.type_ == self.type_);
        let same_status = found.is_some_and(|found| found.status == self.status);
        let says_it = found.is_some_and(|found| {
            // Somebody else's entry that says the same stays theirs.
            !is_ours(&found.message) || (found.reason == self.reason && found.message == self.message)
        });
        if same_status && says_it {
            return None;
        }
        let mut entry = json!({
            "type": self.type_,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastHeartbeatTime": Time(now),
        });
        if !same_status {
            entry["lastTransitionTime"] = json!(Time(now));
        }
        Some(entry)
    }
}

fn status(is_true: bool) -> ConditionStatus {
    if is_true { ConditionStatus::True } else { ConditionStatus::False }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::NodeCondition, testing};

    fn now() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn condition(type_: &str, is_true: bool, reason: &str, message: &str) -> NodeCondition {
        let (reason, message) = (reason.into(), message.into());
        NodeCondition { type_: type_.into(), status: status(is_true), reason, message, since: None }
    }

    /// The node after the patch: strategic merge of the conditions by type.
    fn patched(node: &Node, patch: &Value) -> Node {
        let mut node = node.clone();
        for entry in patch["status"]["conditions"].as_array().unwrap() {
            let type_ = entry["type"].as_str().unwrap();
            let position = node.conditions.iter().position(|found| found.type_ == type_);
            if entry["$patch"] == "delete" {
                node.conditions.remove(position.unwrap());
                continue;
            }
            let text = |field: &str| entry[field].as_str().unwrap();
            let new = condition(type_, text("status") == "True", text("reason"), text("message"));
            match position {
                Some(position) => node.conditions[position] = new,
                None => node.conditions.push(new),
            }
        }
        node
    }

    #[test]
    fn a_maintenance_sets_them_step_by_step_and_leaves_no_trace() {
        let actor = testing::maintenance_actor();
        let mut node = testing::node();
        node.conditions = vec![condition("Ready", true, "KubeletReady", "kubelet is posting ready status")];
        let before = node.conditions.clone();

        let steps = [
            (DrainStage::InProgress, true, false),
            (DrainStage::Completed, false, true),
            (DrainStage::InProgress, true, false),
            (DrainStage::Ended, false, false),
        ];
        for (drain, running, drained) in steps {
            let wanted = Lifecycle { actor: &actor, drain };
            node = patched(&node, &conditions_patch(&node, Some(&wanted), now()).unwrap());
            assert!(node.has_condition(MAINTENANCE_IN_PROGRESS));
            assert_eq!(
                (node.has_condition(DRAIN_IN_PROGRESS), node.has_condition(DRAINED)),
                (running, drained),
                "{drain:?}"
            );
            assert_eq!(conditions_patch(&node, Some(&wanted), now()), None, "{drain:?}");
        }

        node = patched(&node, &conditions_patch(&node, None, now()).unwrap());
        assert_eq!(node.conditions, before);
        assert_eq!(conditions_patch(&node, None, now()), None);
    }

    #[test]
    fn an_entry_says_who_and_since_when() {
        let actor = testing::maintenance_actor();
        let mut node = testing::node();
        let wanted = Lifecycle { actor: &actor, drain: DrainStage::InProgress };
        let patch = conditions_patch(&node, Some(&wanted), now()).unwrap();
        assert_eq!(patch["metadata"]["uid"], node.uid.as_str());
        assert_eq!(
            patch["status"]["conditions"][1],
            json!({
                "type": "DrainInProgress", "status": "True", "reason": "AdminRequested",
                "message": "careen: NodeMaintenance node02-maintenance",
                "lastHeartbeatTime": "2026-11-20T10:00:00Z", "lastTransitionTime": "2026-11-20T10:00:00Z",
            })
        );

        // The same status for another reason is no transition.
        node = patched(&node, &patch);
        let drained = node.conditions.iter_mut().find(|found| found.type_ == DRAINED).unwrap();
        drained.reason = "DrainEnded".to_owned();
        let patch = conditions_patch(&node, Some(&wanted), now()).unwrap();
        let entries = patch["status"]["conditions"].as_array().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].get("lastTransitionTime"), None);
    }

    #[test]
    fn others_entries_stay_theirs() {
        let actor = Actor { kind: ActorKind::Process, name: "d1".into(), uid: "d1".into() };
        let mut node = testing::node();
        node.conditions = vec![
            condition(MAINTENANCE_IN_PROGRESS, true, "FirmwareUpdate", "by hand"),
            condition(DRAIN_IN_PROGRESS, true, "AdminRequested", "kubectl drain"),
        ];
        let wanted = Lifecycle { actor: &actor, drain: DrainStage::InProgress };
        let patch = conditions_patch(&node, Some(&wanted), now()).unwrap();
        assert_eq!(patch["status"]["conditions"].as_array().unwrap().len(), 1, "only Drained=False is new: {patch}");

        let after = patched(&node, &patch);
        let after = patched(&after, &conditions_patch(&after, None, now()).unwrap());
        assert_eq!(after.conditions, node.conditions);
    }
}
