//! Kubernetes Events for what an operator wants to see. The first five have the names and words that
//! node-maintenance-operator has always used.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::{Node, ObjectReference};
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{
    model::{self, NodeMaintenance, NodeName},
    names::FIELD_MANAGER,
};

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A maintenance was accepted and begins.
    BeginMaintenance,
    /// The node is drained.
    SucceedMaintenance,
    /// The maintenance was not accepted, or ran out of time.
    FailedMaintenance(String),
    /// The maintenance has ended and the node is as it was.
    RemovedMaintenance,
    /// The node takes pods again.
    UncordonNode,
    /// Workloads wait for a change that only somebody can make.
    Stuck(String),
    /// Nothing waits for somebody's change any more.
    NoLongerStuck,
    /// The node had been uncordoned, or its taint or record removed, during its maintenance.
    NodeTakenOutAgain(String),
    /// A record on a node is reported and not obeyed.
    RecordRejected(String),
    /// Why a node whose maintenance was removed by force is not restored yet.
    NotRestoredYet(String),
    /// Why a drain whose order cannot be read has not begun yet.
    NotBegunYet(String),
    /// Why a drain whose order was deleted has not ended yet.
    NotEndedYet(String),
    /// What could not be taken back when a maintenance was stopped.
    LeftBehind(String),
}

impl News {
    /// Its type, its reason, and what it says.
    fn words(&self) -> (EventType, &'static str, String) {
        let (type_, reason, note) = match self {
            Self::BeginMaintenance => (EventType::Normal, "BeginMaintenance", "Begin a node maintenance".to_owned()),
            Self::SucceedMaintenance => {
                (EventType::Normal, "SucceedMaintenance", "Node maintenance was succeeded".to_owned())
            }
            Self::FailedMaintenance(why) => {
                (EventType::Warning, "FailedMaintenance", format!("Failed a node maintenance: {why}"))
            }
            Self::RemovedMaintenance => {
                (EventType::Normal, "RemovedMaintenance", "Removed a node maintenance".to_owned())
            }
            Self::UncordonNode => (EventType::Normal, "UncordonNode", "Uncordon a node".to_owned()),
            Self::Stuck(what) => (EventType::Warning, "Stuck", what.clone()),
            Self::NoLongerStuck => (EventType::Normal, "NoLongerStuck", "No workload needs help any more".to_owned()),
            Self::NodeTakenOutAgain(what) => (EventType::Warning, "NodeTakenOutAgain", what.clone()),
            Self::RecordRejected(why) => (EventType::Warning, "RecordRejected", why.clone()),
            Self::NotRestoredYet(why) => (EventType::Warning, "NotRestoredYet", why.clone()),
            Self::NotBegunYet(why) => (EventType::Warning, "NotBegunYet", why.clone()),
            Self::NotEndedYet(why) => (EventType::Warning, "NotEndedYet", why.clone()),
            Self::LeftBehind(what) => (EventType::Warning, "LeftBehind", what.clone()),
        };
        // The API server takes at most 1 kB of note: of bytes, not of characters.
        let fits = note.char_indices().take_while(|(at, character)| at + character.len_utf8() <= 1000);
        (type_, reason, fits.map(|(_, character)| character).collect())
    }
}

/// So many Events are remembered, each for its object and reason: with 2 kB for each, 2 MB. When there are more they
/// are forgotten, and the same sentence makes an Event of its own once more.
const MOST_REMEMBERED: usize = 1000;

/// Publishes news, in the background: an Event that is lost hurts nobody.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    reporter: Reporter,
    last: Arc<Mutex<BTreeMap<About, Said>>>,
}

/// Kind and UID of an object, and the reason.
type About = (String, String, &'static str);

/// What an Event said last.
struct Said {
    note: String,
    /// It counts what is said again within its time, but not by the note: of another sentence it would count the first.
    recorder: Recorder,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Publishes as that replica.
    #[must_use]
    pub fn new(client: Client, identity: String) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity) };
        Self { client, reporter, last: Arc::default() }
    }

    /// News of a maintenance.
    pub fn of_maintenance(&self, maintenance: &NodeMaintenance, news: News) {
        self.publish(maintenance.object_ref(&()), news);
    }

    /// News of a node.
    pub fn of_node(&self, node: &model::Node, news: News) {
        self.publish(node_reference(&node.name, Some(node.uid.0.clone())), news);
    }

    fn publish(&self, about: ObjectReference, news: News) {
        tracing::info!(kind = about.kind, name = about.name, ?news, "news");
        let (type_, reason, note) = news.words();
        let recorder = self.recorder(&about, reason, &note);
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Maintenance".to_owned(),
            secondary: None,
        };
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &about).await {
                tracing::warn!(%error, ?news, "an Event could not be published");
            }
        });
    }

    /// The one that counts that sentence: a new one for each other sentence.
    fn recorder(&self, about: &ObjectReference, reason: &'static str, note: &str) -> Recorder {
        let key = (about.kind.clone().unwrap_or_default(), about.uid.clone().unwrap_or_default(), reason);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = last.get(&key).filter(|said| said.note == note) {
            return said.recorder.clone();
        }
        if last.len() >= MOST_REMEMBERED {
            last.clear();
        }
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        last.insert(key, Said { note: note.to_owned(), recorder: recorder.clone() });
        recorder
    }
}

fn node_reference(name: &NodeName, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(Node::api_version(&()).into_owned()),
        kind: Some(Node::kind(&()).into_owned()),
        name: Some(name.to_string()),
        uid,
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_no_more_bytes_than_the_api_server_takes() {
        let (_, _, note) = News::Stuck("é".repeat(1000)).words();
        assert_eq!(note.len(), 1000);
    }
}
