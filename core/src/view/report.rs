//! What has come of a maintenance, as people see it.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    duration::GoDuration,
    model::{Moved, NodeMaintenance, Stopped},
};

/// What has come of a maintenance.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Report")]
pub struct ReportView {
    /// When it was accepted.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started_at: Option<Timestamp>,
    /// When the node was first drained.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub drained_at: Option<Timestamp>,
    /// When the node was restored, if it was.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub ended_at: Option<Timestamp>,
    /// From the start until the node was drained.
    pub drained_after: Option<GoDuration>,
    /// From the start to the end.
    pub ended_after: Option<GoDuration>,
    /// How many pods had to leave.
    pub eviction_pods: Option<i32>,
    /// The VMs that have moved, and run on.
    pub moved: Vec<Moved>,
    /// The VMs that were stopped.
    pub stopped: Vec<Stopped>,
}

impl ReportView {
    /// What is known of it now; `ended_at` says when its node was restored.
    #[must_use]
    pub fn of(object: &NodeMaintenance, ended_at: Option<Timestamp>) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let report = status.report.unwrap_or_default();
        let since_start = |time: Option<Timestamp>| {
            let passed = time?.duration_since(status.started_at?);
            Some(GoDuration::from(Duration::try_from(passed).unwrap_or_default()))
        };
        Self {
            started_at: status.started_at,
            drained_at: status.drained_at,
            ended_at,
            drained_after: since_start(status.drained_at),
            ended_after: since_start(ended_at),
            eviction_pods: status.eviction_pods,
            moved: report.moved,
            stopped: report.stopped,
        }
    }
}
