//! Plays the controller of Jobs: pods until enough have succeeded or too many have failed. Its pods carry no finalizer: one
//! that is deleted before it was seen to end is made again. It knows nothing of indexes and failure policies.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::owned::{by_owner, count, deletions, pod_of, status_write};
use crate::actors::{
    actor::{Actor, Turn, Write},
    kinds::{JOB, POD},
    object::{is_active, is_deleting, is_ready, is_true, items, name_of, seconds, set_condition, time, uid_of},
    rules::after,
    view::{Kind, View},
};

/// Plays the controller of Jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The pods that have been seen to end, by the UID of their Job: those that succeeded, those that failed.
    ended: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
}

impl Actor for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![JOB, POD]
    }

    fn act(&mut self, view: &View, now: Timestamp, _: &mut fastrand::Rng) -> Turn {
        let mut turn = Turn::default();
        let pods = by_owner(view, POD);
        let jobs: BTreeSet<&str> = view.all(JOB).map(uid_of).collect();
        self.ended.retain(|job, _| jobs.contains(job.as_str()));
        for job in view.all(JOB) {
            let is_over = is_true(job, "Complete") || is_true(job, "Failed");
            if !is_deleting(job) && !is_over {
                self.go_on(job, pods.get(uid_of(job)).map_or(&[], Vec::as_slice), now, &mut turn);
            }
        }
        turn
    }
}

impl Jobs {
    fn go_on(&mut self, job: &Value, pods: &[&Value], now: Timestamp, turn: &mut Turn) {
        let (succeeded, failed) = self.count(job, pods);
        let active: Vec<&Value> = pods.iter().copied().filter(|pod| is_active(pod)).collect();
        let spec = &job["spec"];
        let number = |field: &str, default: usize| {
            spec[field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
        };
        let (parallelism, backoff) = (number("parallelism", 1), number("backoffLimit", 6));
        // Without `completions`, one success is enough, and nothing new begins after it.
        let completions = spec["completions"].as_u64().and_then(|number| usize::try_from(number).ok());
        let started = time(&job["status"]["startTime"]);
        let deadline = spec["activeDeadlineSeconds"]
            .as_i64()
            .zip(started)
            .map(|(seconds, started)| after(started, SignedDuration::from_secs(seconds)));
        let is_suspended = spec["suspend"] == true;

        let is_late = deadline.is_some_and(|deadline| deadline <= now);
        let outcome = if failed > backoff {
            Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
        } else if is_late && !is_suspended {
            Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
        } else if completions.map_or(succeeded > 0 && active.is_empty(), |wanted| succeeded >= wanted) {
            Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
        } else {
            None
        };
        let wanted = if outcome.is_some() || is_suspended {
            0
        } else {
            let left = completions.map(|completions| completions - succeeded);
            let most = if left.is_none() && succeeded > 0 { active.len() } else { parallelism };
            left.map_or(most, |left| most.min(left))
        };
        turn.writes.extend(deletions(active.iter().copied().skip(wanted)));
        for _ in active.len()..wanted {
            let mut pod = pod_of(JOB, job);
            pod["metadata"]["generateName"] = format!("{}-", name_of(job)).into();
            turn.writes.push(Write::Create { kind: POD, object: pod });
        }
        if let Some(deadline) = deadline.filter(|_| outcome.is_none()) {
            turn.look_again(deadline);
        }

        let ready = active.iter().filter(|pod| is_ready(pod)).count();
        let mut status = json!({
            "active": count(active.len().min(wanted)), "ready": if outcome.is_some() { 0 } else { ready },
            "succeeded": count(succeeded), "failed": count(failed),
            "terminating": pods.iter().filter(|pod| is_deleting(pod)).count(),
            "uncountedTerminatedPods": {},
        });
        if started.is_none() && !is_suspended {
            status["startTime"] = seconds(now).into();
        }
        if let Some(outcome) = outcome {
            end(job, outcome, now, &mut status);
        }
        turn.writes.extend(status_write(JOB, job, &status));
    }

    /// How many of its pods have succeeded and have failed, also of those that are gone.
    fn count(&mut self, job: &Value, pods: &[&Value]) -> (usize, usize) {
        let (succeeded, failed) = self.ended.entry(uid_of(job).to_owned()).or_default();
        for pod in pods {
            let uid = uid_of(pod).to_owned();
            match pod["status"]["phase"].as_str() {
                Some("Succeeded") if !failed.contains(&uid) => succeeded.insert(uid),
                Some("Failed") => failed.insert(uid),
                // One that was told to go has no chance any more.
                _ if is_deleting(pod) => failed.insert(uid),
                _ => false,
            };
        }
        let known =
            |field: &str| job["status"][field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        (succeeded.len().max(known("succeeded")), failed.len().max(known("failed")))
    }
}

/// Writes what became of it, with the condition that has to come before.
fn end(job: &Value, (type_, reason, message): (&str, &str, &str), now: Timestamp, status: &mut Value) {
    let mut conditions = items(&job["status"]["conditions"]).to_vec();
    let before = if type_ == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
    for type_ in [before, type_] {
        let condition = json!({
            "type": type_, "status": "True", "reason": reason, "message": message, "lastProbeTime": seconds(now),
        });
        set_condition(&mut conditions, condition, now);
    }
    status["conditions"] = conditions.into();
    if type_ == "Complete" {
        status["completionTime"] = seconds(now).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actors::{
            kinds::NODE,
            kubelet::Kubelet,
            rules::Rules,
            scheduler::Scheduler,
            world::{World, node, s},
        },
        selector::LabelSelector,
    };

    fn world(spec: &Value, annotations: &Value) -> World {
        let every_node = LabelSelector::from_json(&json!({})).unwrap();
        let mut world = World::new()
            .with(Jobs::default())
            .with(Scheduler::default())
            .with(Kubelet::of(every_node, Rules::new(1).jittered(0.0)));
        world.create(NODE, node("a"));
        let template = json!({
            "metadata": {"annotations": annotations},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a"}]},
        });
        let mut spec = spec.clone();
        spec["template"] = template;
        world.create(JOB, json!({"metadata": {"namespace": "shop", "name": "once"}, "spec": spec}));
        world
    }

    #[test]
    fn it_is_complete_when_enough_pods_have_succeeded() {
        let done = json!({"sim.careen.dev/completes-after": "10s"});
        let mut world = world(&json!({"completions": 3, "parallelism": 2}), &done);
        world.run(s(5));
        assert_eq!(world.get(JOB, "shop", "once")["status"]["active"], 2);
        world.run(s(30));
        let job = world.get(JOB, "shop", "once");
        assert!(is_true(job, "Complete") && is_true(job, "SuccessCriteriaMet"));
        assert_eq!((&job["status"]["succeeded"], &job["status"]["active"]), (&json!(3), &Value::Null));
        assert_eq!(world.names(POD).len(), 3, "finished pods stay");
    }

    #[test]
    fn it_fails_when_too_many_pods_have_failed() {
        let fails = json!({"sim.careen.dev/fails-after": "1s"});
        let mut world = world(&json!({"completions": 1, "parallelism": 1, "backoffLimit": 2}), &fails);
        world.run(s(60));
        let job = world.get(JOB, "shop", "once");
        assert_eq!(job["status"]["failed"], 3);
        let reason = &items(&job["status"]["conditions"]).last().unwrap()["reason"];
        assert_eq!(reason, "BackoffLimitExceeded");
    }

    #[test]
    fn a_pod_that_is_evicted_is_made_again() {
        let done = json!({"sim.careen.dev/completes-after": "60s"});
        let mut world = world(&json!({"completions": 1, "parallelism": 1}), &done);
        world.run(s(10));
        let name = world.names(POD)[0].to_owned();
        world.delete(POD, "shop", &name, None);
        world.run(s(120));
        assert!(is_true(world.get(JOB, "shop", "once"), "Complete"));
        assert_eq!(world.get(JOB, "shop", "once")["status"]["failed"], 1);
    }
}
