//! What somebody is to be told about a maintenance, and what has become of the VMs of its node. Both are kept in its
//! status, so that neither a restart nor another leader loses or repeats anything.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NodeName;
use crate::schema::without_description;

/// So many notices may wait to be delivered. One is given up after an hour, so more come only from a maintenance that
/// gets stuck and free again every few minutes, while nobody listens.
const MOST_WAITING: usize = 20;
/// That it is stuck is not said again before, if that was said last.
const SAID_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The notices of a maintenance: noted in the write that made them true, delivered one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notices {
    /// The last ones, by number. Delivered ones go when another is noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last: Vec<Notice>,
    /// The number up to which they were delivered, or given up.
    #[serde(default)]
    pub delivered: i64,
}

/// One thing that somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The first of a maintenance is 1.
    pub number: i64,
    /// What happened.
    pub event: NoticeEvent,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// Why, by its name in the vocabulary.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// What can happen to a maintenance that somebody wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum NoticeEvent {
    /// It was accepted: its node goes out of service.
    Accepted,
    /// Nothing is left on the node that had to leave.
    Drained,
    /// A workload waits for a change that only somebody can make.
    Stuck,
    /// It was not accepted, or its time was over.
    Failed,
    /// It has ended, and the node is restored.
    Ended,
}

impl NoticeEvent {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Drained => "Drained",
            Self::Stuck => "Stuck",
            Self::Failed => "Failed",
            Self::Ended => "Ended",
        }
    }
}

impl Notices {
    /// Notes one more, unless it is stuck as it was said last: an eviction that is tried again and comes to the same is
    /// no news for an hour. Those that were delivered go; of those that wait, the oldest go where they are too many.
    pub fn note(&mut self, event: NoticeEvent, reason: &str, message: &str, time: Timestamp) {
        let is_the_same = |last: &&Notice| last.event == event && last.reason == reason && last.message == message;
        let said = self.last.last().filter(|_| event == NoticeEvent::Stuck).filter(is_the_same);
        if said.is_some_and(|last| time.duration_since(last.time) < SAID_AGAIN_AFTER) {
            return;
        }
        let number = self.last.last().map_or(self.delivered, |last| last.number.max(self.delivered)).saturating_add(1);
        let (reason, message) = (reason.to_owned(), message.to_owned());
        self.last.retain(|notice| notice.number > self.delivered);
        self.last.push(Notice { number, event, time, reason, message });
        let too_many = self.last.len().saturating_sub(MOST_WAITING);
        self.last.drain(..too_many);
    }

    /// Those that wait, in their order; `delivered` may know more than is written here.
    pub fn waiting(&self, delivered: i64) -> impl Iterator<Item = &Notice> {
        let delivered = delivered.max(self.delivered);
        self.last.iter().filter(move |notice| notice.number > delivered)
    }

    /// The notice of the end, once it is noted.
    #[must_use]
    pub fn ended(&self) -> Option<&Notice> {
        self.last.iter().find(|notice| notice.event == NoticeEvent::Ended)
    }
}

/// What has become of the VMs that had to leave a node: the first five hundred of each kind (a node of OpenShift's
/// takes 500 pods at most; with 100 bytes for each the object stays far below etcd's 1.5 MB).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Those that have moved, and run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
    /// Those that were stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<Stopped>,
}

/// A VM that has moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where to.
    pub to: NodeName,
}

/// A VM that was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::at;

    fn numbers(notices: &Notices) -> Vec<i64> {
        notices.last.iter().map(|notice| notice.number).collect()
    }

    #[test]
    fn delivered_notices_go_when_another_is_noted_and_no_number_is_given_twice() {
        let mut notices = Notices::default();
        notices.note(NoticeEvent::Accepted, "Accepted", "…", at(0));
        notices.note(NoticeEvent::Stuck, "NotMigratable", "…", at(1));
        assert_eq!(numbers(&notices), [1, 2]);
        notices.delivered = 2;
        assert_eq!(notices.waiting(0).count(), 0);
        notices.note(NoticeEvent::Drained, "Drained", "…", at(2));
        assert_eq!(numbers(&notices), [3]);
        // Who notes may not know yet what was delivered meanwhile.
        let mut behind = Notices { delivered: 0, ..notices.clone() };
        behind.note(NoticeEvent::Ended, "Ended", "…", at(3));
        assert_eq!((numbers(&behind), behind.ended().map(|notice| notice.number)), (vec![3, 4], Some(4)));
        assert_eq!(behind.waiting(3).map(|notice| notice.number).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn what_comes_to_the_same_is_said_again_after_an_hour_only() {
        let mut notices = Notices::default();
        for second in [0, 10, 3599, 3600, 3700] {
            notices.note(NoticeEvent::Stuck, "Forbidden", "…", at(second));
        }
        assert_eq!(numbers(&notices), [1, 2]);
    }

    #[test]
    fn of_too_many_notices_the_oldest_go() {
        let mut notices = Notices::default();
        for second in 0..50 {
            notices.note(NoticeEvent::Stuck, "NotMigratable", &second.to_string(), at(second));
        }
        assert_eq!(numbers(&notices), (31..=50).collect::<Vec<_>>());
    }
}
