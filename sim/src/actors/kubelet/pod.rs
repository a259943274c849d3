//! The life of a pod on its node: it starts, is ready, ends by itself or is told to.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Kubelet,
    mirror_pods::MIRROR,
    status::{self, Containers},
};
use crate::actors::{
    actor::{Turn, Write},
    kinds::POD,
    object::{annotation, is_deleting, is_finished, uid_of},
    rules::after,
    view::key_of,
};

const STARTS_AFTER: Duration = Duration::from_secs(1);
const READY_AFTER: Duration = Duration::from_secs(1);
const ENDS_AFTER: Duration = Duration::from_secs(1);

/// Since when the kubelet has seen what: finer than the whole seconds of a pod's status.
#[derive(Clone, Debug)]
pub(super) struct Lived {
    bound: Timestamp,
    running: Option<Timestamp>,
    deleted: Option<Timestamp>,
    /// Whether its containers ran before: the pod in the API is only a new mirror of them.
    ran_before: bool,
    /// The version of the pod whose status said already what its containers do.
    said: Option<(String, Containers)>,
}

impl Kubelet {
    pub(super) fn tend_pod(&mut self, node: &Value, pod: &Value, now: Timestamp, turn: &mut Turn) {
        let ran_before = annotation(pod, MIRROR).is_some() && self.mirror_pods.knows(pod);
        let lived = self.lives.entry(uid_of(pod).to_owned()).or_insert_with(|| Lived {
            bound: now,
            running: status::running_since(pod),
            deleted: None,
            ran_before,
            said: None,
        });
        if is_deleting(pod) {
            lived.deleted.get_or_insert(now);
        }
        let lived = lived.clone();
        if is_deleting(pod) {
            self.end(node, pod, &lived, now, turn);
        } else if !is_finished(pod) {
            self.mirror_pods.learn(pod);
            self.live(node, pod, &lived, now, turn);
        }
    }

    fn live(&mut self, node: &Value, pod: &Value, lived: &Lived, now: Timestamp, turn: &mut Turn) {
        if self.rules.wishes(POD, pod, "never-starts") && lived.running.is_none() {
            return self.say(node, pod, Containers::Waiting("ImagePullBackOff"), now, turn);
        }
        let starts = after(lived.bound, self.rules.duration(POD, pod, "starts-after", STARTS_AFTER));
        let Some(running) = lived.running.or_else(|| (starts <= now || lived.ran_before).then_some(now)) else {
            turn.look_again(starts);
            return self.say(node, pod, Containers::Waiting("ContainerCreating"), now, turn);
        };
        if let Some(code) = self.ended_by_itself(pod, running, now, turn) {
            return self.ended(node, pod, code, now, turn);
        }
        self.remember_start(pod, running);
        let ready_at = after(running, self.rules.duration(POD, pod, "ready-after", READY_AFTER));
        let ready = !self.rules.wishes(POD, pod, "never-ready") && (ready_at <= now || lived.ran_before);
        if !ready && ready_at > now {
            turn.look_again(ready_at);
        }
        let containers = Containers::Running { since: running, ready, restarts: status::restarts(pod) };
        self.say(node, pod, containers, now, turn);
    }

    /// Writes what its containers do, unless the pod says so. Most pods have nothing to say, whenever anything changes.
    fn say(&mut self, node: &Value, pod: &Value, containers: Containers, now: Timestamp, turn: &mut Turn) {
        let version = pod["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let Some(lived) = self.lives.get_mut(uid_of(pod)) else { return };
        if lived.said.as_ref().is_some_and(|(said, what)| said == version && *what == containers) {
            return;
        }
        let before = turn.writes.len();
        write(node, pod, containers, now, turn);
        lived.said = (turn.writes.len() == before).then(|| (version.to_owned(), containers));
    }

    fn remember_start(&mut self, pod: &Value, running: Timestamp) {
        if let Some(lived) = self.lives.get_mut(uid_of(pod)) {
            lived.running = Some(running);
        }
    }

    /// The exit code, if its containers have ended without being told to.
    fn ended_by_itself(&self, pod: &Value, running: Timestamp, now: Timestamp, turn: &mut Turn) -> Option<i64> {
        for (setting, code) in [("fails-after", 1), ("completes-after", 0)] {
            let Some(duration) = self.rules.optional_duration(POD, pod, setting) else { continue };
            let at = after(running, duration);
            if at <= now {
                return Some(code);
            }
            turn.look_again(at);
        }
        None
    }

    /// They are started again where the pod's restart policy says so, without the back-off of a real kubelet.
    fn ended(&mut self, node: &Value, pod: &Value, code: i64, now: Timestamp, turn: &mut Turn) {
        let starts_again = match pod["spec"]["restartPolicy"].as_str() {
            Some("Never") => false,
            Some("OnFailure") => code != 0,
            _ => true,
        };
        if !starts_again {
            return write(node, pod, Containers::Ended { code }, now, turn);
        }
        self.remember_start(pod, now);
        let restarts = status::restarts(pod) + 1;
        turn.look_again(after(now, self.rules.duration(POD, pod, "ready-after", READY_AFTER)));
        write(node, pod, Containers::Running { since: now, ready: false, restarts }, now, turn);
    }

    fn end(&self, node: &Value, pod: &Value, lived: &Lived, now: Timestamp, turn: &mut Turn) {
        // What is deleted is a picture of the static pod, which goes on.
        if annotation(pod, MIRROR).is_some() || is_finished(pod) || lived.running.is_none() {
            return remove(pod, turn);
        }
        if self.rules.wishes(POD, pod, "never-ends") {
            return;
        }
        let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
        let grace = self.rules.scale(Duration::from_secs(seconds));
        let needs = self.rules.duration(POD, pod, "ends-after", ENDS_AFTER);
        let is_killed = self.rules.wishes(POD, pod, "ignores-termination") || needs > grace;
        let at = after(lived.deleted.unwrap_or(now), if is_killed { grace } else { needs });
        if at > now {
            return turn.look_again(at);
        }
        write(node, pod, Containers::Ended { code: if is_killed { 137 } else { 0 } }, now, turn);
        remove(pod, turn);
    }
}

fn write(node: &Value, pod: &Value, containers: Containers, now: Timestamp, turn: &mut Turn) {
    if let Some(patch) = status::patch(node, pod, containers, now) {
        turn.writes.push(Write::Patch { kind: POD, key: key_of(pod), subresource: Some("status"), patch });
    }
}

fn remove(pod: &Value, turn: &mut Turn) {
    let uid = uid_of(pod).to_owned();
    turn.writes.push(Write::Delete { kind: POD, key: key_of(pod), uid, grace_seconds: Some(0) });
}
