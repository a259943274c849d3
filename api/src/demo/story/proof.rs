//! Whether the story came out as it should: what `--exit-after-story` answers for.

use std::collections::{BTreeMap, BTreeSet};

use careen_core::{
    maintenance::Phase,
    model::{ObjectKey, Uid},
    names::DRAIN_TAINT_KEY,
    plan::Verdict,
};

use super::observation::{Looks, Observation, Standing};

/// What has to be shown, and what has been.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    node: String,
    before: Option<Looks>,
    /// The VMs that the plan said would migrate.
    migrating: BTreeMap<ObjectKey, Uid>,
    shown: BTreeSet<Step>,
}

/// What the node and its maintenance have been seen to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Begun,
    Cordoned,
    Tainted,
    Drained,
}

/// What was not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    /// The story has no node.
    #[error("node {0} is not in the cluster")]
    NoNode(String),
    /// The story has no VM.
    #[error("no VM on node {0} could migrate")]
    NoMigration(String),
    /// It was not cordoned.
    #[error("node {0} was not cordoned")]
    NotCordoned(String),
    /// It has not got the taint.
    #[error("node {0} was not tainted {DRAIN_TAINT_KEY}:NoSchedule")]
    NotTainted(String),
    /// It was not drained.
    #[error("node {node} was not drained: {left}")]
    NotDrained {
        /// The node.
        node: String,
        /// What is left on it.
        left: String,
    },
    /// A VM was lost.
    #[error("VirtualMachineInstance {vmi} did not migrate: {what}")]
    NotMigrated {
        /// Which.
        vmi: ObjectKey,
        /// What became of it.
        what: String,
    },
    /// It is not as it was.
    #[error("node {node} was not restored: {what}")]
    NotRestored {
        /// The node.
        node: String,
        /// What differs.
        what: String,
    },
}

impl Proof {
    /// Begins with what the node is like before anything happens.
    pub(super) fn begin(node: &str, first: &Observation) -> Self {
        let migrating = first.workloads.iter().filter_map(|(name, standing)| {
            let instance = first.instances.get(&name.key)?;
            matches!(standing, Standing::Next(Verdict::Migrate(_))).then(|| (name.key.clone(), instance.uid.clone()))
        });
        Self {
            node: node.to_owned(),
            before: first.node.clone(),
            migrating: migrating.collect(),
            shown: BTreeSet::new(),
        }
    }

    /// Takes up what is seen.
    pub(super) fn see(&mut self, seen: &Observation) {
        let taint = format!("{DRAIN_TAINT_KEY}:NoSchedule");
        let is_empty = !seen.workloads.values().any(Standing::has_to_leave);
        let steps = [
            (Step::Begun, seen.maintenance.is_some()),
            (Step::Cordoned, seen.node.as_ref().is_some_and(|node| node.unschedulable)),
            (Step::Tainted, seen.node.as_ref().is_some_and(|node| node.taints.contains(&taint))),
            (Step::Drained, is_empty && seen.maintenance.as_ref().is_some_and(|told| told.is_drained)),
        ];
        self.shown.extend(steps.into_iter().filter(|(_, is_so)| *is_so).map(|(step, _)| step));
    }

    /// Whether the node is drained; `None` while that may still come.
    pub(super) fn drained(&self, seen: &Observation) -> Option<bool> {
        match &seen.maintenance {
            Some(told) if told.phase == Some(Phase::Failed) => Some(false),
            Some(_) => self.shown.contains(&Step::Drained).then_some(true),
            // Somebody has ended it.
            None => self.shown.contains(&Step::Begun).then_some(false),
        }
    }

    /// Whether the node is as it was before; `None` while that may still come.
    pub(super) fn restored(&self, seen: &Observation) -> Option<bool> {
        (seen.maintenance.is_none() && seen.node == self.before).then_some(true)
    }

    /// The end: what is still missing, if anything is.
    pub(super) fn conclude(&self, last: &Observation) -> Result<(), Unproven> {
        let node = || self.node.clone();
        let Some(before) = &self.before else { return Err(Unproven::NoNode(node())) };
        if self.migrating.is_empty() {
            return Err(Unproven::NoMigration(node()));
        }
        if !self.shown.contains(&Step::Cordoned) {
            return Err(Unproven::NotCordoned(node()));
        }
        if !self.shown.contains(&Step::Tainted) {
            return Err(Unproven::NotTainted(node()));
        }
        if !self.shown.contains(&Step::Drained) {
            let left = last.workloads.iter().filter(|(_, standing)| standing.has_to_leave());
            let left: Vec<String> = left.map(|(name, _)| name.to_string()).collect();
            let left =
                if left.is_empty() { "that was not said".to_owned() } else { format!("left are {}", left.join(", ")) };
            return Err(Unproven::NotDrained { node: node(), left });
        }
        for (vmi, uid) in &self.migrating {
            self.has_migrated(vmi, uid, last).map_err(|what| Unproven::NotMigrated { vmi: vmi.clone(), what })?;
        }
        if last.maintenance.is_some() {
            return Err(Unproven::NotRestored { node: node(), what: "its maintenance has not ended".to_owned() });
        }
        match &last.node {
            Some(after) if after == before => Ok(()),
            Some(after) => {
                Err(Unproven::NotRestored { node: node(), what: format!("it was {before:?} and is {after:?}") })
            }
            None => Err(Unproven::NoNode(node())),
        }
    }

    fn has_migrated(&self, vmi: &ObjectKey, uid: &Uid, last: &Observation) -> Result<(), String> {
        let instance = last.instances.get(vmi).ok_or("it is gone")?;
        if instance.uid != *uid {
            return Err(format!("it had UID {uid} and is another instance now, with UID {}", instance.uid));
        }
        match &instance.runs_on {
            None => Err("it does not run".to_owned()),
            Some(on) if on.as_str() == self.node => Err(format!("it still runs on {on}")),
            Some(_) => Ok(()),
        }
    }
}
