//! Plays the controller of Deployments: a ReplicaSet for each template, and the way from one to the next. A Deployment that
//! is scaled during a rolling update is not scaled in proportion.

mod rollout;
mod status;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::rollout::roll;
use super::owned::{add_label, by_owner, deletion, hash, replicas};
use crate::actors::{
    actor::{Actor, Turn, Write},
    kinds::{DEPLOYMENT, POD, REPLICA_SET},
    object::{
        annotation, controlled_by, int_or_percent, is_deleting, is_finished, name_of, namespace_of, uid_of,
        would_change,
    },
    view::{Kind, View, key_of},
};

/// The label by which `ReplicaSet`s of one Deployment tell their pods apart.
const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Plays the controller of Deployments.
#[derive(Debug, Default)]
pub struct Deployments(());

impl Actor for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![DEPLOYMENT, REPLICA_SET, POD]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let (sets, pods) = (by_owner(view, REPLICA_SET), by_owner(view, POD));
        for deployment in view.all(DEPLOYMENT) {
            let sets = Sets::of(deployment, sets.get(uid_of(deployment)).map_or(&[], Vec::as_slice));
            if !is_deleting(deployment) {
                go_on(deployment, &sets, &pods, &mut turn);
            }
            status::report(deployment, &sets, now, &mut turn);
        }
        turn
    }
}

/// The `ReplicaSet`s of a Deployment.
struct Sets<'a> {
    /// The one of the present template.
    new: Option<&'a Value>,
    /// The others, the oldest first.
    old: Vec<&'a Value>,
}

impl<'a> Sets<'a> {
    fn of(deployment: &Value, sets: &[&'a Value]) -> Self {
        let mut sets: Vec<&Value> = sets.to_vec();
        sets.sort_by_cached_key(|set| (revision(set), name_of(set).to_owned()));
        let wanted = without_hash(&deployment["spec"]["template"]);
        let is_new = |set: &&Value| without_hash(&set["spec"]["template"]) == wanted;
        let new = sets.iter().copied().find(is_new);
        Self { new, old: sets.into_iter().filter(|set| new.is_none_or(|new| uid_of(new) != uid_of(set))).collect() }
    }

    fn all(&self) -> impl Iterator<Item = &'a Value> {
        self.old.iter().copied().chain(self.new)
    }
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    if let Some(metadata) = template["metadata"].as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
    template
}

fn revision(object: &Value) -> i64 {
    annotation(object, REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

fn go_on(deployment: &Value, sets: &Sets<'_>, pods: &BTreeMap<&str, Vec<&Value>>, turn: &mut Turn) {
    if deployment["spec"]["paused"] == true {
        if let (Some(new), []) = (sets.new, sets.old.as_slice()) {
            scale(deployment, new, replicas(deployment), turn);
        }
        return;
    }
    let next_revision = sets.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let recreate = deployment["spec"]["strategy"]["type"] == "Recreate";
    // Also those that are on their way out.
    let mut old_pods = sets.old.iter().filter_map(|set| pods.get(uid_of(set))).flatten();
    let is_clear = old_pods.all(|pod| is_finished(pod));
    let Some(new) = sets.new else {
        let wanted = if recreate && !is_clear {
            0
        } else {
            let others: i64 = sets.old.iter().map(|set| replicas(set)).sum();
            (replicas(deployment) + surge(deployment) - others).clamp(0, replicas(deployment))
        };
        turn.writes.push(Write::Create { kind: REPLICA_SET, object: new_set(deployment, wanted, next_revision) });
        return;
    };
    remember_revision(deployment, new, next_revision.max(revision(new)), turn);
    if recreate {
        for old in &sets.old {
            scale(deployment, old, 0, turn);
        }
        if is_clear && sets.old.iter().all(|set| replicas(set) == 0) {
            scale(deployment, new, replicas(deployment), turn);
        }
    } else {
        roll(deployment, new, &sets.old, turn);
    }
    forget_history(deployment, sets, turn);
}

fn new_set(deployment: &Value, wanted: i64, revision: i64) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    let hash = hash(&without_hash(&template));
    add_label(&mut template, HASH, &hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = hash.as_str().into();
    json!({
        "metadata": {
            "namespace": namespace_of(deployment), "name": format!("{}-{hash}", name_of(deployment)),
            "labels": template["metadata"]["labels"],
            "annotations": annotations(deployment, revision),
            "ownerReferences": [controlled_by(DEPLOYMENT, deployment)],
        },
        "spec": {
            "replicas": wanted, "selector": selector, "template": template,
            "minReadySeconds": deployment["spec"]["minReadySeconds"].as_i64().unwrap_or(0),
        },
    })
}

fn annotations(deployment: &Value, revision: i64) -> Value {
    let wanted = replicas(deployment);
    json!({
        REVISION: revision.to_string(),
        "deployment.kubernetes.io/desired-replicas": wanted.to_string(),
        "deployment.kubernetes.io/max-replicas": (wanted + surge(deployment)).to_string(),
    })
}

fn remember_revision(deployment: &Value, new: &Value, revision: i64, turn: &mut Turn) {
    let patch = json!({"metadata": {"annotations": annotations(deployment, revision)}});
    if would_change(new, &patch) {
        turn.writes.push(Write::Patch { kind: REPLICA_SET, key: key_of(new), subresource: None, patch });
    }
    let patch = json!({"metadata": {"annotations": {REVISION: revision.to_string()}}});
    if would_change(deployment, &patch) {
        turn.writes.push(Write::Patch { kind: DEPLOYMENT, key: key_of(deployment), subresource: None, patch });
    }
}

fn scale(deployment: &Value, set: &Value, wanted: i64, turn: &mut Turn) -> bool {
    if replicas(set) == wanted {
        return false;
    }
    let annotations = annotations(deployment, revision(set));
    let patch = json!({
        "metadata": {"uid": uid_of(set), "annotations": annotations}, "spec": {"replicas": wanted},
    });
    turn.writes.push(Write::Patch { kind: REPLICA_SET, key: key_of(set), subresource: None, patch });
    true
}

fn forget_history(deployment: &Value, sets: &Sets<'_>, turn: &mut Turn) {
    let Some(limit) = deployment["spec"]["revisionHistoryLimit"].as_u64() else { return };
    let excess = sets.old.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let is_empty = |set: &&&Value| replicas(set) == 0 && set["status"]["replicas"] == 0 && !is_deleting(set);
    turn.writes.extend(sets.old.iter().take(excess).filter(is_empty).map(|set| deletion(REPLICA_SET, set)));
}

/// How many more than wanted there may be: a percentage is rounded up.
fn surge(deployment: &Value) -> i64 {
    if deployment["spec"]["strategy"]["type"] == "Recreate" {
        return 0;
    }
    let value = &deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"];
    let value = if value.is_null() { &json!("25%") } else { value };
    int_or_percent(value, replicas(deployment), true).unwrap_or(0)
}

/// How many fewer than wanted may be available: a percentage is rounded down, and it is 1 if nothing else could move.
fn max_unavailable(deployment: &Value) -> i64 {
    let wanted = replicas(deployment);
    if deployment["spec"]["strategy"]["type"] == "Recreate" || wanted == 0 {
        return 0;
    }
    let value = &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
    let value = if value.is_null() { &json!("25%") } else { value };
    let unavailable = int_or_percent(value, wanted, false).unwrap_or(0);
    if unavailable == 0 && surge(deployment) == 0 { 1 } else { unavailable.min(wanted) }
}

#[cfg(test)]
mod tests;
