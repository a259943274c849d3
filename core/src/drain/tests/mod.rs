//! The machine under test: scenarios with hand-made snapshots and explicit times, and properties of a model world.
//!
//! | file | holds |
//! |---|---|
//! | `pods`, `budgets`, `answers`, `vms`, `evacuations`, `migrations`, `course` | scenarios |
//! | `properties` | what holds in every history |
//! | `world` | the model of a cluster that the histories happen in |

mod answers;
mod budgets;
mod course;
mod evacuations;
mod migrations;
mod pods;
mod properties;
mod vms;
mod world;

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Answer, DrainPhase, DrainSpec, Machine, Outcome, Seen, Step, WorkloadState};
use crate::{
    cluster::{Kept, Snapshot},
    model::{
        ObjectKey, Pod, Uid,
        testing::{at, node, node_name, uid},
    },
};

/// The node that is drained in all scenarios.
const NODE: &str = "node02";
const NAMESPACE: &str = "shop";

/// One drain of [`NODE`] and what its caches show; pods and VMs of the namespace `shop` are spoken of by their names.
struct Drill {
    machine: Machine,
    snapshot: Snapshot,
    last: Option<Step>,
}

/// A time: so many seconds after the drain began.
fn second(second: f64) -> Timestamp {
    at(0) + Duration::from_secs_f64(second)
}

fn spec() -> DrainSpec {
    DrainSpec::default()
}

impl Drill {
    /// A maintenance with default options that begins at second 0, on a cordoned node without pods.
    fn new() -> Self {
        Self::of(&spec())
    }

    /// A maintenance with those options.
    fn of(spec: &DrainSpec) -> Self {
        Self::resumed(spec, &[])
    }

    /// A maintenance that began at second 0, taken up again after a restart; the record names those VMs.
    fn resumed(spec: &DrainSpec, recorded: &[&str]) -> Self {
        let own_pod = ObjectKey::new("careen", "careen-0");
        let recorded = recorded.iter().map(|vmi| uid(NAMESPACE, vmi));
        let options = spec.for_maintenance().unwrap();
        let machine = Machine::new(node_name(NODE), options, Some(own_pod), at(0), recorded);
        Self { machine, snapshot: Snapshot::default().with(node(NODE).cordoned()), last: None }
    }

    fn with<K: Kept>(mut self, object: K) -> Self {
        self.see(object);
        self
    }

    fn with_all<K: Kept>(mut self, objects: impl IntoIterator<Item = K>) -> Self {
        objects.into_iter().for_each(|object| self.see(object));
        self
    }

    /// The caches show that object from now on.
    fn see<K: Kept>(&mut self, object: K) {
        self.snapshot.put(object);
    }

    /// The caches show no such pod any more.
    fn see_gone(&mut self, pod: &str) {
        self.snapshot.take::<Pod>(&ObjectKey::new(NAMESPACE, pod));
    }

    /// Steps then; says what the machine does.
    fn does(&mut self, time: f64) -> Vec<String> {
        let now = second(time);
        let step = self.machine.step(&self.snapshot, now);
        assert!(step.wake_at.is_none_or(|wake| wake > now), "it would spin: {step:?}");
        let actions = step.actions.iter().map(shown).collect();
        self.last = Some(step);
        actions
    }

    /// As [`Drill::does`], for steps that must do nothing.
    fn rests(&mut self, time: f64) {
        let did = self.does(time);
        assert!(did.is_empty(), "at second {time} it does {did:?}");
    }

    /// The options become those.
    fn takes(&mut self, time: f64, options: &DrainSpec) {
        self.machine.set_options(options.for_maintenance().unwrap(), second(time));
    }

    /// An eviction or deletion is answered.
    fn answers(&mut self, time: f64, pod: &str, answer: Answer) {
        self.handle(time, Outcome::Answered(uid(NAMESPACE, pod), answer));
    }

    /// A look at a pod shows that.
    fn shows(&mut self, time: f64, pod: &str, seen: Seen) {
        self.handle(time, Outcome::LookedAt(uid(NAMESPACE, pod), seen));
    }

    /// The VMIs are in the record.
    fn records(&mut self, time: f64, vmis: &[&str]) {
        let vmis = vmis.iter().map(|vmi| uid(NAMESPACE, vmi)).collect();
        self.handle(time, Outcome::Recorded(Ok(vmis)));
    }

    /// The last look shows those pods.
    fn lists(&mut self, time: f64, pods: Vec<Pod>) {
        self.handle(time, Outcome::Listed(Ok(pods)));
    }

    fn handle(&mut self, time: f64, outcome: Outcome) {
        self.machine.handle(outcome, &self.snapshot, second(time));
    }

    fn last(&self) -> &Step {
        self.last.as_ref().expect("a step was taken")
    }

    /// The state of that workload after the last step: `Asked`, `Stuck NotLiveMigratable`, …
    fn state(&self, pod: &str) -> String {
        match self.full_state(pod) {
            WorkloadState::Skipped(reason) => format!("Skipped {reason:?}"),
            WorkloadState::Next => "Next".to_owned(),
            WorkloadState::Asked => "Asked".to_owned(),
            WorkloadState::Terminating { .. } => "Terminating".to_owned(),
            WorkloadState::Migrating { migration: None } => "Migrating".to_owned(),
            WorkloadState::Migrating { migration: Some(name) } => format!("Migrating {name}"),
            WorkloadState::Blocked { block, .. } => {
                assert!(!block.message.is_empty(), "{block:?}");
                format!("{:?} {:?}", block.class(), block.reason)
            }
        }
    }

    fn full_state(&self, pod: &str) -> &WorkloadState {
        let workloads = &self.last().progress.workloads;
        let found = workloads.iter().find(|workload| workload.workload.pod.name == pod);
        &found.unwrap_or_else(|| panic!("no pod {pod} in {workloads:?}")).state
    }

    /// What blocks that workload after the last step, as a sentence.
    fn sentence(&self, pod: &str) -> &str {
        match self.full_state(pod) {
            WorkloadState::Blocked { block, .. } => &block.message,
            state => panic!("{pod} is not blocked but {state:?}"),
        }
    }

    /// The phase after the last step: `Draining`, `Waiting NodeUnreachable`, …
    fn phase(&self) -> String {
        match &self.last().phase {
            DrainPhase::Waiting(block) => {
                assert!(!block.message.is_empty(), "{block:?}");
                format!("Waiting {:?}", block.reason)
            }
            phase => format!("{phase:?}"),
        }
    }

    /// The second at which the machine wants to look again after the last step.
    fn wakes(&self) -> Option<f64> {
        self.last().wake_at.map(|wake| wake.duration_since(at(0)).as_secs_f64())
    }
}

/// An action as a person would say it. A launcher pod is called after its VM, and shows its resourceVersion.
fn shown(action: &Action) -> String {
    match action {
        Action::RecordEvacuations(vmis) => {
            format!("record {}", vmis.iter().map(Uid::as_str).collect::<Vec<_>>().join(" "))
        }
        Action::Evict(evict) => {
            let version = evict.resource_version.as_ref().map_or_else(String::new, |version| format!(" at {version}"));
            let own = if evict.is_own_pod { " (own)" } else { "" };
            format!("evict {}{version}{own}", evict.pod.name)
        }
        Action::DeletePod { pod, .. } => format!("delete {}", pod.name),
        Action::DeleteInstance { instance, .. } => format!("delete VMI {}", instance.name),
        Action::CreateMigration { instance, attempt, .. } => format!("migrate {} #{attempt}", instance.name),
        Action::LookAtPod { pod, .. } => format!("look at {}", pod.name),
        Action::ListPods => "list".to_owned(),
    }
}
