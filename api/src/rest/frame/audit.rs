//! The audit log: a line for each change that is asked for, whatever becomes of it. The account of a request collects
//! them, and they are written at its end.

use std::{mem, thread};

use super::Account;
use crate::rest::reason::Reason;

/// What became of a change that was not refused.
const DONE: &str = "Done";

/// What a line tells of its change besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Whatever ticket it belongs to.
    Forced,
    /// It was only asked what would happen.
    DryRun,
    /// An earlier request under the same key has done it.
    Replayed,
}

impl Note {
    fn word(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::DryRun => "dryRun",
            Self::Replayed => "replayed",
        }
    }
}

/// What a change is about, as far as the request says it: one that is refused is told of too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// The node.
    pub(crate) node: String,
    /// Another object: its name, or `namespace/name`.
    pub(crate) object: String,
}

/// What a request leaves in the log.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// What it has changed, or was to.
    lines: Vec<Line>,
    /// Notes for the next line.
    notes: Vec<Note>,
    /// It is no change, whatever its method says.
    is_read: bool,
}

/// A line.
#[derive(Debug)]
struct Line {
    operation: String,
    touched: Touched,
    outcome: &'static str,
    code: u16,
    notes: Vec<Note>,
}

/// A change under way, of several that a request may ask for. Dropped before its end it was given up, and that is told.
#[derive(Debug)]
#[must_use]
pub(crate) struct Change {
    account: Account,
    operation: String,
    touched: Touched,
    is_told: bool,
}

impl Change {
    /// It has come to its end, or was refused.
    pub(crate) fn ended(mut self, refusal: Option<&'static Reason>) {
        self.tell(refusal);
    }

    fn tell(&mut self, refusal: Option<&'static Reason>) {
        self.is_told = true;
        self.account.add_line(&self.operation, mem::take(&mut self.touched), refusal);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(Some(if thread::panicking() { Reason::INTERNAL_ERROR } else { Reason::TIMEOUT }));
        }
    }
}

impl Account {
    /// One of several changes that this request asks for begins.
    pub(crate) fn change(&self, operation: &str, touched: Touched) -> Change {
        Change { account: self.clone(), operation: operation.to_owned(), touched, is_told: false }
    }

    /// Adds a word to the line of the next change.
    pub(crate) fn note(&self, note: Note) {
        self.audit_mut().notes.push(note);
    }

    /// It changes nothing, whatever its method says.
    pub(crate) fn set_read(&self) {
        self.audit_mut().is_read = true;
    }

    /// Whether one of its changes has a line already.
    pub(crate) fn has_line(&self) -> bool {
        !self.audit_mut().lines.is_empty()
    }

    /// A change is refused before it has begun.
    pub(crate) fn refused(&self, operation: &str, reason: &'static Reason) {
        self.add_line(operation, Touched::default(), Some(reason));
    }

    fn add_line(&self, operation: &str, touched: Touched, refusal: Option<&'static Reason>) {
        let (outcome, code) = refusal.map_or((DONE, 200), |reason| (reason.name, reason.status));
        let mut audit = self.audit_mut();
        let notes = mem::take(&mut audit.notes);
        audit.lines.push(Line { operation: operation.to_owned(), touched, outcome, code, notes });
    }

    /// Writes its lines; one of its own, if it is a change and has none: what became of it is what was answered.
    pub(super) fn write_audit(&self, code: u16, reason: Option<&'static Reason>) {
        let Audit { mut lines, notes, is_read } = mem::take(&mut *self.audit_mut());
        if lines.is_empty() && self.is_change() && !is_read {
            let operation = self.operation().map_or("none", |operation| operation.id).to_owned();
            let outcome = reason.map_or(DONE, |reason| reason.name);
            lines.push(Line { operation, touched: self.touched(), outcome, code, notes });
        }
        let (request_id, path, user) = (self.id(), self.path(), self.user().unwrap_or_default());
        for Line { operation, touched: Touched { node, object }, outcome, code, notes } in lines {
            let notes = notes.into_iter().map(Note::word).collect::<Vec<_>>().join(" ");
            tracing::info!(
                target: "careen::audit",
                request_id, user, operation, path, node, object, outcome, code, notes, "audit"
            );
        }
    }
}
