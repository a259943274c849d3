//! Tells what happens: lines for what has changed, bars for what goes on. Pure: observations go in, text comes out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use careen_core::{
    model::{ObjectKey, virtual_machine::MigrationPhase},
    plan::{Block, BlockClass, BlockReason, Restarts, SkipReason, Verdict},
};
use jiff::Timestamp;

use super::observation::{Instance, Looks, Name, Observation, Standing};

/// A workload that waits so long is said to.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// Tells the story of one node.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    node: String,
    /// What was seen before.
    last: Observation,
    /// The virtual machines that were on the node, as they were then.
    guests: BTreeMap<ObjectKey, Instance>,
    /// What was said of whom, so that it is said once.
    said: BTreeSet<(Name, Said)>,
    /// What each workload waits for, and since when. A wait that is over at once is not worth a line.
    waiting: BTreeMap<Name, (BlockReason, Duration)>,
    had_to_leave: usize,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When, since the beginning of the story.
    pub(super) at: Duration,
    /// About whom.
    pub(super) about: String,
    /// What.
    pub(super) text: String,
}

/// What goes on at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bars {
    /// How many workloads have left.
    pub(super) left: usize,
    /// How many had or have to.
    pub(super) had_to_leave: usize,
    /// Those that have not.
    pub(super) workloads: BTreeMap<Name, Bar>,
}

/// What one workload does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// In words.
    pub(super) doing: String,
    /// How many steps of how many are done, where there are steps.
    pub(super) steps: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Ends,
    MigratesTo(String),
    Waits(BlockReason),
    Left,
}

impl Teller {
    /// Begins with what the node is like before anything happens.
    pub(super) fn begin(node: &str, first: Observation) -> Self {
        let is_guest = |instance: &Instance| instance.runs_on.as_ref().is_some_and(|on| on.as_str() == node);
        let guests = first.instances.iter().filter(|(_, instance)| is_guest(instance));
        Self {
            node: node.to_owned(),
            guests: guests.map(|(key, instance)| (key.clone(), instance.clone())).collect(),
            said: BTreeSet::new(),
            waiting: BTreeMap::new(),
            had_to_leave: leaving(&first).count(),
            last: first,
        }
    }

    /// What would become of each workload.
    pub(super) fn plan(&self) -> Vec<String> {
        let lines = self.last.workloads.iter().map(|(name, standing)| format!("{name:<36}  {}", planned(standing)));
        lines.collect()
    }

    /// What is new.
    pub(super) fn tell(&mut self, at: Duration, now: Timestamp, seen: Observation) -> Vec<Line> {
        let mut texts = self.about_node(&seen);
        for (name, standing) in &seen.workloads {
            if self.has_lasted(name, standing, at)
                && let Some((what, text)) = news(standing, now)
                && self.said.insert((name.clone(), what))
            {
                texts.push((name.to_string(), text));
            }
        }
        texts.extend(self.about_guests(&seen));
        texts.extend(self.about_gone(&seen));
        texts.extend(self.about_maintenance(&seen));
        let arrived = leaving(&seen).filter(|name| !self.last.workloads.contains_key(name)).count();
        self.had_to_leave += arrived;
        self.last = seen;
        texts.into_iter().map(|(about, text)| Line { at, about, text }).collect()
    }

    /// What goes on.
    pub(super) fn bars(&self, now: Timestamp) -> Bars {
        let on_it = leaving(&self.last).count();
        let workloads = self.last.workloads.iter().filter(|(_, standing)| standing.has_to_leave());
        Bars {
            left: self.had_to_leave.saturating_sub(on_it),
            had_to_leave: self.had_to_leave,
            workloads: workloads.map(|(name, standing)| (name.clone(), bar(standing, now))).collect(),
        }
    }

    /// Whether it stands so for long enough to be told.
    fn has_lasted(&mut self, name: &Name, standing: &Standing, at: Duration) -> bool {
        let Standing::Waits(block) = standing else {
            self.waiting.remove(name);
            return true;
        };
        let waiting = self.waiting.entry(name.clone()).or_insert((block.reason, at));
        if waiting.0 != block.reason {
            *waiting = (block.reason, at);
        }
        at.saturating_sub(waiting.1) >= WORTH_A_LINE
    }

    fn about_node(&self, seen: &Observation) -> Vec<(String, String)> {
        let (Some(was), Some(is)) = (&self.last.node, &seen.node) else { return Vec::new() };
        let mut texts = Vec::new();
        match (was.unschedulable, is.unschedulable) {
            (false, true) => texts.push("cordoned: nothing new is scheduled here".to_owned()),
            (true, false) => texts.push("uncordoned".to_owned()),
            _ => {}
        }
        let only_in = |one: &Looks, other: &Looks| -> Vec<String> {
            one.taints.iter().filter(|taint| !other.taints.contains(taint)).cloned().collect()
        };
        // Kubernetes' own follows from the cordon.
        let is_ours = |taint: &String| !taint.starts_with("node.kubernetes.io/");
        texts.extend(only_in(is, was).into_iter().filter(is_ours).map(|taint| format!("tainted {taint}")));
        texts.extend(only_in(was, is).into_iter().filter(is_ours).map(|taint| format!("taint {taint} removed")));
        texts.into_iter().map(|text| (format!("node {}", self.node), text)).collect()
    }

    fn about_guests(&self, seen: &Observation) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (key, guest) in &self.guests {
            let (was, is) = (self.last.instances.get(key), seen.instances.get(key));
            let place = |instance: Option<&Instance>| instance.and_then(|instance| instance.runs_on.clone());
            let (Some(is), Some(on)) = (is, place(is)) else { continue };
            if place(was).as_ref() == Some(&on) || on.as_str() == self.node {
                continue;
            }
            let text = if is.uid == guest.uid {
                format!("runs on {on}: moved live, still the same instance (UID {})", is.uid)
            } else {
                format!("runs on {on}: stopped here, started there")
            };
            texts.push((Name { kind: "vm", key: key.clone() }.to_string(), text));
        }
        texts
    }

    fn about_gone(&mut self, seen: &Observation) -> Vec<(String, String)> {
        let gone: Vec<Name> = leaving(&self.last).filter(|name| !seen.workloads.contains_key(name)).cloned().collect();
        let gone = gone.into_iter().filter(|name| {
            // Of a VM, it is said where it runs.
            name.kind == "pod" && self.said.insert((name.clone(), Said::Left))
        });
        gone.map(|name| (name.to_string(), "has left".to_owned())).collect()
    }

    fn about_maintenance(&self, seen: &Observation) -> Option<(String, String)> {
        let text = match (&self.last.maintenance, &seen.maintenance) {
            (was, Some(is)) if is.is_drained && !was.as_ref().is_some_and(|was| was.is_drained) => {
                "drained: nothing is left that has to leave".to_owned()
            }
            (was, Some(is)) if is.last_error != was.as_ref().and_then(|was| was.last_error.clone()) => {
                is.last_error.clone()?
            }
            (Some(_), None) => "back in service".to_owned(),
            _ => return None,
        };
        Some((format!("node {}", self.node), text))
    }
}

fn leaving(observation: &Observation) -> impl Iterator<Item = &Name> {
    observation.workloads.iter().filter(|(_, standing)| standing.has_to_leave()).map(|(name, _)| name)
}

/// What would become of a workload that stands so.
fn planned(standing: &Standing) -> String {
    match standing {
        Standing::Stays(SkipReason::DaemonSet) => "stays: a DaemonSet runs it on every node".to_owned(),
        Standing::Stays(SkipReason::Mirror) => "stays: the kubelet runs it from a file".to_owned(),
        Standing::Stays(reason) => format!("stays: {reason:?}"),
        Standing::Next(verdict) => match verdict {
            Verdict::Evict => "is evicted: its controller starts another elsewhere".to_owned(),
            Verdict::Delete => "has ended: what is left of it is deleted".to_owned(),
            Verdict::Migrate(_) => "migrates live".to_owned(),
            Verdict::ShutDown { restarts: Restarts::Yes, .. } => "is stopped, and started elsewhere".to_owned(),
            Verdict::ShutDown { restarts: Restarts::No(why), .. } => format!("is stopped, and stays so: {why}"),
            Verdict::Skip(_) | Verdict::Blocked(_) => String::new(),
        },
        Standing::Ends { .. } => "ends already".to_owned(),
        Standing::Migrates { .. } => "migrates already".to_owned(),
        Standing::Waits(block) => waits(block),
    }
}

/// What is to be said of a workload that has come to stand so.
fn news(standing: &Standing, now: Timestamp) -> Option<(Said, String)> {
    match standing {
        Standing::Stays(_) | Standing::Next(_) | Standing::Migrates { target: None, .. } => None,
        // What has ended already has no time left.
        Standing::Ends { deadline } if *deadline <= now => None,
        Standing::Ends { deadline } => {
            Some((Said::Ends, format!("is told to end, and has {} s for it", left(*deadline, now))))
        }
        Standing::Migrates { target: Some(target), .. } => {
            Some((Said::MigratesTo(target.clone()), format!("migrates to {target}")))
        }
        Standing::Waits(block) => Some((Said::Waits(block.reason), waits(block))),
    }
}

fn waits(block: &Block) -> String {
    let verb = if block.class() == BlockClass::Stuck { "is stuck" } else { "waits" };
    format!("{verb} ({}): {}", block.reason, block.message)
}

/// Whole seconds; what is begun counts.
fn left(deadline: Timestamp, now: Timestamp) -> i64 {
    let left = deadline.duration_since(now);
    (left.as_secs() + i64::from(left.subsec_nanos() > 0)).max(0)
}

fn bar(standing: &Standing, now: Timestamp) -> Bar {
    let (doing, steps) = match standing {
        Standing::Ends { deadline } => (format!("ends within {} s", left(*deadline, now)), None),
        Standing::Migrates { phase, target } => {
            let to = target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
            (format!("migrates{to}: {phase:?}"), steps(phase))
        }
        standing => (planned(standing), None),
    };
    Bar { doing, steps }
}

/// KubeVirt tells no percentage of a migration, but the phases that it goes through.
fn steps(phase: &MigrationPhase) -> Option<(u64, u64)> {
    let done = match phase {
        MigrationPhase::Pending => 0,
        MigrationPhase::Scheduling => 1,
        MigrationPhase::Scheduled => 2,
        MigrationPhase::PreparingTarget => 3,
        MigrationPhase::TargetReady => 4,
        MigrationPhase::Running => 5,
        MigrationPhase::Succeeded => 6,
        MigrationPhase::Failed | MigrationPhase::Unknown(_) => return None,
    };
    Some((done, 6))
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5.1}s  {:<36}  {}", self.at.as_secs_f64(), self.about, self.text)
    }
}
