//! What the engine counts; whoever serves `/metrics` registers it.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::model::BlockReason;

/// The engine's metrics. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Requests to the API server, by verb and code.
    pub api_requests: Family<ApiRequestLabels, Counter>,
    /// Evictions, by the answer's class.
    pub evictions: Family<AnswerLabels, Counter>,
    /// Blocked workloads on nodes that are being drained, by class and reason.
    pub blocked_workloads: Family<ReasonLabels, Gauge>,
    /// `NodeMaintenance` resources, by phase.
    pub maintenances: Family<PhaseLabels, Gauge>,
    /// From the acceptance of a maintenance to `Drained`.
    pub drain_duration: Histogram,
    /// 1 while this replica is the leader.
    pub leader: Gauge,
    /// Watch connections that failed, by kind.
    pub watch_failures: Family<KindLabels, Counter>,
    /// Objects that could not be decoded when last seen, by kind.
    pub undecodable_objects: Family<KindLabels, Counter>,
    /// Records on nodes that were reported and not obeyed.
    pub rejected_records: Counter,
    /// Call-backs, by what became of them.
    pub call_backs: Family<CallBackLabels, Counter>,
}

/// Verb and code of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiRequestLabels {
    /// The HTTP method, or `WATCH`.
    pub verb: &'static str,
    /// The HTTP status code; 0 when no answer came.
    pub code: u16,
}

/// The class of an eviction's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AnswerLabels {
    /// The class, by its name in the vocabulary.
    pub answer: &'static str,
}

/// What blocks a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// Whether time can help.
    pub class: String,
    /// The name of the reason.
    pub reason: String,
}

impl From<BlockReason> for ReasonLabels {
    fn from(reason: BlockReason) -> Self {
        Self { class: format!("{:?}", reason.class()), reason: reason.to_string() }
    }
}

/// A phase of a maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabels {
    /// The phase.
    pub phase: MaintenancePhase,
}

/// The phases of a maintenance, and those that have none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum MaintenancePhase {
    /// Not decided yet.
    Undecided,
    /// Being drained.
    Running,
    /// Drained.
    Succeeded,
    /// Not accepted, or out of time.
    Failed,
}

/// What became of a call-back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallBackLabels {
    /// What became of it.
    pub outcome: CallBackOutcome,
}

/// What can become of a call-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum CallBackOutcome {
    /// The receiver took it.
    Delivered,
    /// One attempt failed; it is repeated.
    Failed,
    /// It was never delivered, and is repeated no more.
    GivenUp,
}

/// A kind of Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    /// The kind.
    pub kind: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            api_requests: Family::default(),
            evictions: Family::default(),
            blocked_workloads: Family::default(),
            maintenances: Family::default(),
            // One second to about nine hours.
            drain_duration: Histogram::new(exponential_buckets(1.0, 2.0, 16)),
            leader: Gauge::default(),
            watch_failures: Family::default(),
            undecodable_objects: Family::default(),
            rejected_records: Counter::default(),
            call_backs: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds the metrics to a registry, under the prefix `careen`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("careen");
        registry.register("api_requests", "Requests to the API server", self.api_requests.clone());
        registry.register("evictions", "Evictions by the class of the answer", self.evictions.clone());
        registry.register(
            "blocked_workloads",
            "Blocked workloads on nodes that are being drained",
            self.blocked_workloads.clone(),
        );
        registry.register("maintenances", "NodeMaintenance resources by phase", self.maintenances.clone());
        registry.register_with_unit(
            "drain_duration",
            "From the acceptance of a maintenance until its node is drained",
            Unit::Seconds,
            self.drain_duration.clone(),
        );
        registry.register("leader", "1 while this replica is the leader", self.leader.clone());
        registry.register("watch_failures", "Watch connections that failed", self.watch_failures.clone());
        registry.register("undecodable_objects", "Objects that did not decode", self.undecodable_objects.clone());
        registry.register(
            "rejected_records",
            "Records on nodes that were reported and not obeyed",
            self.rejected_records.clone(),
        );
        registry.register("call_backs", "Call-backs by what became of them", self.call_backs.clone());
    }
}
