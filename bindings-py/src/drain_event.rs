//! What a drain in this process tells: how it is doing, whole, each time that something has changed.

use careen_core::{
    controller::DrainReport,
    drain::{DrainPhase, WorkloadProgress, WorkloadState},
    model::{Block, SkipReason, Trouble, Uid, WorkloadKind},
    view::{BlockView, DrainPhaseView, DrainProgressView, WorkloadKindView, WorkloadStateKind},
};
use jiff::Timestamp;
use serde::Serialize;

/// How a drain is doing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainEventView {
    pub(crate) phase: DrainPhaseView,
    pub(crate) progress: DrainProgressView,
    pub(crate) waits_for: Option<BlockView>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) workloads: Vec<DrainWorkloadView>,
}

/// How far a drain has got with one workload.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainWorkloadView {
    pub(crate) kind: WorkloadKindView,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod: String,
    pub(crate) uid: Uid,
    pub(crate) state: WorkloadStateKind,
    pub(crate) skip_reason: Option<SkipReason>,
    pub(crate) terminating_until: Option<Timestamp>,
    pub(crate) migration: Option<String>,
    pub(crate) blocked: Option<BlockView>,
}

impl DrainEventView {
    /// Nothing before the drain has begun.
    pub(crate) fn of(report: &DrainReport) -> Option<Self> {
        let progress = &report.progress;
        let phase = report.phase.as_ref()?;
        Some(Self {
            phase: match phase {
                DrainPhase::Draining => DrainPhaseView::Draining,
                DrainPhase::Waiting(_) => DrainPhaseView::Waiting,
                DrainPhase::Stopped => DrainPhaseView::Cancelled,
                DrainPhase::Drained => DrainPhaseView::Drained,
                DrainPhase::TimedOut => DrainPhaseView::TimedOut,
                DrainPhase::NodeGone => DrainPhaseView::NodeGone,
            },
            progress: DrainProgressView {
                had_to_leave: progress.had_to_leave,
                left: progress.left().count(),
                blocked: progress.blocked().len(),
                percent: progress.percent(),
            },
            waits_for: match phase {
                DrainPhase::Waiting(block) => Some(block_view(block, None)),
                _ => None,
            },
            trouble: report.trouble.clone(),
            workloads: progress.workloads.iter().map(DrainWorkloadView::of).collect(),
        })
    }
}

impl DrainWorkloadView {
    fn of(progress: &WorkloadProgress) -> Self {
        let workload = &progress.workload;
        let (_, key) = workload.kind_and_key();
        let mut view = Self {
            kind: match workload.kind {
                WorkloadKind::Pod => WorkloadKindView::Pod,
                WorkloadKind::VirtualMachineInstance(_) => WorkloadKindView::VirtualMachineInstance,
            },
            namespace: key.namespace,
            name: key.name,
            pod: workload.pod.name.clone(),
            uid: workload.uid.clone(),
            state: WorkloadStateKind::Next,
            skip_reason: None,
            terminating_until: None,
            migration: None,
            blocked: None,
        };
        view.state = match &progress.state {
            WorkloadState::Skipped(reason) => {
                view.skip_reason = Some(*reason);
                WorkloadStateKind::Skipped
            }
            WorkloadState::Next | WorkloadState::Asked => WorkloadStateKind::Next,
            WorkloadState::Terminating { deadline } => {
                view.terminating_until = Some(*deadline);
                WorkloadStateKind::Terminating
            }
            WorkloadState::Migrating { migration } => {
                view.migration.clone_from(migration);
                WorkloadStateKind::Migrating
            }
            WorkloadState::Blocked { block, since } => {
                view.blocked = Some(block_view(block, Some(*since)));
                WorkloadStateKind::Blocked
            }
        };
        view
    }
}

fn block_view(block: &Block, since: Option<Timestamp>) -> BlockView {
    BlockView { class: block.class(), reason: block.reason, message: block.message.clone(), since }
}
