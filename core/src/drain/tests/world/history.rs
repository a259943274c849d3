//! What a history consists of.

use proptest::prelude::*;

use super::{Event, Kind, Millis, World};
use crate::{
    drain::{
        DrainSpec, ShutDownOrBlock, ShutDownOrMigrate,
        tests::{NAMESPACE, NODE},
    },
    model::{
        Pod,
        testing::{budget, launcher, pod, vm, vmi},
        virtual_machine::{EvictionStrategy, RunStrategy},
    },
    names::CRITICAL_PRIORITY,
};

/// Where everything goes.
pub(in crate::drain::tests) const OTHER_NODE: &str = "node03";

/// A cluster, and what happens to it.
#[derive(Clone, Debug)]
pub(in crate::drain::tests) struct History {
    /// Of whatever is left to chance.
    pub(super) seed: u64,
    pub(super) workloads: Vec<Workload>,
    pub(super) budgets: Vec<BudgetPlan>,
    pub(in crate::drain::tests) options: Options,
    /// The longest time that a watch takes, in milliseconds.
    pub(super) lag: Millis,
    /// So many requests of a hundred fail, in the first two minutes.
    pub(super) faults: u64,
    pub(super) disturbances: Vec<(Millis, Disturbance)>,
}

/// A pod or a VM on the node.
#[derive(Clone, Debug)]
pub(super) enum Workload {
    /// A replica of an app; `stable` if it is made again under its name, `ready` if it is not still starting.
    Replica {
        app: u8,
        stable: bool,
        ready: bool,
        critical: bool,
    },
    Bare,
    Daemon,
    Mirror,
    Finished,
    Cache,
    Own,
    Vm(VmPlan),
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a property of its own, and all combinations occur")]
pub(super) struct VmPlan {
    pub(super) strategy: EvictionStrategy,
    pub(super) migratable: bool,
    pub(super) starting: bool,
    pub(super) restarts: bool,
    /// So many of its migrations fail before one succeeds.
    pub(super) failures: u32,
    /// Whoever is responsible for an External VM moves it.
    pub(super) is_moved: bool,
}

#[derive(Clone, Debug)]
pub(super) struct BudgetPlan {
    /// The app; `None`: every pod of the namespace.
    pub(super) app: Option<u8>,
    /// So many pods fewer than there are have to be healthy.
    pub(super) slack: i32,
}

#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own, and all combinations occur")]
pub(in crate::drain::tests) struct Options {
    pub(in crate::drain::tests) selective: bool,
    pub(in crate::drain::tests) timeout: bool,
    pub(in crate::drain::tests) delete_after: bool,
    pub(in crate::drain::tests) shut_down: bool,
    pub(in crate::drain::tests) migrate: bool,
}

/// Something that happens from outside.
#[derive(Clone, Copy, Debug)]
pub(in crate::drain::tests) enum Disturbance {
    /// A pod is bound to the node although it is cordoned.
    LatePod,
    /// A watch brings nothing for so long.
    Stall(u8, Millis),
    SetOptions(Options),
    Stop,
    Restart,
    /// Somebody takes the mark of a VM back.
    Withdraw(u8),
    /// Somebody migrates a VM.
    Migrate(u8),
    /// KubeVirt finds out that a VM can migrate after all, or cannot.
    Flip(u8),
    /// The node is not ready for so long.
    NotReady(Millis),
    /// A VM arrives by a migration that had begun before the cordon.
    Arrival,
}

impl Options {
    pub(in crate::drain::tests) fn spec(self) -> DrainSpec {
        DrainSpec {
            pod_selector: self.selective.then(|| "app!=cache".to_owned()),
            timeout: self.timeout.then(|| "10m".to_owned()),
            delete_after: self.delete_after.then(|| "5m".to_owned()),
            vm_that_cannot_migrate: self.shut_down.then_some(ShutDownOrBlock::ShutDown),
            vm_that_will_not_restart: self.shut_down.then_some(ShutDownOrBlock::ShutDown),
            vm_without_strategy: self.migrate.then_some(ShutDownOrMigrate::Migrate),
            ..DrainSpec::default()
        }
    }
}

impl History {
    /// Whether something in it may keep the node from being drained until somebody helps.
    pub(in crate::drain::tests) fn may_stick(&self) -> bool {
        let vm_sticks = |vm: &VmPlan| match vm.strategy {
            EvictionStrategy::External => !vm.is_moved || !vm.migratable,
            EvictionStrategy::None => !vm.restarts,
            EvictionStrategy::LiveMigrate => !vm.migratable,
            _ => !vm.restarts || !vm.migratable,
        };
        // One of the whole namespace counts pods that nobody makes again.
        let budget_sticks = |budget: &BudgetPlan| {
            let covers_same = |other: &&BudgetPlan| other.app == budget.app;
            budget.slack == 0 || budget.app.is_none() || self.budgets.iter().filter(covers_same).count() > 1
        };
        self.workloads.iter().any(|workload| matches!(workload, Workload::Vm(vm) if vm_sticks(vm)))
            || self.budgets.iter().any(budget_sticks)
            || self.disturbances.iter().any(|(_, what)| matches!(what, Disturbance::Withdraw(_) | Disturbance::Flip(_)))
    }

    /// Puts everything into the world.
    pub(super) fn furnish(self, world: &mut World) {
        for app in 0..3 {
            for replica in 0..2 {
                let elsewhere = app_pod(&format!("app{app}-elsewhere{replica}"), app, false);
                world.put_pod(elsewhere.on(OTHER_NODE));
            }
        }
        for (index, workload) in self.workloads.iter().enumerate() {
            furnish(index, workload, world);
        }
        for (index, plan) in self.budgets.iter().enumerate() {
            let budget = budget(NAMESPACE, &format!("budget{index}"));
            let mut budget = match plan.app {
                Some(app) => budget.selecting("app", &app_name(app)),
                None => budget.selecting_all(),
            };
            let covered = world.truth.pods().filter(|pod| budget.covers(pod)).count();
            budget.expected_pods = i32::try_from(covered).unwrap();
            budget.desired_healthy = (budget.expected_pods - plan.slack).max(0);
            world.put_budget(budget);
        }
    }
}

fn app_name(app: u8) -> String {
    format!("app{app}")
}

pub(super) fn app_pod(name: &str, app: u8, stable: bool) -> Pod {
    let owner = if stable { "StatefulSet" } else { "ReplicaSet" };
    pod(NAMESPACE, name).owned_by(owner, &app_name(app)).label("app", &app_name(app))
}

pub(super) fn vm_name(index: usize) -> String {
    format!("vm{index}")
}

fn furnish(index: usize, workload: &Workload, world: &mut World) {
    let name = format!("pod{index}");
    let pod = match workload {
        Workload::Replica { app, stable, ready, critical } => {
            let pod = app_pod(&name, *app, *stable).priority(if *critical { CRITICAL_PRIORITY } else { 0 });
            if *ready {
                pod
            } else {
                world.at(5_000, Event::Ready(pod.key.clone(), pod.uid.clone()));
                pod.unready()
            }
        }
        Workload::Bare => pod(NAMESPACE, &name),
        Workload::Daemon => pod(NAMESPACE, &name).owned_by("DaemonSet", "log"),
        Workload::Mirror => pod(NAMESPACE, &name).mirrored(),
        Workload::Finished => pod(NAMESPACE, &name).owned_by("Job", "job").finished(),
        Workload::Cache => pod(NAMESPACE, &name).owned_by("ReplicaSet", "cache").label("app", "cache"),
        Workload::Own => pod("careen", "careen-0").owned_by("ReplicaSet", "careen"),
        Workload::Vm(plan) => {
            let name = vm_name(index);
            let run = if plan.restarts { RunStrategy::Always } else { RunStrategy::Manual };
            world.put(Kind::Machine, vm(NAMESPACE, &name).run(run));
            let vmi = vmi(NAMESPACE, &name).on(NODE).strategy(plan.strategy.clone());
            let vmi = if plan.migratable { vmi } else { vmi.not_migratable() };
            if plan.starting {
                world.at(8_000, Event::Starts(vmi.key.clone()));
            }
            world.put_vmi(if plan.starting { vmi.starting() } else { vmi });
            launcher(NAMESPACE, &name)
        }
    };
    world.put_pod(pod.on(NODE));
}

fn workload() -> impl Strategy<Value = Workload> {
    let replica = (0_u8..3, any::<bool>(), proptest::bool::weighted(0.8), proptest::bool::weighted(0.1))
        .prop_map(|(app, stable, ready, critical)| Workload::Replica { app, stable, ready, critical });
    prop_oneof![
        6 => replica,
        5 => vm_plan().prop_map(Workload::Vm),
        1 => Just(Workload::Bare),
        1 => Just(Workload::Daemon),
        1 => Just(Workload::Mirror),
        1 => Just(Workload::Finished),
        1 => Just(Workload::Cache),
        1 => Just(Workload::Own),
    ]
}

fn vm_plan() -> impl Strategy<Value = VmPlan> {
    let strategy = prop_oneof![
        4 => Just(EvictionStrategy::LiveMigrate),
        3 => Just(EvictionStrategy::LiveMigrateIfPossible),
        3 => Just(EvictionStrategy::None),
        1 => Just(EvictionStrategy::External),
    ];
    let likely = || proptest::bool::weighted(0.9);
    (strategy, likely(), proptest::bool::weighted(0.2), likely(), 0_u32..3, any::<bool>()).prop_map(
        |(strategy, migratable, starting, restarts, failures, is_moved)| VmPlan {
            strategy,
            migratable,
            starting,
            restarts,
            failures,
            is_moved,
        },
    )
}

fn options() -> impl Strategy<Value = Options> {
    let seldom = || proptest::bool::weighted(0.2);
    (seldom(), seldom(), seldom(), any::<bool>(), any::<bool>()).prop_map(
        |(selective, timeout, delete_after, shut_down, migrate)| Options {
            selective,
            timeout,
            delete_after,
            shut_down,
            migrate,
        },
    )
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    prop_oneof![
        3 => Just(Disturbance::LatePod),
        4 => (0_u8..6, 1_000_u64..40_000).prop_map(|(kind, wait)| Disturbance::Stall(kind, wait)),
        2 => options().prop_map(Disturbance::SetOptions),
        1 => Just(Disturbance::Stop),
        2 => Just(Disturbance::Restart),
        1 => any::<u8>().prop_map(Disturbance::Withdraw),
        1 => any::<u8>().prop_map(Disturbance::Migrate),
        1 => any::<u8>().prop_map(Disturbance::Flip),
        1 => (1_000_u64..100_000).prop_map(Disturbance::NotReady),
        1 => Just(Disturbance::Arrival),
    ]
}

/// Any history.
pub(in crate::drain::tests) fn history() -> impl Strategy<Value = History> {
    let budget = (proptest::option::weighted(0.9, 0_u8..3), prop_oneof![1 => Just(0), 9 => 1_i32..3])
        .prop_map(|(app, slack)| BudgetPlan { app, slack });
    let budgets = proptest::collection::vec(budget, 0..3);
    let workloads = proptest::collection::vec(workload(), 0..10);
    let lag = prop_oneof![Just(20_u64), Just(500), Just(15_000)];
    let faults = prop_oneof![Just(0_u64), Just(10), Just(40)];
    let time = prop_oneof![0_u64..3_000, 0_u64..120_000];
    let disturbances = proptest::collection::vec((time, disturbance()), 0..5);
    (any::<u64>(), workloads, budgets, options(), lag, faults, disturbances).prop_map(
        |(seed, mut workloads, budgets, options, lag, faults, disturbances)| {
            let mut own = 0;
            workloads.retain(|workload| {
                !matches!(workload, Workload::Own) || {
                    own += 1;
                    own == 1
                }
            });
            History { seed, workloads, budgets, options, lag, faults, disturbances }
        },
    )
}
