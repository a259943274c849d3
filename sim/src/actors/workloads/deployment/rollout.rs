//! Rolling updates: the new ReplicaSet grows and the old ones shrink, within `maxSurge` and `maxUnavailable`.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/rolling.go>

use serde_json::Value;

use super::{max_unavailable, scale, surge};
use crate::actors::{actor::Turn, workloads::owned::replicas};

/// One step.
pub(super) fn roll(deployment: &Value, new: &Value, old: &[&Value], turn: &mut Turn) {
    let wanted = replicas(deployment);
    let all: i64 = replicas(new) + old.iter().map(|set| replicas(set)).sum::<i64>();
    let next = if replicas(new) >= wanted {
        wanted
    } else {
        // As many more as there is room for.
        let room = wanted + surge(deployment) - all;
        (replicas(new) + room.max(0)).min(wanted)
    };
    if !scale(deployment, new, next, turn) {
        shrink(deployment, new, old, turn);
    }
}

fn shrink(deployment: &Value, new: &Value, old: &[&Value], turn: &mut Turn) {
    let least_available = replicas(deployment) - max_unavailable(deployment);
    let all: i64 = replicas(new) + old.iter().map(|set| replicas(set)).sum::<i64>();
    let mut may_go = all - least_available - (replicas(new) - available(new));
    if may_go <= 0 {
        return;
    }
    let mut sizes: Vec<i64> = old.iter().map(|set| replicas(set)).collect();
    // Those first that are of no use.
    for (set, size) in old.iter().zip(&mut sizes) {
        let goes = may_go.min((*size - available(set)).max(0));
        *size -= goes;
        may_go -= goes;
    }
    let mut may_go = (available(new) + old.iter().map(|set| available(set)).sum::<i64>() - least_available).max(0);
    for size in &mut sizes {
        let goes = may_go.min(*size);
        *size -= goes;
        may_go -= goes;
    }
    for (set, size) in old.iter().zip(sizes) {
        scale(deployment, set, size, turn);
    }
}

fn available(set: &Value) -> i64 {
    set["status"]["availableReplicas"].as_i64().unwrap_or(0)
}
