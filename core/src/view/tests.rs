use serde_json::json;

use super::*;
use crate::{
    cluster::Snapshot,
    drain::{DrainSpec, EvictOrBlock},
    model::{
        BlockReason, Blocking, NodeMaintenanceStatus, ObjectKey, Record, Ticket,
        testing::{at, budget, drain_order, launcher, maintenance, migration, node, node_name, pod, vm, vmi},
        virtual_machine::{EvictionStrategy, MigrationPhase},
    },
    names::DRAIN_TAINT_KEY,
};

fn views(snapshot: Snapshot) -> Views {
    Views::of(snapshot, at(100))
}

/// node02 under maintenance: a pod whose budget allows nothing, a VM that waits for its migration, a DaemonSet's pod.
fn under_maintenance() -> Snapshot {
    let mut object = maintenance("m", "node02").decided(true);
    object.spec.ticket = Some(Ticket { id: "CHG1".into(), url: None });
    let status = object.status.get_or_insert_with(NodeMaintenanceStatus::default);
    status.started_at = Some(at(10));
    status.blocking = vec![Blocking {
        kind: "Pod".into(),
        namespace: "shop".into(),
        name: "web".into(),
        class: crate::plan::BlockClass::Stuck,
        reason: BlockReason::BudgetNeverAllows,
        message: String::new(),
        since: at(20),
    }];
    let record = Record::begin(&object.actor(), &node("node02"), Some(DRAIN_TAINT_KEY), at(10));
    Snapshot::default()
        .with(node("node02").cordoned().tainted(DRAIN_TAINT_KEY, "NoSchedule").control_plane().with_record(&record))
        .with(object)
        .with(pod("shop", "web").owned_by("ReplicaSet", "web").label("app", "web").on("node02"))
        .with(budget("shop", "web").selecting("app", "web").needing(3, 3, 3))
        .with(pod("kube-system", "log").owned_by("DaemonSet", "log").on("node02"))
        .with(launcher("shop", "db").on("node02"))
        .with(vmi("shop", "db").on("node02").strategy(EvictionStrategy::LiveMigrate).marked("node02"))
        .with(vm("shop", "db"))
        .with(migration("shop", "m1", "db").evacuating("node02"))
}

#[test]
fn a_node_says_who_acts_on_it_and_what_was_done() {
    let shown = views(under_maintenance()).node(&node_name("node02")).unwrap();
    assert_eq!((shown.schedulable, shown.ready, shown.pods, shown.virtual_machine_instances), (false, true, 3, 1));
    assert_eq!(shown.roles, ["control-plane"]);
    let acting = shown.acting.unwrap();
    assert_eq!((acting.name.as_str(), acting.may_be_left_behind), ("m", false));
    assert_eq!(acting.lease_holder.unwrap(), "careen/maintenance/uid-maintenance-m");
    assert_eq!(shown.maintenance.unwrap().ticket.unwrap().id, "CHG1");
    assert_eq!(shown.record.unwrap().added_taint.unwrap(), DRAIN_TAINT_KEY);
    let unreadable = views(Snapshot::default().with(node("node02").with_record_text("{")));
    let shown = unreadable.node(&node_name("node02")).unwrap();
    assert!(shown.record.is_none() && shown.record_problem.is_some() && shown.acting.is_none());
}

#[test]
fn workloads_say_what_blocks_them_and_since_when_while_one_acts() {
    let views = views(under_maintenance());
    let shown = views.workloads_on(&node_name("node02"));
    let of = |name: &str| shown.iter().find(|workload| workload.name == name).unwrap();
    let web = of("web");
    let blocked = web.blocked.as_ref().unwrap();
    assert_eq!((blocked.reason, blocked.since), (BlockReason::BudgetNeverAllows, Some(at(20))));
    assert_eq!((web.budgets[0].disruptions_allowed, web.budgets[0].desired_healthy), (0, 3));
    let db = of("db");
    assert_eq!(db.kind, WorkloadKindView::VirtualMachineInstance);
    assert_eq!(db.blocked.as_ref().unwrap().reason, BlockReason::MigrationQueued);
    assert_eq!(db.blocked.as_ref().unwrap().since, None, "the leader has not said since when");
    assert_eq!(db.owner.as_ref().unwrap().kind, "VirtualMachine");
    assert_eq!(of("log").state, Some(WorkloadStateKind::Skipped));
    assert_eq!(views.workload(&ObjectKey::new("shop", "web")).as_ref(), Some(web));
    let covered: Vec<_> =
        views.pods_of_budget(&ObjectKey::new("shop", "web")).map(|pod| &pod.key.name).cloned().collect();
    assert_eq!(covered, ["web"]);
}

#[test]
fn a_workload_of_a_node_that_nobody_acts_on_has_no_verdict() {
    let views = views(Snapshot::default().with(node("node02")).with(pod("shop", "web").on("node02")));
    let shown = views.workloads_on(&node_name("node02"));
    assert!(shown[0].verdict.is_none() && shown[0].state.is_none() && shown[0].blocked.is_none());
}

#[test]
fn a_vm_says_where_its_strategy_comes_from_and_how_its_migration_is_doing() {
    let views = views(under_maintenance());
    let shown = views.virtual_machine_instance(&ObjectKey::new("shop", "db")).unwrap();
    assert_eq!(
        (shown.eviction_strategy.as_str(), shown.strategy_from),
        ("LiveMigrate", StrategyOrigin::VirtualMachineInstance)
    );
    assert_eq!(
        (shown.live_migratable, shown.restarts, shown.run_strategy.as_deref()),
        (Some(true), true, Some("Always"))
    );
    let migration = shown.migration.unwrap();
    assert_eq!(migration.waits_for.unwrap().kind, WaitsForKind::Queue);
    assert_eq!((migration.attempt, migration.source.as_deref()), (Some(1), Some("node02")));
    assert_eq!(views.migration(&ObjectKey::new("shop", "m1")).unwrap(), migration);
    let plain =
        Views::of(Snapshot::of(crate::cluster::View::Nodes).with(vmi("shop", "db")).with(migration_of("db")), at(0));
    let unseen = plain.virtual_machine_instance(&ObjectKey::new("shop", "db")).unwrap();
    assert_eq!(unseen.migration.unwrap().waits_for.unwrap().kind, WaitsForKind::Unknown);
    assert_eq!(unseen.strategy_from, StrategyOrigin::Cluster);
}

fn migration_of(vmi: &str) -> crate::model::virtual_machine::Migration {
    migration("shop", "m1", vmi).in_phase(MigrationPhase::Pending)
}

#[test]
fn a_drain_shows_its_progress_from_any_replica() {
    let mut order = drain_order("d1", "node02").begun(at(10));
    order.request.options = DrainSpec { unmanaged_pods: Some(EvictOrBlock::Block), ..DrainSpec::default() };
    order.status.had_to_leave = 4;
    let record = Record::begin(&order.actor(), &node("node02"), None, at(10));
    let snapshot = Snapshot::default()
        .with(node("node02").cordoned().with_record(&record))
        .with(pod("shop", "debug").on("node02"))
        .with(order.clone());
    let shown = views(snapshot.clone()).drain(&node_name("node02")).unwrap();
    assert_eq!(shown.phase, DrainPhaseView::Draining);
    assert_eq!(shown.progress, Some(DrainProgressView { had_to_leave: 4, left: 1, blocked: 1, percent: 75 }));
    let fresh = Snapshot::default().with(node("node02")).with(drain_order("d1", "node02"));
    assert_eq!(views(fresh).drain(&node_name("node02")).unwrap().phase, DrainPhaseView::Ordered);
}

#[test]
fn json_is_in_camel_case_and_pascal_case() {
    let views = views(under_maintenance());
    let shown = json!(views.workloads_on(&node_name("node02")));
    let web = shown.as_array().unwrap().iter().find(|workload| workload["name"] == "web").unwrap();
    assert_eq!(web["blocked"]["reason"], "BudgetNeverAllows");
    assert_eq!((&web["budgets"][0]["disruptionsAllowed"], &web["verdict"]["verdict"]), (&json!(0), &json!("Evict")));
    let node = json!(views.node(&node_name("node02")));
    assert_eq!((&node["maintenance"]["phase"], &node["acting"]["kind"]), (&json!("Undecided"), &json!("Maintenance")));
    let plan = crate::plan::plan(
        &node_name("node02"),
        None,
        views.snapshot(),
        &DrainSpec::default().for_drain().unwrap(),
        at(0),
    );
    let plan = json!(PlanView::from(&plan.unwrap()));
    assert_eq!(plan["refusal"]["reason"], "AlreadyUnderMaintenance");
    assert!(plan["workloads"].as_array().unwrap().iter().any(|entry| entry["skipReason"] == "DaemonSet"));
}

/// A question about all nodes of a big cluster, and one about a hundred nodes with their workloads. The bounds are for
/// a debug build on a busy machine, a hundred times above what a scan of all pods for each node would stay below.
#[test]
fn a_big_cluster_is_answered_by_index() {
    let mut snapshot = Snapshot::default();
    for number in 0..1_000 {
        let name = format!("node{number:04}");
        snapshot.put(node(&name));
        if number % 10 == 0 {
            snapshot.put(maintenance(&format!("m{number}"), &name).decided(true));
        }
        for index in 0..30 {
            let namespace = format!("ns{}", index % 10);
            snapshot.put(
                pod(&namespace, &format!("web-{number}-{index}"))
                    .owned_by("ReplicaSet", "web")
                    .label("app", "web")
                    .on(&name),
            );
        }
    }
    for index in 0..10 {
        snapshot.put(budget(&format!("ns{index}"), "web").selecting("app", "web"));
    }
    let begun = std::time::Instant::now();
    let views = views(snapshot);
    assert_eq!(views.nodes().filter(|node| node.pods == 30 && node.acting.is_some()).count(), 100);
    let nodes = begun.elapsed();
    let begun = std::time::Instant::now();
    let asked = views.snapshot().nodes().take(100).map(|node| node.name.clone()).collect::<Vec<_>>();
    assert_eq!(asked.iter().map(|node| views.workloads_on(node).len()).sum::<usize>(), 3_000);
    let workloads = begun.elapsed();
    println!("1,000 nodes: {nodes:?}; 3,000 workloads of 100 nodes: {workloads:?}");
    assert!(nodes.as_secs() < 5 && workloads.as_secs() < 5, "{nodes:?} {workloads:?}");
}
