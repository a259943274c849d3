//! What an actor decides.

use jiff::Timestamp;
use serde_json::Value;

use super::view::{Key, Kind, View};

/// One of those who make a cluster live. It is asked again whenever something has changed and when it wanted to be.
pub trait Actor: Send {
    /// As its requests name it (field manager, user agent): `kubelet`.
    fn name(&self) -> &'static str;

    /// The kinds that it looks at.
    fn watches(&self) -> Vec<Kind>;

    /// What is to be done now. Level-triggered: what it sees is what it decides on; a write that failed is asked for again
    /// by what is still to be seen. What it remembers itself is only what no object says (since when it has seen something).
    fn act(&mut self, view: &View, now: Timestamp, random: &mut fastrand::Rng) -> Turn;
}

impl<T: Actor + ?Sized> Actor for Box<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn watches(&self) -> Vec<Kind> {
        (**self).watches()
    }

    fn act(&mut self, view: &View, now: Timestamp, random: &mut fastrand::Rng) -> Turn {
        (**self).act(view, now, random)
    }
}

/// What an actor decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// To be carried out in this order.
    pub writes: Vec<Write>,
    /// When to ask it again, if nothing changes before.
    pub again_at: Option<Timestamp>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// `POST`.
    Create {
        /// Of that kind.
        kind: Kind,
        /// With name or generateName, and namespace.
        object: Value,
    },
    /// `PATCH`, as a JSON merge patch. With `metadata.resourceVersion` or `metadata.uid` in it, these are preconditions.
    Patch {
        /// Of that kind.
        kind: Kind,
        /// That object.
        key: Key,
        /// `status`, `scale`; none for the object itself.
        subresource: Option<&'static str>,
        /// The merge patch.
        patch: Value,
    },
    /// `DELETE`.
    Delete {
        /// Of that kind.
        kind: Kind,
        /// That object.
        key: Key,
        /// Only the one with this UID.
        uid: String,
        /// Else the object's own grace.
        grace_seconds: Option<u32>,
    },
    /// `DELETE`, if none of the owners is there when the API server is asked: each kind has a watch of its own, so that an
    /// owner may not have been seen yet.
    Collect {
        /// Of that kind.
        kind: Kind,
        /// That object.
        key: Key,
        /// Only the one with this UID.
        uid: String,
        /// Those that were not seen: kind, name and UID.
        owners: Vec<(Kind, Key, String)>,
    },
    /// `POST` to a subresource: `binding`, `eviction`.
    Post {
        /// Of that kind.
        kind: Kind,
        /// That object.
        key: Key,
        /// `binding`.
        subresource: &'static str,
        /// What is sent.
        body: Value,
    },
}

impl Turn {
    /// To be asked again at that time, or earlier if another time was named already.
    pub fn look_again(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at, |earlier| earlier.min(at)));
    }
}
