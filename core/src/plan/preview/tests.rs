use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    model::{
        Budget, DrainSpec, NodeClaim,
        testing::{at, budget, launcher, maintenance, migration, node, node_name, pod, vm, vmi},
        virtual_machine::{EvictionStrategy, MigrationPhase, VirtualMachineInstance},
    },
    plan::BlockReason,
};

fn plan_of(snapshot: &Snapshot) -> Plan {
    plan(&node_name("node02"), None, snapshot, &DrainSpec::default().for_maintenance().unwrap(), at(0)).unwrap()
}

fn cluster() -> Snapshot {
    Snapshot::default().with(node("node02")).with(node("node03"))
}

fn web(number: usize) -> Pod {
    pod("shop", &format!("web-{number}")).on("node02").owned_by("ReplicaSet", "web").label("app", "web")
}

#[test]
fn who_holds_the_node_is_said_unless_it_may_not_go_anyway() {
    let held = |seconds: i64| {
        let claim = serde_json::json!({
            "metadata": { "name": "node-node02", "uid": "uid-lease" },
            "spec": { "holderIdentity": "fence-agents", "leaseDurationSeconds": 60, "renewTime": at(seconds).to_string() },
        });
        let claim: k8s_openapi::api::coordination::v1::Lease = serde_json::from_value(claim).unwrap();
        cluster().with(NodeClaim::from(claim))
    };
    let said =
        |snapshot: &Snapshot| plan_of(snapshot).warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>();
    assert_eq!(
        said(&held(0)),
        [
            "node node02 is held by fence-agents until 2026-01-01T00:01:00Z, or longer: a drain or a maintenance waits until they \
          are done with it"
        ]
    );
    assert_eq!(plan_of(&held(0)).warnings[0].reason, WarningReason::NodeLeaseHeld);
    assert!(plan_of(&held(0)).admission.is_ok(), "it waits");
    assert_eq!(said(&held(-3600)), [""; 0], "it has lapsed");
    let taken = held(0).with(maintenance("m", "node02").decided(true));
    assert_eq!(said(&taken), [""; 0], "that is said already");
}

#[test]
fn ten_pods_on_a_budget_of_one_do_not_all_look_fine() {
    let snapshot =
        cluster().with_all((0..10).map(web)).with(budget("shop", "web").selecting("app", "web").needing(9, 10, 10));
    let plan = plan_of(&snapshot);
    assert_eq!(plan.counts(), Counts { evict: 1, waits: 9, ..Counts::default() });
    assert_eq!(plan.entries[0].verdict, Verdict::Evict);
    assert_eq!(plan.entries[0].budgets, ["web"]);
    let Verdict::Blocked(block) = &plan.entries[9].verdict else { panic!("it goes") };
    assert_eq!(
        (block.reason, block.message.as_str()),
        (BlockReason::BudgetShared, "it goes after 1 other pod of budget shop/web")
    );
}

#[test]
fn a_budget_that_never_allows_is_stuck() {
    let never = budget("shop", "web").selecting("app", "web").needing(2, 2, 2);
    let both = cluster().with(web(0)).with(never.clone());
    assert_eq!(plan_of(&both).counts(), Counts { stuck: 1, ..Counts::default() });
    let several = plan_of(&both.with(budget("shop", "all").selecting_all()));
    assert_eq!(several.entries[0].budgets, ["all", "web"]);
    assert!(
        matches!(&several.entries[0].verdict, Verdict::Blocked(block) if block.reason == BlockReason::SeveralBudgets)
    );
}

#[test]
fn a_plan_is_in_the_order_of_leaving() {
    let own = ObjectKey::new("careen", "careen-0");
    let snapshot = cluster()
        .with(pod("careen", "careen-0").on("node02").owned_by("ReplicaSet", "careen"))
        .with(
            pod("kubevirt", "virt-api")
                .on("node02")
                .owned_by("ReplicaSet", "virt-api")
                .label("kubevirt.io", "virt-api"),
        )
        .with(web(1))
        .with(launcher("shop", "db").on("node02"))
        .with(vmi("shop", "db").on("node02").strategy(EvictionStrategy::LiveMigrate));
    let options = DrainSpec::default().for_maintenance().unwrap();
    let plan = plan(&node_name("node02"), Some(&own), &snapshot, &options, at(0)).unwrap();
    let names: Vec<_> = plan.entries.iter().map(|entry| entry.workload.kind_and_key().1.to_string()).collect();
    assert_eq!(names, ["shop/db", "shop/web-1", "kubevirt/virt-api", "careen/careen-0"]);
    assert_eq!(plan.counts(), Counts { evict: 3, migrate: 1, ..Counts::default() });
}

#[test]
fn a_vm_that_migrates_costs_no_budget_and_one_that_is_shut_down_does() {
    let all = || budget("shop", "all").selecting_all().needing(1, 1, 3);
    let on_node = |strategy| {
        cluster()
            .with(all())
            .with(vm("shop", "db"))
            .with(launcher("shop", "db").on("node02"))
            .with(vmi("shop", "db").on("node02").strategy(strategy))
    };
    assert_eq!(plan_of(&on_node(EvictionStrategy::LiveMigrate)).counts().migrate, 1);
    assert_eq!(plan_of(&on_node(EvictionStrategy::None)).counts().waits, 1);
}

#[test]
fn what_is_worth_knowing_is_said() {
    let full = Snapshot::default()
        .with(node("node02").tainted("kubevirt.io/drain", "NoSchedule").not_ready())
        .with(node("node03").cordoned())
        .with(web(1));
    let plan = plan_of(&full);
    let reasons: Vec<_> = plan.warnings.iter().map(|warning| warning.reason).collect();
    assert_eq!(reasons, [WarningReason::NodeUnreachable, WarningReason::KubeVirtDrainTaint]);
    assert_eq!(plan.entries[0].warnings[0].reason, WarningReason::MayNotFit);
    assert_eq!(
        plan.entries[0].warnings[0].message,
        "no other node seems to take pod shop/web-1: other nodes: 1 cordoned"
    );
    let narrow = Snapshot::of(View::Nodes).with(node("node02")).with(web(1));
    assert_eq!(plan_of(&narrow).warnings[0].reason, WarningReason::RoomUnknown);
    assert!(plan_of(&narrow).entries[0].warnings.is_empty());
}

#[test]
fn a_node_that_does_not_exist_has_no_plan_and_one_that_may_not_go_has() {
    let options = DrainSpec::default().for_maintenance().unwrap();
    assert!(matches!(plan(&node_name("nope"), None, &cluster(), &options, at(0)), Err(Refusal::NodeNotFound { .. })));
    let alone = Snapshot::default().with(node("node02").control_plane()).with(web(1));
    let plan = plan_of(&alone);
    assert!(matches!(plan.admission, Err(Refusal::QuorumLost { .. })));
    assert_eq!(plan.counts().evict, 1);
}

/// Pods in all kinds of states, some of them launchers of VMs in all kinds of states.
fn any_pod() -> impl Strategy<Value = (Pod, Option<VirtualMachineInstance>)> {
    let states = (0..6_usize, 0..4_usize, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (0..12_usize, states).prop_map(|(number, (state, kind, unready, marked, elsewhere, cannot))| {
        let name = format!("p{number}");
        let mut vmi = None;
        let mut pod = match kind {
            0 => pod("shop", &name).owned_by("ReplicaSet", "web"),
            1 => pod("shop", &name),
            2 => pod("shop", &name).owned_by("DaemonSet", "log"),
            _ => {
                let strategies = [
                    EvictionStrategy::None,
                    EvictionStrategy::LiveMigrate,
                    EvictionStrategy::LiveMigrateIfPossible,
                    EvictionStrategy::External,
                    EvictionStrategy::Unknown("Teleport".into()),
                ];
                let strategy = strategies[number % strategies.len()].clone();
                let mut instance = crate::model::testing::vmi("shop", &name).strategy(strategy);
                instance = instance.on(if elsewhere { "node03" } else { "node02" });
                instance = if marked { instance.marked("node02") } else { instance };
                vmi = Some(if cannot { instance.not_migratable() } else { instance });
                launcher("shop", &name)
            }
        };
        pod = pod.on("node02").label("app", ["web", "db"][number % 2]);
        pod = match state {
            0 => pod.pending(),
            1 => pod.finished(),
            2 => pod.terminating(at(30)),
            _ if unready => pod.unready(),
            _ => pod,
        };
        (pod, vmi)
    })
}

fn any_budget(name: &'static str, app: &'static str) -> impl Strategy<Value = Budget> {
    (0..4_i32, 0..5_i32, 0..5_i32).prop_map(move |(desired, healthy, expected)| {
        budget("shop", name).selecting("app", app).needing(desired, healthy, expected)
    })
}

fn any_cluster() -> impl Strategy<Value = Snapshot> {
    let pods = proptest::collection::vec(any_pod(), 0..15);
    let phases = [MigrationPhase::Pending, MigrationPhase::Running, MigrationPhase::Failed];
    (
        pods,
        any_budget("web", "web"),
        any_budget("db", "db"),
        proptest::sample::subsequence((0..12).collect::<Vec<_>>(), 0..6),
    )
        .prop_map(move |(pods, web, db, migrating)| {
            let mut snapshot = cluster().with(web).with(db);
            for (pod, vmi) in pods {
                snapshot = snapshot.with(pod).with_all(vmi).with(vm("shop", "p3"));
            }
            snapshot.with_all(migrating.into_iter().map(|number| {
                migration("shop", &format!("m{number}"), &format!("p{number}")).in_phase(phases[number % 3].clone())
            }))
        })
}

proptest! {
    #[test]
    fn every_pod_has_one_verdict_and_always_the_same(snapshot in any_cluster()) {
        let plan = plan_of(&snapshot);
        prop_assert_eq!(&plan, &plan_of(&snapshot.clone()));
        prop_assert_eq!(plan.entries.len(), snapshot.pods_on(&node_name("node02")).count());
        for entry in &plan.entries {
            if let Verdict::Blocked(block) = &entry.verdict {
                prop_assert!(!block.message.is_empty());
            }
        }
    }

    #[test]
    fn a_plan_never_takes_more_of_a_budget_than_it_allows(snapshot in any_cluster()) {
        let mut taken: BTreeMap<String, i32> = BTreeMap::new();
        for entry in plan_of(&snapshot).entries {
            if asks_budgets(&entry.verdict) {
                for budget in entry.budgets {
                    *taken.entry(budget).or_default() += 1;
                }
            }
        }
        for (name, taken) in taken {
            let budget = snapshot.budget(&ObjectKey::new("shop", &name)).unwrap();
            prop_assert!(taken <= budget.disruptions_allowed, "{} takes {}", name, taken);
        }
    }

    #[test]
    fn a_pod_that_is_going_is_never_blocked_by_policy(snapshot in any_cluster()) {
        let options = DrainSpec::default().for_drain().unwrap();
        for pod in snapshot.pods_on(&node_name("node02")).filter(|pod| pod.deletion.is_some()) {
            let verdict = classify(pod, &snapshot, &options).verdict;
            prop_assert!(!matches!(verdict, Verdict::Blocked(_)), "{:?}", verdict);
        }
    }

    #[test]
    fn a_vm_on_its_way_is_never_shut_down(snapshot in any_cluster()) {
        let options = DrainSpec::default().for_maintenance().unwrap();
        for pod in snapshot.pods_on(&node_name("node02")).filter(|pod| pod.deletion.is_none()) {
            let moving = crate::plan::vmi_of(pod, &snapshot)
                .is_some_and(|vmi| snapshot.unfinished_migration_of(&vmi.key).is_some());
            let verdict = classify(pod, &snapshot, &options).verdict;
            prop_assert!(!(moving && matches!(verdict, Verdict::ShutDown { .. })), "{:?}", verdict);
        }
    }
}
