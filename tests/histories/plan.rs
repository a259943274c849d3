//! What a history is to be: a cluster and what happens on it, made from a seed alone.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::workloads;

/// Nothing happens before: by then everything that fits on the cluster runs.
const CALM: Duration = Duration::from_secs(60);
/// All that happens, happens in this time after that; what was begun may end later.
const EVENTFUL: Duration = Duration::from_secs(300);

/// A history before it is lived.
#[derive(Clone, Debug)]
pub struct Plan {
    /// It comes from this.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// KubeVirt's strategy for VMs that name none.
    pub eviction_strategy: Option<&'static str>,
    /// KubeVirt's limits of migrations: in the cluster, and from one node.
    pub parallel_migrations: (u8, u8),
    /// Nodes that somebody had cordoned before anything ran.
    pub empty_nodes: Vec<String>,
    /// What runs on it.
    pub objects: Vec<Value>,
    /// What happens, in order.
    pub happenings: Vec<(Duration, Happening)>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Somebody starts the maintenance of a node.
    Maintain {
        /// The node.
        node: String,
        /// `spec.drain`.
        drain: Value,
    },
    /// Somebody ends it.
    End {
        /// The node.
        node: String,
    },
    /// Somebody changes how its node is drained.
    Change {
        /// The node.
        node: String,
        /// `spec.drain`.
        drain: Value,
    },
    /// Careen is stopped in good order, and another starts after that time.
    Restart(Duration),
    /// Careen ends in the middle of whatever it does, and another starts after that time.
    Crash(Duration),
    /// Somebody cordons a node, or uncordons it.
    Cordon {
        /// The node.
        node: String,
        /// Whether it is to take no pods.
        cordoned: bool,
    },
    /// Somebody binds a pod to a node, past the scheduler.
    PodArrives {
        /// The node.
        node: String,
    },
    /// virt-api is away for so long.
    VirtApiDown(Duration),
    /// Of a hundred requests of Careen's so many go wrong, for so long.
    Faults {
        /// Of a hundred.
        percent: u8,
        /// For so long.
        lasts: Duration,
    },
    /// Careen's watches are told nothing for so long.
    WatchesHeld {
        /// Only those of pods.
        of_pods: bool,
        /// For so long.
        lasts: Duration,
    },
    /// The API server closes all watches, and may have forgotten what happened before.
    WatchesClosed {
        /// Whether it has.
        expired: bool,
    },
}

impl Plan {
    /// The history of that seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let random = &mut Rng::with_seed(seed);
        let nodes = random.usize(3..=8);
        let objects = workloads::random(random);
        let (happenings, empty_nodes) = happenings(random, nodes);
        Self {
            seed,
            nodes,
            eviction_strategy: *choice(random, &[None, None, Some("LiveMigrate"), Some("LiveMigrateIfPossible")]),
            parallel_migrations: (random.u8(1..=5), random.u8(1..=2)),
            empty_nodes,
            objects,
            happenings,
        }
    }
}

/// One of them.
pub fn choice<'a, T>(random: &mut Rng, of: &'a [T]) -> &'a T {
    &of[random.usize(..of.len())]
}

/// Whether something comes to pass that does so many times of a hundred.
pub fn seldom(random: &mut Rng, percent: u8) -> bool {
    random.u8(..100) < percent
}

fn seconds(random: &mut Rng, below: u64) -> Duration {
    Duration::from_millis(random.u64(1..below * 1000))
}

/// What happens, and which nodes are empty before.
fn happenings(random: &mut Rng, nodes: usize) -> (Vec<(Duration, Happening)>, Vec<String>) {
    let mut all: Vec<(Duration, Happening)> = Vec::new();
    let mut empty = Vec::new();
    let mut names: Vec<String> = (1..=nodes).map(|number| format!("node{number:02}")).collect();
    random.shuffle(&mut names);
    let at = |random: &mut Rng| CALM + Duration::from_secs(1) + seconds(random, EVENTFUL.as_secs());
    // Two nodes stay in service, so that whatever leaves has somewhere to go.
    let most = (nodes - 2).min(3);
    let maintained: Vec<String> = names.iter().take(random.usize(1..=most)).cloned().collect();
    for node in &maintained {
        if seldom(random, 15) {
            all.push((CALM / 2, Happening::Cordon { node: node.clone(), cordoned: true }));
        }
        let mut begin = at(random);
        if seldom(random, 20) {
            // A pod that was bound just before the maintenance, and that Careen's caches do not show yet: they show
            // nothing that has to leave.
            empty.push(node.clone());
            let held = Happening::WatchesHeld { of_pods: true, lasts: seconds(random, 30) };
            all.push((begin, held));
            all.push((begin + Duration::from_millis(10), Happening::PodArrives { node: node.clone() }));
            begin += Duration::from_millis(20);
        }
        all.push((begin, Happening::Maintain { node: node.clone(), drain: drain(random) }));
        if seldom(random, 25) {
            let later = begin + seconds(random, 60);
            all.push((later, Happening::Change { node: node.clone(), drain: drain(random) }));
        }
        if seldom(random, 25) {
            let end = begin + seconds(random, 90);
            all.push((end, Happening::End { node: node.clone() }));
            if seldom(random, 40) {
                let again = end + seconds(random, 60);
                all.push((again, Happening::Maintain { node: node.clone(), drain: drain(random) }));
            }
        }
        if seldom(random, 15) {
            let cordoned = random.bool();
            all.push((begin + seconds(random, 60), Happening::Cordon { node: node.clone(), cordoned }));
        }
        if seldom(random, 15) {
            all.push((begin + seconds(random, 60), Happening::PodArrives { node: node.clone() }));
        }
    }
    for _ in 0..random.usize(0..=3) {
        let what = match random.u8(..7) {
            0 => Happening::Restart(seconds(random, 20)),
            1 => Happening::Crash(seconds(random, 40)),
            2 => Happening::VirtApiDown(seconds(random, 120)),
            3 | 4 => Happening::Faults { percent: random.u8(5..60), lasts: seconds(random, 120) },
            5 => Happening::WatchesHeld { of_pods: random.bool(), lasts: seconds(random, 40) },
            _ => Happening::WatchesClosed { expired: random.bool() },
        };
        all.push((at(random), what));
    }
    // Stable: what was pushed first stays first.
    all.sort_by_key(|(at, _)| *at);
    (all, empty)
}

/// `spec.drain`: most people leave it out.
fn drain(random: &mut Rng) -> Value {
    let mut drain = json!({});
    let options = [
        ("podSelector", "app!=cache", 10),
        ("deleteAfter", "2m", 10),
        ("timeout", "5m", 5),
        ("unmanagedPods", "Block", 10),
        ("emptyDirPods", "Block", 10),
        ("vmThatCannotMigrate", "ShutDown", 15),
        ("vmThatWillNotRestart", "ShutDown", 15),
        ("vmWithoutStrategy", "Migrate", 25),
        ("runningMigrationsOnStop", "Abort", 25),
    ];
    for (option, value, percent) in options {
        if seldom(random, percent) {
            drain[option] = value.into();
        }
    }
    drain
}
