//! The target pod of a migration: made, waited for, given up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Case;
use crate::actors::{
    actor::{Turn, Write},
    kubevirt::{
        event::{Happening, Source},
        instance::pod,
        names::{NODE, PENDING_TIMEOUT, POD, UNSCHEDULABLE_TIMEOUT},
        object::{annotation, condition, delete, is_deleting, name_of, namespace_of, phase, text},
    },
    rules::after,
};

pub fn create(case: &Case, turn: &mut Turn) {
    let source_node = case.view.get(NODE, "", text(case.vmi, "/status/nodeName"));
    let made = pod::target(case.vmi, case.migration, source_node);
    let message = format!("Created migration target pod {}", name_of(&made));
    turn.writes.push(Write::Create { kind: POD, object: made });
    case.record(Happening::normal(Source::Controller, "SuccessfulCreate", message), turn);
}

/// The migration was deleted before virt-handler knew of it: its pod goes.
pub fn cancel(case: &Case, turn: &mut Turn) {
    let Some(pod) = case.target().filter(|pod| !is_deleting(pod)) else { return };
    turn.writes.push(delete(POD, pod));
    let message = format!("migration canceled and pod {}/{} is deleted", namespace_of(pod), name_of(pod));
    case.record(Happening::normal(Source::Controller, "SuccessfulDelete", message), turn);
}

/// A pod that stays pending too long is deleted; the migration fails because it is gone. True if no node takes the pod.
pub fn wait_for(case: &Case, turn: &mut Turn) -> bool {
    let Some(pod) = case.target().filter(|pod| phase(pod) == "Pending" && !is_deleting(pod)) else { return false };
    let Ok(created) = text(pod, "/metadata/creationTimestamp").parse::<Timestamp>() else { return false };
    let end = |name: &str, default: Duration| after(created, timeout(case, name, default));
    let mut ends = vec![("pending", end(PENDING_TIMEOUT, case.timing.pending))];
    if is_unschedulable(pod) {
        ends.insert(0, ("unschedulable", end(UNSCHEDULABLE_TIMEOUT, case.timing.unschedulable)));
    }
    if let Some((why, _)) = ends.iter().find(|(_, end)| *end <= case.now) {
        turn.writes.push(delete(POD, pod));
        let message = format!("{why} pod {}/{} timeout period exceeded", namespace_of(pod), name_of(pod));
        case.record(Happening::normal(Source::Controller, "SuccessfulDelete", message), turn);
    } else {
        for (_, end) in ends {
            turn.look_again(end);
        }
    }
    is_unschedulable(pod)
}

/// What the migration says, in seconds, is taken as it is.
fn timeout(case: &Case, name: &str, default: Duration) -> SignedDuration {
    let said = annotation(case.migration, name).and_then(|seconds| seconds.parse().ok());
    said.map_or_else(|| case.timing.rules.scale(default), SignedDuration::from_secs)
}

fn is_unschedulable(pod: &Value) -> bool {
    condition(pod, "PodScheduled")
        .is_some_and(|scheduled| scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable")
}
