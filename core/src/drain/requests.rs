//! Carries out what the machine asks for: one request each, with a time-out.

use std::sync::Arc;

use k8s_openapi::{
    api::{core::v1, policy::v1::Eviction},
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions as ObjectPreconditions},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions},
};

use super::{Action, Answer, Evict, Outcome, Seen};
use crate::{
    answer::REQUEST_TIMEOUT,
    cluster::Cluster,
    metrics::AnswerLabels,
    migration::{self, RequestError, Requester},
    model::{NodeName, ObjectKey, Pod, Uid},
    node::{self, Actor, Record, RecordReading},
};

/// Asked before this program's own pod is evicted: whether another replica takes over and evicts it. `true`: it does.
pub type HandOver = Arc<dyn Fn() -> bool + Send + Sync>;

/// Who sends requests, for which node and in whose name.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) cluster: Cluster,
    pub(super) node: NodeName,
    pub(super) actor: Actor,
    pub(super) hand_over: HandOver,
}

impl Requests {
    /// Carries an action out.
    pub(super) async fn perform(self, action: Action) -> Outcome {
        match action {
            Action::RecordEvacuations(vmis) => Outcome::Recorded(self.record(vmis).await),
            Action::Evict(evict) => {
                let uid = evict.uid.clone();
                Outcome::Answered(uid, self.evict(evict).await)
            }
            Action::DeletePod { pod, uid } => {
                let answer = self.delete_pod(&pod, &uid).await;
                Outcome::Answered(uid, answer)
            }
            Action::DeleteInstance { instance, instance_uid, uid } => {
                let outcome = migration::delete_instance(self.client(), &instance, &instance_uid).await;
                tracing::info!(node = %self.node, vmi = %instance, ?outcome, "deleted the VMI");
                Outcome::Answered(uid, answer_of(outcome))
            }
            Action::CreateMigration { instance, uid, attempt } => {
                let outcome = self.create_migration(&instance, &uid, attempt).await;
                Outcome::MigrationCreated(uid, outcome)
            }
            Action::LookAtPod { pod, uid, instance } => {
                let seen = self.look(&pod, &uid, instance.as_ref()).await;
                Outcome::LookedAt(uid, seen)
            }
            Action::ListPods => Outcome::Listed(self.list().await),
        }
    }

    fn client(&self) -> &Client {
        self.cluster.client()
    }

    fn pods(&self, namespace: &str) -> Api<v1::Pod> {
        Api::namespaced(self.client().clone(), namespace)
    }

    async fn evict(&self, evict: Evict) -> Answer {
        if evict.is_own_pod && (self.hand_over)() {
            return Answer::Lost("leadership is handed over to another replica, which evicts this pod".to_owned());
        }
        let Evict { pod, uid, resource_version, .. } = evict;
        // Not `Api::evict`: it writes the options under a name that the API server drops, and the preconditions with
        // them.
        let body = Eviction {
            metadata: ObjectMeta {
                name: Some(pod.name.clone()),
                namespace: Some(pod.namespace.clone()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                preconditions: Some(ObjectPreconditions { uid: Some(uid.0), resource_version }),
                ..DeleteOptions::default()
            }),
        };
        let api = self.pods(&pod.namespace);
        let params = PostParams::default();
        let request = api.create_subresource::<_, serde_json::Value>("eviction", &pod.name, &params, &body);
        let answer = in_time(request).await.map_or_else(|lost| lost, |answer| Answer::of(&answer));
        self.cluster.metrics().evictions.get_or_create(&AnswerLabels { answer: answer.name() }).inc();
        tracing::info!(node = %self.node, %pod, answer = ?answer, "evicted");
        answer
    }

    async fn delete_pod(&self, pod: &ObjectKey, uid: &Uid) -> Answer {
        let preconditions = Preconditions { uid: Some(uid.0.clone()), resource_version: None };
        let params = DeleteParams::default().preconditions(preconditions);
        let api = self.pods(&pod.namespace);
        let answer = in_time(api.delete(&pod.name, &params)).await;
        let answer = answer.map_or_else(|lost| lost, |answer| Answer::of(&answer));
        tracing::info!(node = %self.node, %pod, answer = ?answer, "deleted");
        answer
    }

    async fn create_migration(&self, instance: &ObjectKey, pod: &Uid, attempt: u32) -> Result<(), String> {
        // Named by what it is for: a repeat after a lost answer, also by the next leader, makes no second one.
        let name = format!("careen-{pod}-{attempt}");
        let requester = Requester::Actor { uid: &self.actor.uid, name: &name };
        let outcome = migration::create_migration(self.client(), instance, requester).await;
        tracing::info!(node = %self.node, vmi = %instance, ?outcome, "asked for a migration");
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn look(&self, pod: &ObjectKey, uid: &Uid, instance: Option<&ObjectKey>) -> Seen {
        let api = self.pods(&pod.namespace);
        let found = match in_time(api.get_opt(&pod.name)).await {
            Ok(Ok(found)) => found.map(Pod::from).filter(|found| found.uid == *uid),
            Ok(Err(_)) | Err(_) => return Seen::Unknown,
        };
        let Some(found) = found else { return Seen::Gone };
        if found.deletion.is_some() {
            return Seen::Terminating;
        }
        let Some(instance) = instance else { return Seen::Unchanged };
        // Its VM has moved, and the pod stays behind.
        if found.is_finished() {
            return Seen::Gone;
        }
        match migration::get_instance(self.client(), instance).await {
            Ok(Some(vmi)) if vmi.evacuation_node.as_ref() == Some(&self.node) => Seen::Marked,
            Ok(_) => Seen::Unchanged,
            Err(_) => Seen::Unknown,
        }
    }

    /// A live list: without a resourceVersion the API server answers from the newest state.
    async fn list(&self) -> Result<Vec<Pod>, String> {
        let api = Api::<v1::Pod>::all(self.client().clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        match in_time(api.list(&params)).await {
            Ok(Ok(pods)) => Ok(pods.items.into_iter().map(Pod::from).collect()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(lost) => Err(format!("{lost:?}")),
        }
    }

    /// Adds the VMIs to the record on the node, which this actor must have written.
    async fn record(&self, vmis: Vec<Uid>) -> Result<Vec<Uid>, String> {
        let snapshot = self.cluster.snapshot();
        let node = snapshot.node(&self.node).ok_or("the node has gone")?;
        let with_vmis = |node: &crate::model::Node| match Record::read(node) {
            RecordReading::Present(mut record) if record.actor == self.actor && record.node_uid == node.uid => {
                let new = vmis.iter().filter(|vmi| !record.evacuations.contains(vmi)).cloned().collect::<Vec<_>>();
                record.evacuations.extend(new);
                Some(record)
            }
            _ => None,
        };
        // The watch may not show yet that we have taken the node.
        let node = &match with_vmis(node) {
            Some(_) => crate::model::Node::clone(node),
            None => node::read(self.client(), node).await.map_err(|error| error.to_string())?,
        };
        let changed = node::change(self.client(), node, |node| {
            Ok(with_vmis(node).and_then(|record| node::write_record(node, &record)))
        });
        let changed = changed.await.map_err(|error| error.to_string())?;
        let now = changed.as_ref().unwrap_or(node);
        match Record::read(now) {
            RecordReading::Present(record) if vmis.iter().all(|vmi| record.evacuations.contains(vmi)) => Ok(vmis),
            _ => Err("the node does not carry this maintenance's record at the moment".to_owned()),
        }
    }
}

fn answer_of(outcome: Result<migration::Outcome, RequestError>) -> Answer {
    match outcome {
        Ok(migration::Outcome::Gone) => Answer::Gone,
        Ok(_) => Answer::Accepted,
        Err(error @ RequestError::Forbidden { .. }) => Answer::Forbidden(error.to_string()),
        Err(error) if error.is_worth_repeating() => Answer::Lost(error.to_string()),
        Err(error) => Answer::Rejected(error.to_string()),
    }
}

async fn in_time<T>(request: impl Future<Output = T>) -> Result<T, Answer> {
    let outcome = tokio::time::timeout(REQUEST_TIMEOUT, request).await;
    outcome.map_err(|_| Answer::Lost(format!("no answer in {} s", REQUEST_TIMEOUT.as_secs())))
}
