//! What holds in every history of the model world.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    Action, Answer, DrainPhase, Machine, NODE, Outcome, Pod, Seen, Step, Uid, WorkloadState, second, shown,
    world::{
        Event, Millis, World,
        history::{Disturbance, History, history},
    },
};
use crate::{
    drain::Evict,
    model::{
        ObjectKey,
        testing::node_name,
        virtual_machine::{EvictionStrategy, LiveMigratable},
    },
    plan::{BudgetRule, Verdict, budget_obstacle, budget_rule, classify, is_launcher, vmi_of},
};

/// Two hours; what has not come to an end by then hangs.
const HORIZON: Millis = 7_200_000;

/// So many times at most one pod is asked to leave in that time, whatever fails.
const MOST_TRIES: u32 = 60;

/// A machine in a world, and what has been seen of it.
struct Run {
    world: World,
    machine: Machine,
    /// Requests on their way.
    open: usize,
    stopped: bool,
    /// How many evictions of a pod were sent.
    sent: BTreeMap<Uid, u32>,
    /// Pods of whose VM the machine was told that it is marked.
    knows_marked: BTreeSet<Uid>,
    /// What the list showed that was taken up last.
    listed_empty: bool,
    phase: Option<DrainPhase>,
    trace: Vec<String>,
}

#[allow(clippy::cast_precision_loss, reason = "virtual times are small")]
fn time(millis: Millis) -> jiff::Timestamp {
    second(millis as f64 / 1000.0)
}

fn machine(world: &World) -> Machine {
    let options = world.history.options.spec().for_maintenance().unwrap();
    let own_pod = ObjectKey::new("careen", "careen-0");
    Machine::new(node_name(NODE), options, Some(own_pod), time(0), world.recorded.clone())
}

impl Run {
    fn of(history: &History) -> Self {
        let world = World::new(history);
        let machine = machine(&world);
        let mut run = Self {
            world,
            machine,
            open: 0,
            stopped: false,
            sent: BTreeMap::new(),
            knows_marked: BTreeSet::new(),
            listed_empty: false,
            phase: None,
            trace: Vec::new(),
        };
        let mut wake = run.step();
        loop {
            let wake_at = wake.map(|wake| {
                let wait = wake.duration_since(time(0)).as_millis();
                Millis::try_from(wait).unwrap().max(run.world.now + 1)
            });
            let Some(next) = run.world.next_time().into_iter().chain(wake_at).min() else { break };
            if next > HORIZON {
                break;
            }
            run.world.now = next;
            while let Some(event) = run.world.next_event() {
                run.happens(event);
            }
            wake = run.step();
        }
        run.check_end();
        run
    }

    fn happens(&mut self, event: Event) {
        let now = time(self.world.now);
        match event {
            Event::Comes(outcome, was_empty) => {
                self.open -= 1;
                self.note(&format!("told {outcome:?}"));
                if let Outcome::Answered(uid, Answer::EvacuationStarted | Answer::EvacuationUnderWay)
                | Outcome::LookedAt(uid, Seen::Marked) = &outcome
                {
                    self.knows_marked.insert(uid.clone());
                }
                if matches!(outcome, Outcome::Listed(_)) {
                    self.listed_empty = was_empty.unwrap_or(false);
                }
                self.machine.handle(outcome, &self.world.seen, now);
            }
            Event::Happens(what) => {
                self.note(&format!("happens {what:?}"));
                match what {
                    Disturbance::Stop => {
                        self.stopped = true;
                        self.machine.stop();
                    }
                    Disturbance::SetOptions(options) => {
                        self.world.history.options = options;
                        self.machine.set_options(options.spec().for_maintenance().unwrap(), now);
                        self.forgive();
                    }
                    Disturbance::Restart => {
                        self.world.restart();
                        self.open = 0;
                        self.phase = None;
                        self.listed_empty = false;
                        self.machine = machine(&self.world);
                        if self.stopped {
                            self.machine.stop();
                        }
                        self.forgive();
                    }
                    what => {
                        self.world.happens(Event::Happens(what));
                        self.forgive_what_nobody_told();
                    }
                }
            }
            event => self.world.happens(event),
        }
    }

    /// A mark that was taken back may be asked for again.
    fn forgive(&mut self) {
        for uid in self.world.withdrawn.clone() {
            self.world.accepted.remove(&uid);
        }
    }

    /// A mark that was taken back before the machine could know of it: the eviction seems not to have been carried out.
    fn forgive_what_nobody_told(&mut self) {
        for uid in self.world.withdrawn.clone() {
            let of_pod = |pod: &&std::sync::Arc<Pod>| pod.uid == uid;
            let pod = self.world.seen.pods().find(of_pod);
            let vmi = pod.and_then(|pod| vmi_of(pod, &self.world.seen));
            if !self.knows_marked.contains(&uid) && vmi.is_none_or(|vmi| vmi.evacuation_node.is_none()) {
                self.world.accepted.remove(&uid);
            }
        }
    }

    fn note(&mut self, what: &str) {
        self.trace.push(format!("{:>9} {what}", self.world.now));
    }

    fn step(&mut self) -> Option<jiff::Timestamp> {
        let now = time(self.world.now);
        let step = self.machine.step(&self.world.seen, now);
        for action in &step.actions {
            self.note(&shown(action));
            self.check_action(action);
        }
        self.check_step(&step, now);
        if self.phase.as_ref() != Some(&step.phase) {
            self.note(&format!("{:?}", step.phase));
            assert!(
                step.phase != DrainPhase::Drained || self.listed_empty,
                "Drained, and the node was not empty\n{}",
                self.story()
            );
            self.phase = Some(step.phase.clone());
        }
        for action in step.actions {
            self.open += 1;
            let wait = self.world.chance.between(1, 50);
            self.world.after(wait, Event::Arrives(action));
        }
        step.wake_at
    }

    fn story(&self) -> String {
        self.trace.join("\n")
    }

    fn check_action(&mut self, action: &Action) {
        if let Action::LookAtPod { .. } = action {
            return;
        }
        assert!(!self.stopped, "it was stopped, and does {action:?}\n{}", self.story());
        match action {
            Action::Evict(evict) => self.check_eviction(evict),
            Action::DeletePod { pod, uid } => {
                let pod = self.world.seen.pod(pod).filter(|pod| pod.uid == *uid).expect("it is in the caches");
                self.check_touched(pod);
                assert!(!is_launcher(pod), "a VM is deleted\n{}", self.story());
            }
            Action::DeleteInstance { instance, .. } => {
                let vmi = self.world.seen.virtual_machine_instance(instance).unwrap();
                let can = vmi.live_migratable == LiveMigratable::Yes;
                assert!(!can && !vmi.deleting, "a VM that can migrate is shut down\n{}", self.story());
            }
            _ => {}
        }
    }

    fn check_touched(&self, pod: &Pod) {
        assert_eq!(pod.node, Some(node_name(NODE)), "{}", self.story());
        let options = self.world.history.options.spec().for_maintenance().unwrap();
        let verdict = classify(pod, &self.world.seen, &options).verdict;
        assert!(!matches!(verdict, Verdict::Skip(_)), "{} stays\n{}", pod.key, self.story());
    }

    fn check_eviction(&mut self, evict: &Evict) {
        let sent = self.sent.entry(evict.uid.clone()).or_default();
        *sent += 1;
        assert!(*sent <= MOST_TRIES, "too many tries\n{}", self.story());
        let seen = &self.world.seen;
        let pod = seen.pod(&evict.pod).filter(|pod| pod.uid == evict.uid).expect("it is in the caches");
        self.check_touched(pod);
        assert!(pod.deletion.is_none(), "{} terminates already\n{}", pod.key, self.story());
        let forbidden = match budget_rule(pod, seen) {
            BudgetRule::NotAsked => None,
            BudgetRule::One(budget) => budget_obstacle(&budget),
            BudgetRule::Several(names) => Some(crate::plan::several_budgets(pod, &names)),
        };
        assert_eq!(forbidden, None, "{}", self.story());
        let accepted = self.world.accepted.get(&evict.uid).copied().unwrap_or_default();
        assert_eq!(accepted, 0, "the eviction of {} was accepted before\n{}", pod.key, self.story());
        if is_launcher(pod) {
            assert_eq!(evict.resource_version.as_ref(), Some(&pod.resource_version));
            let vmi = vmi_of(pod, seen).expect("an orphan is not evicted");
            assert_ne!(vmi.evacuation_node, Some(node_name(NODE)), "{} is marked\n{}", vmi.key, self.story());
            assert!(seen.unfinished_migration_of(&vmi.key).is_none(), "{} migrates\n{}", vmi.key, self.story());
            let has_strategy = vmi.eviction_strategy != Some(EvictionStrategy::None);
            assert!(
                !has_strategy || self.world.recorded.contains(&vmi.uid),
                "{} is not recorded\n{}",
                vmi.key,
                self.story()
            );
        }
    }

    fn check_step(&self, step: &Step, now: jiff::Timestamp) {
        assert!(step.wake_at.is_none_or(|wake| wake > now), "it would spin\n{}", self.story());
        assert!(step.progress.percent() <= 100);
        let accepted = self.world.accepted.iter().find(|(_, count)| **count > 1);
        assert_eq!(accepted, None, "accepted twice\n{}", self.story());
        let is_over = !matches!(step.phase, DrainPhase::Draining | DrainPhase::Waiting(_));
        if is_over || self.open > 0 || !step.actions.is_empty() || step.wake_at.is_some() {
            return;
        }
        // It waits for the world alone; so it says for what.
        let named = |state: &WorkloadState| match state {
            WorkloadState::Terminating { .. } | WorkloadState::Migrating { .. } => true,
            WorkloadState::Blocked { block, .. } => !block.message.is_empty(),
            _ => false,
        };
        let all_named = step.progress.left().all(|workload| named(&workload.state));
        let waits = matches!(step.phase, DrainPhase::Waiting(_)) || step.progress.left().next().is_some();
        assert!(all_named && waits, "it hangs: {step:?}\n{}", self.story());
    }

    fn check_end(&mut self) {
        let now = time(self.world.now);
        let step = self.machine.step(&self.world.seen, now);
        let ended = match step.phase {
            DrainPhase::Drained => true,
            DrainPhase::Stopped => self.stopped,
            DrainPhase::TimedOut => self.world.history.options.timeout,
            DrainPhase::Draining => {
                self.world.history.may_stick() && step.progress.blocked().len() == step.progress.left().count()
            }
            DrainPhase::Waiting(_) | DrainPhase::NodeGone => false,
        };
        let left: Vec<_> = step.progress.left().collect();
        assert!(ended, "it did not end: {:?} {left:#?}\n{}", step.phase, self.story());
    }
}

/// `PROPTEST_CASES` asks for more than the usual 256.
fn part_of_the_cases(part: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases / part, max_shrink_iters: 2_000, failure_persistence: None, ..config }
}

proptest! {
    #![proptest_config(part_of_the_cases(1))]

    #[test]
    fn every_history_ends_well(history in history()) {
        Run::of(&history);
    }
}

proptest! {
    #![proptest_config(part_of_the_cases(8))]

    #[test]
    fn the_same_history_is_the_same_each_time(history in history()) {
        prop_assert_eq!(Run::of(&history).trace, Run::of(&history).trace);
    }
}

/// The generator reaches what the properties are about.
#[test]
fn the_histories_are_not_all_trivial() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..150 {
        let history = history().new_tree(&mut runner).unwrap().current();
        for line in Run::of(&history).trace {
            let words = ["Drained", "TimedOut", "Stopped", "NodeUnreachable", "MigrationIncoming", "Overloaded"];
            let answers = ["Accepted", "BudgetRefused", "EvacuationStarted", "Lost", "Contended", "WebhookUnavailable"];
            let actions = ["evict", "delete pod", "delete VMI", "migrate", "look at", "list", "record"];
            for word in words.into_iter().chain(answers).chain(actions) {
                if line.contains(word) {
                    seen.insert(word);
                }
            }
        }
    }
    assert_eq!(seen.len(), 19, "{seen:?}");
}
