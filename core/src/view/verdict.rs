//! What becomes of a workload, and what is in its way, as people see it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Block, BlockClass, BlockReason, MigrateBy, Restarts, ShutDownBy, SkipReason, Verdict};

/// What becomes of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Verdict")]
pub struct VerdictView {
    /// In a word.
    pub verdict: VerdictKind,
    /// Why it stays, where it does.
    pub skip_reason: Option<SkipReason>,
    /// Who migrates it, where it migrates.
    pub migrate_by: Option<MigrateBy>,
    /// How it is shut down, where it is.
    pub shut_down_by: Option<ShutDownBy>,
    /// Whether it starts again by itself, where it is shut down.
    pub restarts: Option<bool>,
    /// Why it does not, or not surely.
    pub will_not_restart_because: Option<String>,
    /// What is in its way, where something is.
    pub block: Option<BlockView>,
}

/// What becomes of a workload, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum VerdictKind {
    /// It stays, and is no work left.
    Skip,
    /// It is evicted, and its controller starts another elsewhere.
    Evict,
    /// It has ended; what is left of it is deleted.
    Delete,
    /// It moves live.
    Migrate,
    /// The VM is shut down.
    ShutDown,
    /// It cannot go as things are.
    Blocked,
}

/// What is in a workload's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Block")]
pub struct BlockView {
    /// Whether time can help.
    pub class: BlockClass,
    /// Which kind of obstacle.
    pub reason: BlockReason,
    /// A sentence that names the object in the way.
    pub message: String,
    /// Since when, where that is known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
}

impl BlockView {
    pub(super) fn of(block: &Block, since: Option<Timestamp>) -> Self {
        Self { class: block.class(), reason: block.reason, message: block.message.clone(), since }
    }
}

impl VerdictView {
    pub(super) fn of(verdict: &Verdict) -> Self {
        let mut view = Self {
            verdict: VerdictKind::Evict,
            skip_reason: None,
            migrate_by: None,
            shut_down_by: None,
            restarts: None,
            will_not_restart_because: None,
            block: None,
        };
        view.verdict = match verdict {
            Verdict::Skip(reason) => {
                view.skip_reason = Some(*reason);
                VerdictKind::Skip
            }
            Verdict::Evict => VerdictKind::Evict,
            Verdict::Delete => VerdictKind::Delete,
            Verdict::Migrate(by) => {
                view.migrate_by = Some(*by);
                VerdictKind::Migrate
            }
            Verdict::ShutDown { restarts, by } => {
                view.shut_down_by = Some(*by);
                view.restarts = Some(*restarts == Restarts::Yes);
                if let Restarts::No(why) = restarts {
                    view.will_not_restart_because = Some(why.clone());
                }
                VerdictKind::ShutDown
            }
            Verdict::Blocked(block) => {
                view.block = Some(BlockView::of(block, None));
                VerdictKind::Blocked
            }
        };
        view
    }
}
