//! How long things take: the stand-in's own durations, and KubeVirt's.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    names::{INSTANCE, MIGRATION_STAYS_IN},
    object::is_deleting,
};
use crate::actors::{
    actor::Turn,
    rules::{Rules, after},
};

/// How long things take where no setting of the VMI says otherwise, and the settings.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The settings; their scale holds for all that follows, their jitter for what guests do.
    pub rules: Rules,
    /// From a launcher pod that is up to a guest that runs.
    pub start: Duration,
    /// A guest that was told to shut down. One that takes longer than the VMI's `terminationGracePeriodSeconds`,
    /// scaled, is killed then.
    pub shut_down: Duration,
    /// A migration in phase `PreparingTarget`.
    pub prepare: Duration,
    /// A migration in phase `TargetReady`.
    pub connect: Duration,
    /// A migration in phase `Running`.
    pub migrate: Duration,
    /// From the wish to cancel a running migration to its end.
    pub abort: Duration,
    /// How long a transfer may get nowhere. KubeVirt: 150 s (`progressTimeout`).
    pub stuck: Duration,
    /// How long the evacuation after one that failed waits; twice as long after two, and so on. KubeVirt: 20 s.
    pub back_off: Duration,
    /// How long a target pod may be unschedulable. KubeVirt: 5 min.
    pub unschedulable: Duration,
    /// How long a target pod may be pending. KubeVirt: 15 min.
    pub pending: Duration,
}

impl Timing {
    /// The usual durations, with these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            start: Duration::from_secs(1),
            shut_down: Duration::from_secs(2),
            prepare: Duration::from_secs(1),
            connect: Duration::from_millis(100),
            migrate: Duration::from_secs(5),
            abort: Duration::from_millis(500),
            stuck: Duration::from_secs(150),
            back_off: Duration::from_secs(20),
            unschedulable: Duration::from_secs(5 * 60),
            pending: Duration::from_secs(15 * 60),
        }
    }

    /// A setting of a VMI.
    #[must_use]
    pub fn setting<'a>(&'a self, vmi: &'a Value, name: &str) -> Option<&'a str> {
        self.rules.setting(INSTANCE, vmi, name)
    }

    /// How long that takes.
    #[must_use]
    pub fn duration(&self, vmi: &Value, name: &str, default: Duration) -> SignedDuration {
        self.rules.duration(INSTANCE, vmi, name, default)
    }

    /// How long that takes, if it is to happen at all.
    #[must_use]
    pub fn optional_duration(&self, vmi: &Value, name: &str) -> Option<SignedDuration> {
        self.rules.optional_duration(INSTANCE, vmi, name)
    }

    /// Whether a setting keeps a migration in that phase. One that is cancelled goes on to its end.
    #[must_use]
    pub fn is_held_in(&self, vmi: &Value, migration: &Value, phase: &str) -> bool {
        self.setting(vmi, MIGRATION_STAYS_IN) == Some(phase) && !is_deleting(migration)
    }
}

/// Since when something has been so. That no object says: Kubernetes' times are whole seconds.
#[derive(Clone, Debug, Default)]
pub struct Stopwatch {
    since: BTreeMap<String, (Timestamp, bool)>,
}

impl Stopwatch {
    /// Whether what is named has been so for that long. Starts with the first question; else the turn will be taken again
    /// when the answer changes.
    pub fn has_passed(&mut self, what: String, duration: SignedDuration, now: Timestamp, turn: &mut Turn) -> bool {
        let (since, is_asked) = self.since.entry(what).or_insert((now, true));
        *is_asked = true;
        let end = after(*since, duration);
        if now < end {
            turn.look_again(end);
        }
        now >= end
    }

    /// Forgets what was not asked for since the last time.
    pub fn forget_the_rest(&mut self) {
        self.since.retain(|_, (_, is_asked)| std::mem::take(is_asked));
    }
}
