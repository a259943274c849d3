//! How long things take, and what goes wrong.
//!
//! A setting is an annotation `sim.careen.dev/…` of the object, else that of the first rule which means the object, else the
//! default here. Durations are written as `1m30s`, `500ms`, `2s`; a wish as `"true"`.
//!
//! | of a pod | default | |
//! |---|---|---|
//! | `starts-after` | `1s` | from its binding until its containers run |
//! | `ready-after` | `1s` | from then until it is ready |
//! | `ends-after` | `1s` | from its deletion until it is gone; never longer than its grace |
//! | `completes-after` | never | from its start until its containers have ended well |
//! | `fails-after` | never | from its start until its containers have failed |
//! | `never-starts` | | its image is never there |
//! | `never-ready` | | its readiness probe fails |
//! | `ignores-termination` | | it ends only when its grace is over |
//! | `never-ends` | | not even then |
//! | `left-alone` | | the kubelet does nothing about it: somebody else writes its status |
//!
//! | of a node | default | |
//! |---|---|---|
//! | `unreachable` | | nothing is heard of it, and nothing on it moves |
//! | `not-ready` | | it says that it is not ready |
//!
//! Other actors bring settings of their own.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    object::{annotation, uid_of},
    view::Kind,
};
use crate::selector::LabelSelector;

/// What the names of settings begin with, as annotations.
pub const PREFIX: &str = "sim.careen.dev/";

/// How fast the cluster lives, and what its objects are told beyond their annotations.
#[derive(Clone, Debug)]
pub struct Rules {
    seed: u64,
    scale: f64,
    jitter: f64,
    list: Vec<Rule>,
}

/// Settings for the objects of a kind that a selector means.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Of that kind.
    pub kind: Kind,
    /// In that namespace; in all, if empty.
    pub namespace: String,
    /// With such labels.
    pub selector: LabelSelector,
    /// By name, without the prefix: `starts-after`.
    pub settings: BTreeMap<String, String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Rules {
    /// Real time; durations are a tenth longer at most.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, scale: 1.0, jitter: 0.1, list: Vec::new() }
    }

    /// With another seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Everything takes that many times as long: with 0.1 a termination of 30 s takes 3 s.
    #[must_use]
    pub fn scaled(mut self, scale: f64) -> Self {
        self.scale = scale.max(0.0);
        self
    }

    /// Durations vary: with 0.5 they are up to half as long again.
    #[must_use]
    pub fn jittered(mut self, jitter: f64) -> Self {
        self.jitter = jitter.max(0.0);
        self
    }

    /// One more rule; those that came before have precedence.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.list.push(rule);
        self
    }

    /// A setting of the object.
    #[must_use]
    pub fn setting<'a>(&'a self, kind: Kind, object: &'a Value, name: &str) -> Option<&'a str> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        annotation(object, &format!("{PREFIX}{name}")).or_else(|| {
            let of_rule = |rule: &'a Rule| {
                let value = rule.settings.get(name)?;
                let means = rule.kind == kind
                    && (rule.namespace.is_empty() || rule.namespace == namespace)
                    && rule.selector.matches(&object["metadata"]["labels"]);
                means.then_some(value.as_str())
            };
            self.list.iter().find_map(of_rule)
        })
    }

    /// Whether a wish of the object is `"true"`.
    #[must_use]
    pub fn wishes(&self, kind: Kind, object: &Value, name: &str) -> bool {
        self.setting(kind, object, name) == Some("true")
    }

    /// How long that takes for the object, scaled and with its jitter: the same, however often it is asked for.
    #[must_use]
    pub fn duration(&self, kind: Kind, object: &Value, name: &str, default: Duration) -> SignedDuration {
        self.optional_duration(kind, object, name).unwrap_or_else(|| self.vary(object, name, default))
    }

    /// How long that takes for the object, if it is to happen at all.
    #[must_use]
    pub fn optional_duration(&self, kind: Kind, object: &Value, name: &str) -> Option<SignedDuration> {
        let text = self.setting(kind, object, name)?;
        let duration = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
        if duration.is_none() {
            tracing::warn!("{PREFIX}{name}: {text:?} is no duration such as 1m30s or 500ms");
        }
        duration.map(|duration| self.vary(object, name, duration))
    }

    /// A duration that has no jitter, scaled: of Leases, of deadlines.
    #[must_use]
    pub fn scale(&self, duration: Duration) -> SignedDuration {
        SignedDuration::try_from(Duration::try_from_secs_f64(duration.as_secs_f64() * self.scale).unwrap_or(duration))
            .unwrap_or(SignedDuration::MAX)
    }

    fn vary(&self, object: &Value, name: &str, duration: Duration) -> SignedDuration {
        let share = self.chance(uid_of(object), name) * self.jitter;
        self.scale(duration.mul_f64(1.0 + share))
    }

    /// From 0 to 1, decided by the seed, the object and what it is for.
    #[must_use]
    pub fn chance(&self, uid: &str, what: &str) -> f64 {
        // FNV-1a: short, and the same everywhere.
        let hash = uid
            .bytes()
            .chain([0])
            .chain(what.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        fastrand::Rng::with_seed(hash ^ self.seed).f64()
    }
}

/// A moment and a duration later; the end of time if there is no such moment.
#[must_use]
pub fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::kinds::POD;

    const SECOND: Duration = Duration::from_secs(1);

    fn pod() -> Value {
        json!({"metadata": {"uid": "a", "annotations": {"sim.careen.dev/starts-after": "1m30s"}}})
    }

    #[test]
    fn an_annotation_goes_before_a_rule_and_a_rule_before_the_default() {
        let settings = [("starts-after", "5s"), ("ready-after", "7s")];
        let rule = Rule {
            kind: POD,
            namespace: String::new(),
            selector: LabelSelector::from_json(&json!({})).unwrap(),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let rules = Rules::new(1).jittered(0.0).with(rule);
        let seconds = |name| rules.duration(POD, &pod(), name, SECOND).as_secs();
        assert_eq!((seconds("starts-after"), seconds("ready-after"), seconds("ends-after")), (90, 7, 1));
    }

    #[test]
    fn durations_are_scaled_and_vary_by_the_seed_alone() {
        let duration = |rules: &Rules| rules.duration(POD, &pod(), "starts-after", SECOND).as_millis();
        assert_eq!(duration(&Rules::new(1).jittered(0.0).scaled(0.1)), 9_000);
        assert_eq!(duration(&Rules::new(1)), duration(&Rules::new(1)));
        assert_ne!(duration(&Rules::new(1)), duration(&Rules::new(2)));
        assert!((90_000..=99_000).contains(&duration(&Rules::new(1))));
    }

    #[test]
    fn what_is_no_duration_is_as_if_it_were_not_there() {
        let pod = json!({"metadata": {"annotations": {"sim.careen.dev/starts-after": "soon"}}});
        assert_eq!(Rules::new(1).jittered(0.0).duration(POD, &pod, "starts-after", SECOND).as_secs(), 1);
    }
}
