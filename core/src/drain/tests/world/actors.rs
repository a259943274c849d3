//! The kubelet, the controllers that make replacements, and the budgets' controller.

use super::{
    Event, Millis, World,
    history::{Disturbance, OTHER_NODE},
};
use crate::{
    drain::tests::{NODE, second},
    model::{
        Budget, Pod,
        testing::{node, pod},
    },
};

/// So long Kubernetes waits for a pod whose eviction was counted to terminate.
pub(super) const COUNTED_FOR: Millis = 120_000;

impl World {
    /// Carries an event of the world itself out.
    pub(in crate::drain::tests) fn happens(&mut self, event: Event) {
        match event {
            Event::Seen(show) => show(&mut self.seen),
            Event::Arrives(action) => self.answer(&action),
            Event::Ends(key, uid) => {
                if let Some(pod) = self.pod(&key, &uid) {
                    self.ended(&pod);
                }
            }
            Event::Ready(key, uid) => {
                if let Some(mut pod) = self.pod(&key, &uid).filter(|pod| pod.deletion.is_none()) {
                    pod.ready = true;
                    self.put_pod(pod);
                }
            }
            Event::Makes(pod) => {
                let wait = self.chance.between(300, 20_000);
                self.after(wait, Event::Ready(pod.key.clone(), pod.uid.clone()));
                self.put_pod(*pod);
            }
            Event::Budgets => {
                self.budgets_due = false;
                self.work_budgets_out();
            }
            Event::KubeVirt => {
                self.kubevirt_due = false;
                self.kubevirt();
            }
            Event::Migrates(key) => self.migrates(&key),
            Event::Starts(key) => self.starts(&key),
            Event::Restarts(name) => self.restarts(&name),
            Event::Recovers => self.put(super::Kind::Node, node(NODE).cordoned()),
            Event::Happens(Disturbance::LatePod) => {
                let count = self.count;
                self.put_pod(pod("shop", &format!("late{count}")).owned_by("ReplicaSet", "late").on(NODE));
            }
            Event::Happens(disturbance) => self.disturbed(disturbance),
            Event::Comes(..) => unreachable!("the machine takes these"),
        }
    }

    /// A pod's deletion begins; its containers end within its grace.
    pub(super) fn delete(&mut self, mut pod: Pod) {
        if pod.deletion.is_some() {
            return;
        }
        if pod.is_finished() {
            self.take_pod(&pod);
            return;
        }
        let grace = self.chance.between(0, 30_000);
        #[allow(clippy::cast_precision_loss, reason = "virtual times are small")]
        let deadline = second((self.now + 30_000) as f64 / 1000.0);
        pod = pod.terminating(deadline);
        self.after(grace, Event::Ends(pod.key.clone(), pod.uid.clone()));
        let owner = pod.controller().map_or("", |owner| owner.kind.as_str());
        if owner == "ReplicaSet" {
            self.replace(&pod, &format!("{}x", pod.key.name));
        }
        self.put_pod(pod);
    }

    fn ended(&mut self, pod: &Pod) {
        self.take_pod(pod);
        if pod.controller().is_some_and(|owner| owner.kind == "StatefulSet") {
            self.replace(pod, &pod.key.name);
        }
        self.launcher_ended(pod);
    }

    fn replace(&mut self, gone: &Pod, name: &str) {
        let count = self.count;
        let mut next = gone.clone().named(name).with_uid(&format!("{}-{count}", gone.uid)).on(OTHER_NODE).unready();
        next.deletion = None;
        let wait = self.chance.between(1, 500);
        self.after(wait, Event::Makes(Box::new(next)));
    }

    pub(super) fn work_budgets_out(&mut self) {
        let namespaces: Vec<_> = (0..self.history.budgets.len()).map(|index| format!("budget{index}")).collect();
        for name in namespaces {
            let key = crate::model::ObjectKey::new("shop", name);
            let Some(budget) = self.truth.budget(&key).map(|budget| Budget::clone(budget)) else { continue };
            let mut next = budget.clone();
            let pods: Vec<&Pod> = self.truth.pods().map(AsRef::as_ref).filter(|pod| budget.covers(pod)).collect();
            // By name: one that is made again under its name counts as the old one, for a while.
            next.disrupted_pods.retain(|name| {
                let counted = self.counted.get(name).is_some_and(|at| at + COUNTED_FOR > self.now);
                counted && pods.iter().any(|pod| pod.key.name == *name && pod.deletion.is_none() && !pod.is_finished())
            });
            let healthy = pods
                .iter()
                .filter(|pod| pod.ready && pod.deletion.is_none() && !next.disrupted_pods.contains(&pod.key.name));
            next.current_healthy = i32::try_from(healthy.count()).unwrap();
            next.disruptions_allowed = (next.current_healthy - next.desired_healthy).max(0);
            let same = next.disrupted_pods == budget.disrupted_pods
                && next.current_healthy == budget.current_healthy
                && next.disruptions_allowed == budget.disruptions_allowed;
            if !same {
                self.put_budget(next);
            }
        }
    }
}
