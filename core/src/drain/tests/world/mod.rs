//! A model of a cluster: a truth, caches that lag behind it, and a virtual clock.
//!
//! | file | holds |
//! |---|---|
//! | `history` | what a history consists of, as proptest makes and shrinks it |
//! | `server` | the API server, with KubeVirt's webhook, and its faults |
//! | `actors` | kubelet, workload controllers, budgets |
//! | `kubevirt` | evacuation, migrations, VMs that start again |
//!
//! Each kind of object reaches the caches by a watch of its own: late, in order, and not together with other kinds.

pub(super) mod history;

mod actors;
mod kubevirt;
mod server;

use std::collections::{BTreeMap, BTreeSet};

use history::{Disturbance, History, OTHER_NODE};

use super::{Action, NAMESPACE, NODE, Outcome};
use crate::{
    cluster::{Kept, Snapshot},
    model::{
        Budget, ObjectKey, Pod, Uid,
        testing::node,
        virtual_machine::{Migration, VirtualMachineInstance},
    },
};

/// Milliseconds since the drain began.
pub(super) type Millis = u64;

/// A source of chance that is the same for the same seed (splitmix64).
pub(super) struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// The kinds of objects, each with a watch of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Node,
    Pod,
    Budget,
    Instance,
    Migration,
    Machine,
}

type Show = Box<dyn FnOnce(&mut Snapshot)>;

/// Something that happens at its time.
pub(super) enum Event {
    /// The caches take up a change.
    Seen(Show),
    /// A request reaches the API server.
    Arrives(Action),
    /// Its outcome reaches the machine; for a list, with whether the node was empty in truth when it was made.
    Comes(Outcome, Option<bool>),
    /// A pod's containers end.
    Ends(ObjectKey, Uid),
    /// A pod becomes ready.
    Ready(ObjectKey, Uid),
    /// A controller makes a pod.
    Makes(Box<Pod>),
    /// The budgets are worked out.
    Budgets,
    /// KubeVirt looks at its VMs.
    KubeVirt,
    /// A migration takes its next step.
    Migrates(ObjectKey),
    /// A VM has started.
    Starts(ObjectKey),
    /// Its VirtualMachine starts a VM again.
    Restarts(String),
    /// The node is ready again.
    Recovers,
    /// What the history has in store.
    Happens(Disturbance),
}

/// The world.
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) chance: Chance,
    pub(super) truth: Snapshot,
    pub(super) seen: Snapshot,
    pub(super) history: History,
    /// VMIs that the node's record names.
    pub(super) recorded: BTreeSet<Uid>,
    /// Evictions and deletions that were carried out, by pod UID.
    pub(super) accepted: BTreeMap<Uid, u32>,
    /// Pods whose eviction may be asked for again: the mark was taken back, and then somebody asked for it.
    pub(super) withdrawn: BTreeSet<Uid>,
    events: BTreeMap<(Millis, u64), Event>,
    shown_until: [Millis; 6],
    version: u64,
    count: u64,
    budgets_due: bool,
    kubevirt_due: bool,
    /// When the eviction of a pod was counted by its budget, by its name.
    counted: BTreeMap<String, Millis>,
    /// When the last migration of a VM failed, and how many have in a row.
    failures: BTreeMap<String, (Millis, u32)>,
}

impl World {
    pub(super) fn new(history: &History) -> Self {
        let mut world = Self {
            now: 0,
            chance: Chance(history.seed),
            truth: Snapshot::default(),
            seen: Snapshot::default(),
            history: history.clone(),
            recorded: BTreeSet::new(),
            accepted: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            events: BTreeMap::new(),
            shown_until: [0; 6],
            version: 1,
            count: 0,
            budgets_due: false,
            kubevirt_due: false,
            counted: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        world.put(Kind::Node, node(NODE).cordoned());
        world.put(Kind::Node, node(OTHER_NODE));
        history.clone().furnish(&mut world);
        world.work_budgets_out();
        for (at, disturbance) in &history.disturbances {
            world.at(*at, Event::Happens(*disturbance));
        }
        world.show_everything();
        world
    }

    pub(super) fn at(&mut self, time: Millis, event: Event) {
        self.count += 1;
        self.events.insert((time.max(self.now), self.count), event);
    }

    pub(super) fn after(&mut self, wait: Millis, event: Event) {
        self.at(self.now + wait, event);
    }

    pub(super) fn next_time(&self) -> Option<Millis> {
        self.events.keys().next().map(|(time, _)| *time)
    }

    /// The next event of the present moment.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        let entry = self.events.first_entry().filter(|entry| entry.key().0 <= self.now)?;
        Some(entry.remove())
    }

    /// The process dies: its caches are filled anew, its open requests are carried out or not.
    pub(super) fn restart(&mut self) {
        let mut open = Vec::new();
        self.events = std::mem::take(&mut self.events)
            .into_iter()
            .filter_map(|(key, event)| match event {
                Event::Arrives(action) => {
                    open.push(action);
                    None
                }
                Event::Comes(..) => None,
                event => Some((key, event)),
            })
            .collect();
        for action in open {
            if self.chance.percent(50) {
                self.serve(&action);
            }
        }
        self.show_everything();
    }

    fn show_everything(&mut self) {
        self.events.retain(|_, event| !matches!(event, Event::Seen(_)));
        self.seen = self.truth.clone();
        self.shown_until = [self.now; 6];
    }

    /// The watch of that kind brings nothing for a while.
    pub(super) fn stall(&mut self, kind: Kind, wait: Millis) {
        let until = &mut self.shown_until[kind as usize];
        *until = (*until).max(self.now + wait);
    }

    fn show(&mut self, kind: Kind, show: Show) {
        let lag = self.chance.between(1, self.history.lag.max(1));
        let time = (self.now + lag).max(self.shown_until[kind as usize]);
        self.shown_until[kind as usize] = time;
        self.at(time, Event::Seen(show));
    }

    pub(super) fn put<K: Kept>(&mut self, kind: Kind, object: K) {
        self.truth.put(object.clone());
        self.show(
            kind,
            Box::new(move |seen| {
                seen.put(object);
            }),
        );
    }

    fn take<K: Kept>(&mut self, kind: Kind, key: K::Key)
    where
        K::Key: 'static,
    {
        self.truth.take::<K>(&key);
        self.show(
            kind,
            Box::new(move |seen| {
                seen.take::<K>(&key);
            }),
        );
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(super) fn put_pod(&mut self, mut pod: Pod) {
        pod.resource_version = self.next_version();
        self.put(Kind::Pod, pod);
        if !self.budgets_due {
            self.budgets_due = true;
            let wait = self.chance.between(5, 500);
            self.after(wait, Event::Budgets);
        }
    }

    pub(super) fn take_pod(&mut self, pod: &Pod) {
        self.take::<Pod>(Kind::Pod, pod.key.clone());
        if !self.budgets_due {
            self.budgets_due = true;
            let wait = self.chance.between(5, 500);
            self.after(wait, Event::Budgets);
        }
    }

    pub(super) fn put_budget(&mut self, mut budget: Budget) {
        budget.resource_version = self.next_version();
        self.put(Kind::Budget, budget);
    }

    pub(super) fn put_vmi(&mut self, vmi: VirtualMachineInstance) {
        self.put(Kind::Instance, vmi);
        self.wake_kubevirt();
    }

    pub(super) fn put_migration(&mut self, migration: Migration) {
        self.put(Kind::Migration, migration);
        self.wake_kubevirt();
    }

    fn wake_kubevirt(&mut self) {
        if !self.kubevirt_due {
            self.kubevirt_due = true;
            let wait = self.chance.between(10, 150);
            self.after(wait, Event::KubeVirt);
        }
    }

    /// The pod of that name and UID, if it is there.
    pub(super) fn pod(&self, key: &ObjectKey, uid: &Uid) -> Option<Pod> {
        self.truth.pod(key).filter(|pod| pod.uid == *uid).map(|pod| Pod::clone(pod))
    }

    pub(super) fn vmi(&self, name: &str) -> Option<VirtualMachineInstance> {
        let key = ObjectKey::new(NAMESPACE, name);
        self.truth.virtual_machine_instance(&key).map(|vmi| VirtualMachineInstance::clone(vmi))
    }
}
