//! What the machine asks its driver to do, and what the driver tells it afterwards.

use super::Answer;
use crate::model::{ObjectKey, Pod, Uid};

/// One thing to do. Each is about one object of one UID, so that a late one cannot hurt another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write these VMIs into the node's record, before their evictions are sent.
    RecordEvacuations(Vec<Uid>),
    /// Evict a pod.
    Evict(Evict),
    /// Delete a pod, with its own termination grace.
    DeletePod {
        /// The pod.
        pod: ObjectKey,
        /// Its UID: the precondition.
        uid: Uid,
    },
    /// Delete a VMI, with its own termination grace.
    DeleteInstance {
        /// The VMI.
        instance: ObjectKey,
        /// Its UID: the precondition.
        instance_uid: Uid,
        /// UID of its launcher pod here.
        uid: Uid,
    },
    /// Make a live migration.
    CreateMigration {
        /// The VMI.
        instance: ObjectKey,
        /// UID of its launcher pod here.
        uid: Uid,
        /// How many such migrations of it have failed; part of the name, so that a repeat makes no second one.
        attempt: u32,
    },
    /// Ask the API server what became of a pod after an answer was lost.
    LookAtPod {
        /// The pod.
        pod: ObjectKey,
        /// Its UID.
        uid: Uid,
        /// The VMI, for a launcher pod: it may have been marked.
        instance: Option<ObjectKey>,
    },
    /// Ask the API server which pods are on the node: the last look before `Drained` is said.
    ListPods,
}

/// An eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evict {
    /// The pod.
    pub pod: ObjectKey,
    /// Its UID: a precondition.
    pub uid: Uid,
    /// For launcher pods their resourceVersion, a second precondition: KubeVirt's webhook acts before the UID is looked
    /// at.
    pub resource_version: Option<String>,
    /// Whether it is the pod that this program runs in.
    pub is_own_pod: bool,
}

/// What became of an action, or of the world meanwhile.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Of [`Action::RecordEvacuations`]: whether they are written.
    Recorded(Result<Vec<Uid>, String>),
    /// Of an eviction or a deletion of the pod with that UID.
    Answered(Uid, Answer),
    /// Of [`Action::CreateMigration`] for the launcher pod with that UID: whether there is one now.
    MigrationCreated(Uid, Result<(), String>),
    /// Of [`Action::LookAtPod`].
    LookedAt(Uid, Seen),
    /// Of [`Action::ListPods`].
    Listed(Result<Vec<Pod>, String>),
}

/// What a look at a pod after a lost answer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has gone, or another has its name; a launcher pod also when it has ended, which is the end of its move.
    Gone,
    /// It terminates.
    Terminating,
    /// KubeVirt has marked its VM.
    Marked,
    /// Nothing has happened to it.
    Unchanged,
    /// The look failed as well.
    Unknown,
}
