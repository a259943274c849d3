//! The API server with KubeVirt's webhook: answers by the real rules, and fails at times.

use std::time::Duration;

use super::{Event, World, actors::COUNTED_FOR};
use crate::{
    drain::{
        Action, Answer, Evict, Outcome, Seen,
        tests::{NAMESPACE, NODE},
    },
    model::{
        Budget, ObjectKey, Pod, PodPhase, Uid,
        testing::node_name,
        virtual_machine::{EvictionStrategy, LiveMigratable},
    },
    plan::{classify, is_work_left},
};

/// Until then requests may fail.
const FAULTS_UNTIL: u64 = 120_000;

impl World {
    /// A request arrives, and its outcome goes back.
    pub(super) fn answer(&mut self, action: &Action) {
        let fails = self.now < FAULTS_UNTIL && self.chance.percent(self.history.faults);
        let outcome = if fails { self.fail(action) } else { self.serve(action) };
        let wait = self.chance.between(1, 200);
        let was_empty = matches!(outcome, Outcome::Listed(Ok(_))).then(|| self.is_empty());
        self.after(wait, Event::Comes(outcome, was_empty));
    }

    /// Whether in truth nothing is left on the node that has to leave, and nothing is on its way to it.
    fn is_empty(&self) -> bool {
        let options = self.history.options.spec().for_maintenance().unwrap();
        let on_node = node_name(NODE);
        let left = self.truth.pods_on(&on_node).any(|pod| is_work_left(&classify(pod, &self.truth, &options).verdict));
        let arrives = self.truth.migrations().filter(|migration| !migration.is_finished()).any(|migration| {
            let vmi = self.truth.virtual_machine_instance(&ObjectKey::new(NAMESPACE, &migration.vmi_name));
            let state = vmi.and_then(|vmi| vmi.migration_state.as_ref());
            state.is_some_and(|state| {
                state.migration_uid.as_deref() == Some(migration.uid.as_str())
                    && state.target_node.as_deref() == Some(NODE)
            })
        });
        !left && !arrives
    }

    fn fail(&mut self, action: &Action) -> Outcome {
        // What fails may have been carried out all the same.
        let lost = |world: &mut Self, uid: &Uid| {
            if world.chance.percent(50) {
                world.serve(action);
            }
            Outcome::Answered(uid.clone(), Answer::Lost("connection reset".into()))
        };
        match action {
            Action::Evict(Evict { uid, pod, .. }) => match self.chance.between(0, 4) {
                0 => {
                    let wait = Duration::from_secs(self.chance.between(1, 10));
                    Outcome::Answered(uid.clone(), Answer::Overloaded(wait))
                }
                1 => Outcome::Answered(uid.clone(), Answer::Contended("the object has been modified".into())),
                2 if pod.name.starts_with("virt-launcher") => {
                    if self.chance.percent(50) {
                        self.serve(action);
                    }
                    Outcome::Answered(uid.clone(), Answer::WebhookUnavailable("failed calling webhook".into()))
                }
                _ => lost(self, uid),
            },
            Action::DeletePod { uid, .. } | Action::DeleteInstance { uid, .. } => lost(self, uid),
            Action::RecordEvacuations(_) => Outcome::Recorded(Err("conflict".into())),
            Action::CreateMigration { uid, .. } => {
                if self.chance.percent(50) {
                    self.serve(action);
                }
                Outcome::MigrationCreated(uid.clone(), Err("connection reset".into()))
            }
            Action::LookAtPod { uid, .. } => Outcome::LookedAt(uid.clone(), Seen::Unknown),
            Action::ListPods => Outcome::Listed(Err("connection reset".into())),
        }
    }

    /// Carries a request out.
    pub(super) fn serve(&mut self, action: &Action) -> Outcome {
        match action {
            Action::RecordEvacuations(vmis) => {
                self.recorded.extend(vmis.iter().cloned());
                Outcome::Recorded(Ok(vmis.clone()))
            }
            Action::Evict(evict) => Outcome::Answered(evict.uid.clone(), self.evict(evict)),
            Action::DeletePod { pod, uid } => {
                let answer = self.pod(pod, uid).map_or(Answer::Gone, |pod| {
                    self.carried_out(&pod);
                    self.delete(pod);
                    Answer::Accepted
                });
                Outcome::Answered(uid.clone(), answer)
            }
            Action::DeleteInstance { instance, instance_uid, uid } => {
                let vmi = self.vmi(&instance.name).filter(|vmi| vmi.uid == *instance_uid);
                let answer = vmi.map_or(Answer::Gone, |mut vmi| {
                    vmi.deleting = true;
                    if let Some(pod) = self.running_pod(&vmi) {
                        self.delete(pod);
                    }
                    self.put_vmi(vmi);
                    Answer::Accepted
                });
                Outcome::Answered(uid.clone(), answer)
            }
            Action::CreateMigration { instance, uid, attempt } => {
                Outcome::MigrationCreated(uid.clone(), self.create_migration(instance, uid, *attempt))
            }
            Action::LookAtPod { pod, uid, instance } => {
                Outcome::LookedAt(uid.clone(), self.look(pod, uid, instance.as_ref()))
            }
            Action::ListPods => {
                let pods = self.truth.pods_on(&node_name(NODE)).map(|pod| Pod::clone(pod)).collect();
                Outcome::Listed(Ok(pods))
            }
        }
    }

    fn look(&self, pod: &ObjectKey, uid: &Uid, instance: Option<&ObjectKey>) -> Seen {
        let Some(pod) = self.pod(pod, uid) else { return Seen::Gone };
        if pod.deletion.is_some() {
            return Seen::Terminating;
        }
        let Some(instance) = instance else { return Seen::Unchanged };
        match self.vmi(&instance.name) {
            _ if pod.is_finished() => Seen::Gone,
            None => Seen::Unknown,
            Some(vmi) if vmi.evacuation_node == Some(node_name(NODE)) => Seen::Marked,
            Some(_) => Seen::Unchanged,
        }
    }

    fn create_migration(&mut self, instance: &ObjectKey, uid: &Uid, attempt: u32) -> Result<(), String> {
        let name = format!("careen-{uid}-{attempt}");
        let vmi = self.vmi(&instance.name).ok_or("the VMI does not exist")?;
        if self.truth.migrations_of(instance).any(|migration| migration.key.name == name) {
            return Ok(());
        }
        if vmi.live_migratable != LiveMigratable::Yes {
            return Err("Cannot migrate VMI".into());
        }
        if self.truth.unfinished_migration_of(instance).is_some() {
            return Err("in-flight migration detected".into());
        }
        let mut made = self.new_migration(&instance.name).made_by("m");
        made.key.name = name;
        self.put_migration(made);
        Ok(())
    }

    fn carried_out(&mut self, pod: &Pod) {
        *self.accepted.entry(pod.uid.clone()).or_default() += 1;
    }

    fn evict(&mut self, evict: &Evict) -> Answer {
        let Some(pod) = self.truth.pod(&evict.pod).map(|pod| Pod::clone(pod)) else { return Answer::Gone };
        if let Some(answer) = self.webhook(&pod) {
            return answer;
        }
        if pod.uid != evict.uid {
            return Answer::Gone;
        }
        if evict.resource_version.as_ref().is_some_and(|version| *version != pod.resource_version) {
            return Answer::Contended("the ResourceVersion in the precondition does not match".into());
        }
        let is_free = pod.deletion.is_some() || pod.is_finished() || pod.phase == PodPhase::Pending;
        let mut covering = self.truth.budgets_covering(&pod).map(|budget| Budget::clone(budget)).collect::<Vec<_>>();
        if !is_free && covering.len() > 1 {
            return Answer::SeveralBudgets("more than one PodDisruptionBudget".into());
        }
        if let Some(mut budget) = covering.pop().filter(|_| !is_free) {
            let may_go_unready = budget.desired_healthy > 0 && budget.current_healthy >= budget.desired_healthy;
            if pod.ready || !may_go_unready {
                if budget.disruptions_allowed <= 0 {
                    let (needs, has) = (budget.desired_healthy, budget.current_healthy);
                    return Answer::BudgetRefused(format!("{} needs {needs} healthy pods and has {has}", budget.key));
                }
                budget.disruptions_allowed -= 1;
                budget.disrupted_pods.push(pod.key.name.clone());
                self.counted.insert(pod.key.name.clone(), self.now);
                self.after(COUNTED_FOR, Event::Budgets);
                self.put_budget(budget);
            }
        }
        self.carried_out(&pod);
        self.delete(pod);
        Answer::Accepted
    }

    /// KubeVirt's webhook: `None` lets the eviction pass.
    fn webhook(&mut self, pod: &Pod) -> Option<Answer> {
        if !pod.key.name.starts_with("virt-launcher") || pod.is_finished() {
            return None;
        }
        let name = pod.annotations.get(Pod::DOMAIN_ANNOTATION)?.clone();
        let Some(mut vmi) = self.vmi(&name) else {
            return Some(Answer::InstanceMissing(format!("{name} not found")));
        };
        let can = vmi.live_migratable == LiveMigratable::Yes;
        match vmi.eviction_strategy {
            Some(EvictionStrategy::LiveMigrate) if !can => {
                return Some(Answer::NotLiveMigratable("is not live-migratable".into()));
            }
            Some(EvictionStrategy::LiveMigrateIfPossible) if !can => return None,
            Some(EvictionStrategy::None) | None => return None,
            _ => {}
        }
        if vmi.evacuation_node.is_some() {
            return Some(Answer::EvacuationUnderWay);
        }
        if vmi.node != pod.node {
            return Some(Answer::MigrationTarget);
        }
        vmi.evacuation_node.clone_from(&vmi.node);
        self.carried_out(pod);
        self.put_vmi(vmi);
        Some(Answer::EvacuationStarted)
    }
}
