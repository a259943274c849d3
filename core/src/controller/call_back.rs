//! What is told to others about a maintenance, and who delivers it.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{
    maintenance::{Notice, NoticeEvent},
    model::NodeMaintenance,
    view::{MaintenanceView, ReportView},
};

/// One notice, with what is known of its maintenance.
#[derive(Clone, Debug, PartialEq)]
pub struct CallBack {
    /// The same for each repeat, and from each leader; no two notices of any maintenance share one.
    pub id: String,
    /// What happened.
    pub notice: Notice,
    /// The maintenance as it is when this is delivered.
    pub maintenance: MaintenanceView,
    /// What has come of it, where there is something to report.
    pub report: Option<ReportView>,
}

impl CallBack {
    /// That notice of that maintenance.
    #[must_use]
    pub fn of(object: &NodeMaintenance, notice: &Notice) -> Self {
        let report = match notice.event {
            NoticeEvent::Accepted | NoticeEvent::Stuck | NoticeEvent::Failed => None,
            NoticeEvent::Drained => Some(ReportView::of(object, None)),
            NoticeEvent::Ended => Some(ReportView::of(object, Some(notice.time))),
        };
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        let id = format!("{uid}.{}", notice.number);
        Self { id, notice: notice.clone(), maintenance: MaintenanceView::from(object), report }
    }
}

/// Somebody who delivers what is told. Each call is one attempt; it is given up after
/// [`super::courier::ANSWER_WITHIN`].
pub trait Deliver: Send + Sync {
    /// Delivers it, or says why not. The sentence is logged: it holds nothing secret.
    fn deliver(&self, call_back: CallBack) -> BoxFuture<'_, Result<(), Undelivered>>;
}

/// Shared by all that tell.
pub type Delivery = Arc<dyn Deliver>;

/// Why something was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The receiver answers, but does not take it.
    #[error("the receiver answers {0}")]
    Answered(u16),
    /// There is no connection to the receiver.
    #[error("the receiver cannot be reached: {0}")]
    Unreachable(String),
    /// No answer came in time.
    #[error("the receiver does not answer within {0} s")]
    TimedOut(u64),
    /// It cannot be put into words: a fault of ours.
    #[error("the call-back cannot be written: {0}")]
    Unwritable(String),
}
