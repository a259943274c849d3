//! What the resource's status says: a pure function of what is known.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Map, Value};

use super::{Blocking, NodeMaintenance, NodeMaintenanceStatus, Phase};
use crate::{
    clock::to_the_second,
    drain::{DrainPhase, Progress},
    model::{BlockClass, Record, Report, Trouble, condition},
    plan::Refused,
};

/// So many workloads are listed in `blocking`; the rest is counted.
const MOST_BLOCKING: usize = 20;
/// So many pods are listed in `pendingPods`.
const MOST_PENDING: usize = 100;

/// What is known of an accepted maintenance.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    /// What was done to the node.
    pub record: Option<&'a Record>,
    /// Where the drain is, once it runs.
    pub drain: Option<(&'a DrainPhase, &'a Progress)>,
    /// Since when the node has been drained, if it is.
    pub drained_at: Option<Timestamp>,
    /// What is wrong.
    pub trouble: Option<&'a Trouble>,
    /// How many times the node Lease was found in other hands.
    pub lease_errors: i32,
    /// Pods on the node in total.
    pub total_pods: i32,
    /// What has become of the VMs that had to leave.
    pub report: Option<&'a Report>,
    /// It is being stopped.
    pub stopping: bool,
}

/// The status of a maintenance that was refused.
#[must_use]
pub fn of_refused(maintenance: &NodeMaintenance, refused: &Refused, now: Timestamp) -> NodeMaintenanceStatus {
    let now = to_the_second(now);
    let notices = maintenance.status.as_ref().and_then(|status| status.notices.clone());
    let mut status = NodeMaintenanceStatus {
        phase: Some(Phase::Failed),
        last_error: Some(refused.message.clone()),
        observed_generation: maintenance.metadata.generation,
        conditions: maintenance.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default(),
        notices,
        ..NodeMaintenanceStatus::default()
    };
    let mut conditions = Conditions::of(&mut status, maintenance, now);
    conditions.set(condition::ACCEPTED, false, refused.reason, &refused.message);
    status
}

/// The status of an accepted maintenance.
///
/// A worker that has only begun (after a restart, or as another leader) knows nothing of the drain yet: then what was
/// said before still stands.
#[must_use]
pub fn of_accepted(maintenance: &NodeMaintenance, known: &Known<'_>, now: Timestamp) -> NodeMaintenanceStatus {
    let now = to_the_second(now);
    let old = maintenance.status.clone().unwrap_or_default();
    let drained = is_drained(maintenance, known.drain);
    let timed_out = matches!(known.drain, Some((DrainPhase::TimedOut, _)));
    let (draining, reason, message) = draining(known, drained);
    let phase = match known.drain {
        Some(_) if drained => Phase::Succeeded,
        Some(_) if timed_out => Phase::Failed,
        Some(_) => Phase::Running,
        None => old.phase.filter(|_| maintenance.says(condition::ACCEPTED)).unwrap_or(Phase::Running),
    };
    let trouble = known.trouble.map(|trouble| trouble.message.clone());
    let mut status = NodeMaintenanceStatus {
        phase: Some(phase),
        observed_generation: maintenance.metadata.generation,
        started_at: Some(old.started_at.unwrap_or(now)),
        drained_at: old.drained_at.or_else(|| known.drained_at.filter(|_| drained).map(to_the_second)),
        record: known.record.cloned(),
        report: known.report.filter(|report| **report != Report::default()).cloned().or(old.report),
        error_on_lease_count: Some(known.lease_errors),
        last_error: trouble.or_else(|| match known.drain {
            Some(_) => timed_out.then(|| message.clone()),
            None => old.last_error.clone().filter(|_| phase == Phase::Failed),
        }),
        ..old
    };
    match known.drain {
        // What was on it went with it; how far it had got stays as it was.
        Some((DrainPhase::NodeGone, _)) => {
            status.blocked = status.blocked.map(|_| 0);
            status.blocking.clear();
            status.pending_pods.clear();
        }
        Some((_, progress)) => show_progress(&mut status, progress, known.total_pods),
        None => {}
    }
    let mut conditions = Conditions::of(&mut status, maintenance, now);
    conditions.set(condition::ACCEPTED, true, "Accepted", "the node goes out of service");
    if known.drain.is_some() || known.stopping || !conditions.has(condition::DRAINING) {
        conditions.set(condition::DRAINING, draining, &reason, &message);
    }
    let empty = if drained { "nothing is left on the node that has to leave" } else { "the node is not empty yet" };
    conditions.set(condition::DRAINED, drained, if drained { "Drained" } else { "NotDrained" }, empty);
    match known.drain.map(|(_, progress)| first_stuck(progress)) {
        Some(Some((reason, message))) => conditions.set(condition::STUCK, true, &reason, &message),
        None if conditions.has(condition::STUCK) => {}
        Some(None) | None => conditions.set(condition::STUCK, false, "NotStuck", "no workload needs somebody's help"),
    }
    match known.trouble {
        Some(trouble) => conditions.set(condition::DEGRADED, true, trouble.reason.as_str(), &trouble.message),
        None => conditions.set(condition::DEGRADED, false, "AsExpected", "nothing is wrong"),
    }
    status
}

/// Whether the node is drained. Said once, it stands while it is being confirmed anew (by another leader, or while the
/// node is down for the work on it), as long as nothing is seen that has to leave.
#[must_use]
pub fn is_drained(maintenance: &NodeMaintenance, drain: Option<(&DrainPhase, &Progress)>) -> bool {
    let was_drained = maintenance.says(condition::DRAINED);
    match drain {
        Some((DrainPhase::Drained, _)) => true,
        Some((DrainPhase::Draining | DrainPhase::Waiting(_), progress)) => {
            was_drained && progress.left().next().is_none()
        }
        Some(_) => false,
        None => was_drained,
    }
}

fn draining(known: &Known<'_>, drained: bool) -> (bool, Cow<'static, str>, String) {
    if known.stopping {
        return (false, "Stopping".into(), "the maintenance ends: the node is being restored".to_owned());
    }
    if drained {
        return (false, "Drained".into(), "nothing is left to drain".to_owned());
    }
    match known.drain {
        None => (false, "NotStarted".into(), "the node is not cordoned yet".to_owned()),
        Some((DrainPhase::Draining, progress)) => {
            let (left, blocked) = (progress.left().count(), progress.blocked().len());
            (true, "Draining".into(), format!("{left} workloads have still to leave, {blocked} of them are blocked"))
        }
        Some((DrainPhase::Waiting(block), _)) => (true, block.reason.to_string().into(), block.message.clone()),
        Some((DrainPhase::TimedOut, progress)) => {
            let left = progress.left().count();
            (
                false,
                "TimedOut".into(),
                format!(
                    "spec.drain.timeout is over and {left} workloads are left: the node stays cordoned; change spec.drain to try again"
                ),
            )
        }
        Some((DrainPhase::NodeGone, _)) => (false, "NodeGone".into(), "the node is not in the cluster".to_owned()),
        Some((DrainPhase::Drained | DrainPhase::Stopped, _)) => {
            (false, "Stopping".into(), "the drain was stopped".to_owned())
        }
    }
}

fn show_progress(status: &mut NodeMaintenanceStatus, progress: &Progress, total_pods: i32) {
    let left: Vec<_> = progress.left().collect();
    let blocked = progress.blocked();
    // Another leader counts only what it has seen itself: what had left before counts all the same.
    let seen_before = status.eviction_pods.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let had_to_leave = progress.had_to_leave.max(seen_before);
    status.drain_progress = Some(i32::from(progress.percent_of(had_to_leave)));
    status.pending_pods = left.iter().take(MOST_PENDING).map(|left| left.workload.pod.name.clone()).collect();
    status.total_pods = Some(status.total_pods.unwrap_or(total_pods));
    status.eviction_pods = Some(to_i32(had_to_leave));
    status.blocked = Some(to_i32(blocked.len()));
    status.blocking = blocking(progress);
}

/// What blocks, as it is shown: those first that only a change can help, and no more than fit.
pub(crate) fn blocking(progress: &Progress) -> Vec<Blocking> {
    let blocked = progress.blocked().into_iter().take(MOST_BLOCKING);
    let shown = blocked.map(|(workload, block, since)| {
        let (kind, key) = workload.kind_and_key();
        Blocking {
            kind: kind.to_owned(),
            namespace: key.namespace,
            name: key.name,
            class: block.class(),
            reason: block.reason,
            message: block.message.clone(),
            since: to_the_second(since),
        }
    });
    shown.collect()
}

fn first_stuck(progress: &Progress) -> Option<(String, String)> {
    let blocked = progress.blocked();
    let stuck: Vec<_> = blocked.iter().filter(|(_, block, _)| block.class() == BlockClass::Stuck).collect();
    let (workload, block, _) = stuck.first()?;
    let (kind, key) = workload.kind_and_key();
    let others = match stuck.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more workloads)"),
    };
    let named = format!("{kind} {key}");
    let named = if block.message.starts_with(&named) { String::new() } else { format!("{named}: ") };
    Some((block.reason.to_string(), format!("{named}{}{others}", block.message)))
}

fn to_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Sets conditions; `lastTransitionTime` changes with the status only.
struct Conditions<'a> {
    list: &'a mut Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    fn of(status: &'a mut NodeMaintenanceStatus, maintenance: &NodeMaintenance, now: Timestamp) -> Self {
        Self { list: &mut status.conditions, generation: maintenance.metadata.generation, now }
    }

    fn has(&self, type_: &str) -> bool {
        self.list.iter().any(|condition| condition.type_ == type_)
    }

    fn set(&mut self, type_: &str, is_true: bool, reason: &str, message: &str) {
        let status = if is_true { "True" } else { "False" };
        let old = self.list.iter().find(|condition| condition.type_ == type_);
        let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: self.generation,
            last_transition_time: since.unwrap_or(Time(self.now)),
        };
        self.list.retain(|condition| condition.type_ != type_);
        self.list.push(condition);
        self.list.sort_by(|a, b| a.type_.cmp(&b.type_));
    }
}

/// Whether two statuses say the same but for how many workloads are left and what they wait for.
#[must_use]
pub fn differs_in_progress_only(one: &NodeMaintenanceStatus, other: &NodeMaintenanceStatus) -> bool {
    let state = |status: &NodeMaintenanceStatus| -> Vec<(String, String, String)> {
        let conditions = status.conditions.iter();
        conditions.map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect()
    };
    one.phase == other.phase && one.record == other.record && state(one) == state(other)
}

/// The merge patch that turns one status into another; `None` if they say the same. The time of the change is set here.
pub fn patch(old: Option<&NodeMaintenanceStatus>, new: &NodeMaintenanceStatus, now: Timestamp) -> Option<Value> {
    let to_map = |status: &NodeMaintenanceStatus| match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let (mut old, mut new) = (old.map(to_map).unwrap_or_default(), to_map(new));
    for status in [&mut old, &mut new] {
        status.remove("lastUpdate");
    }
    let mut patch = difference(&old, new);
    if patch.is_empty() {
        return None;
    }
    patch.insert("lastUpdate".to_owned(), Value::String(to_the_second(now).to_string()));
    Some(Value::Object(patch))
}

/// Whether two patches ask for the same, whenever that was.
pub(crate) fn ask_the_same(one: &Value, other: &Value) -> bool {
    let without_time = |patch: &Value| {
        let mut fields = patch.as_object().cloned().unwrap_or_default();
        fields.remove("lastUpdate");
        fields
    };
    without_time(one) == without_time(other)
}

/// What a merge patch (RFC 7396) has to say: it merges objects, so what went away must be named, at any depth.
fn difference(old: &Map<String, Value>, new: Map<String, Value>) -> Map<String, Value> {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let mut patch: Map<String, Value> = gone.collect();
    for (key, value) in new {
        match (old.get(&key), value) {
            (Some(old), new) if *old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(key, Value::Object(difference(old, new)));
            }
            (_, new) => {
                patch.insert(key, new);
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests;
