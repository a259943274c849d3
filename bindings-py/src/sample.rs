//! One of each view with everything filled in, and every word of each enumeration: what Python's models are held to.
//!
//! Structs are written out and enumerations matched in full, so that a field or a word that the engine gets does not
//! compile here until it is in, and is not tested in Python until a model has it.

#![expect(clippy::unnecessary_wraps, reason = "what may be absent is there in each sample")]

use std::collections::BTreeMap;

use careen_core::{
    migration::QueuePlace,
    model::{
        Actor, ActorKind, BlockClass, BlockReason, Blocking, ConditionStatus, DrainEnd, DrainOutcome, DrainSpec,
        EvictOrBlock, LeaveOrAbort, MigrateBy, PodPhase, Record, ShutDownBy, ShutDownOrBlock, ShutDownOrMigrate,
        SkipReason, TaintEffect, Ticket, Trouble, TroubleReason, Uid, UnhealthyPodEvictionPolicy,
        virtual_machine::VmiPhase,
    },
    plan::{Counts, Tier, Warning, WarningReason},
    view::{
        ActingView, BlockView, BudgetView, ConditionView, DrainPhaseView, DrainProgressView, DrainReference,
        MaintenancePhaseView, MaintenanceReference, MaintenanceView, MigrationView, NodeView, OwnerView, PlanEntryView,
        PlanView, RefusalView, StrategyOrigin, TaintView, VerdictKind, VerdictView, VirtualMachineInstanceView,
        WaitView, WaitsForKind, WorkloadKindView, WorkloadStateKind, WorkloadView,
    },
};
use jiff::Timestamp;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::{
    cluster::node_name,
    drain_event::{DrainEventView, DrainWorkloadView},
    error::Error,
    resources::nodes::NodeChangeView,
};

/// The words of each enumeration, by the name of Python's class.
fn words() -> BTreeMap<&'static str, Value> {
    let mut all = BTreeMap::new();
    macro_rules! words {
        ($($class:literal = $type:ident { $($word:ident),* $(,)? })*) => {$(
            const _: fn($type) = |word| match word { $($type::$word => {})* };
            all.insert($class, json!([$($type::$word),*]));
        )*};
    }
    words! {
        "ActorKind" = ActorKind { Maintenance, Order, Process }
        "BlockClass" = BlockClass { Stuck, Waits }
        "BlockReason" = BlockReason {
            SeveralBudgets, BudgetNeverAllows, BudgetSyncFailed, NotLiveMigratable, WillNotRestart, ExternalStrategy,
            UnknownStrategy, EvacuationWithdrawn, OrphanedLauncher, UnmanagedPod, EmptyDirData, Forbidden,
            EvictionRefused, ReturnsToNode, BudgetExhausted, BudgetNotObserved, BudgetShared, VirtualMachineStarting,
            MigrationQueued, MigrationBackoff, MigrationIncoming, HotplugFollowsVirtualMachine, OrderedAfterOthers,
            NodeUnreachable, TerminationOverdue, NamespaceTerminating, WebhookUnavailable, ApiServerUnavailable,
        }
        "ConditionStatus" = ConditionStatus { True, False, Unknown }
        "DrainEnd" = DrainEnd { Drained, Cancelled, TimedOut, NodeGone, Refused }
        "DrainPhase" = DrainPhaseView {
            Ordered, Draining, Waiting, Cancelling, Drained, Cancelled, TimedOut, NodeGone, Refused,
        }
        "EvictOrBlock" = EvictOrBlock { Evict, Block }
        "LeaveOrAbort" = LeaveOrAbort { Leave, Abort }
        "MaintenancePhase" = MaintenancePhaseView { Undecided, Running, Succeeded, Failed, Stopping, Ended }
        "MigrateBy" = MigrateBy { Evacuation, OwnMigration }
        "PodPhase" = PodPhase { Pending, Running, Succeeded, Failed, Unknown }
        "ShutDownBy" = ShutDownBy { Eviction, DeletingTheInstance }
        "ShutDownOrBlock" = ShutDownOrBlock { ShutDown, Block }
        "ShutDownOrMigrate" = ShutDownOrMigrate { ShutDown, Migrate }
        "SkipReason" = SkipReason { DaemonSet, Mirror, Deselected, CompletedLauncher }
        "StrategyOrigin" = StrategyOrigin { VirtualMachineInstance, Cluster }
        "TaintEffect" = TaintEffect { NoSchedule, PreferNoSchedule, NoExecute }
        "Tier" = Tier { First, Critical, OwnPod }
        "TroubleReason" = TroubleReason {
            InvalidSpec, NodeGone, NodeLeaseHeld, NodeLeaseUnconfirmed, NamespaceMissing, RecordOfAnother,
            RecordUnreadable, NodeNotChanged, CachesNotFilled, CachesOld, Forbidden, Contended, ApiServerUnavailable,
        }
        "UnhealthyPodEvictionPolicy" = UnhealthyPodEvictionPolicy { IfHealthyBudget, AlwaysAllow }
        "VerdictKind" = VerdictKind { Skip, Evict, Delete, Migrate, ShutDown, Blocked }
        "VirtualMachineInstancePhase" = VmiPhase { Starting, Running, Ended, Unknown }
        "WaitsFor" = WaitsForKind { Backoff, Queue, Unknown }
        "WarningReason" = WarningReason { MayNotFit, RoomUnknown, NodeUnreachable, NodeLeaseHeld, KubeVirtDrainTaint }
        "WorkloadKind" = WorkloadKindView { Pod, VirtualMachineInstance }
        "WorkloadState" = WorkloadStateKind { Skipped, Next, Terminating, Migrating, Blocked }
    }
    all
}

fn text() -> Option<String> {
    Some("text".to_owned())
}

fn plain() -> String {
    "text".to_owned()
}

fn uid() -> Uid {
    Uid::from("uid")
}

fn time() -> Option<Timestamp> {
    Timestamp::from_microsecond(1_790_000_000_250_000).ok()
}

fn block() -> BlockView {
    BlockView { class: BlockClass::Stuck, reason: BlockReason::Forbidden, message: plain(), since: time() }
}

fn condition() -> ConditionView {
    ConditionView { type_: plain(), status: ConditionStatus::True, reason: plain(), message: plain(), since: time() }
}

fn ticket() -> Option<Ticket> {
    Some(Ticket { id: plain(), url: text() })
}

fn actor() -> Actor {
    Actor { kind: ActorKind::Process, name: plain(), uid: uid() }
}

fn owner() -> Option<OwnerView> {
    Some(OwnerView { api_version: plain(), kind: plain(), name: plain(), uid: uid() })
}

fn trouble() -> Option<Trouble> {
    Some(Trouble { reason: TroubleReason::Forbidden, message: plain() })
}

fn blocking() -> Vec<Blocking> {
    let since = time().unwrap_or_default();
    let (class, reason) = (BlockClass::Waits, BlockReason::BudgetShared);
    vec![Blocking { kind: "Pod".into(), namespace: plain(), name: plain(), class, reason, message: plain(), since }]
}

fn options() -> Option<DrainSpec> {
    Some(DrainSpec {
        pod_selector: text(),
        timeout: Some("1h30m".to_owned()),
        delete_after: Some("1s500ms".to_owned()),
        unmanaged_pods: Some(EvictOrBlock::Evict),
        empty_dir_pods: Some(EvictOrBlock::Block),
        vm_that_cannot_migrate: Some(ShutDownOrBlock::ShutDown),
        vm_that_will_not_restart: Some(ShutDownOrBlock::Block),
        vm_without_strategy: Some(ShutDownOrMigrate::Migrate),
        running_migrations_on_stop: Some(LeaveOrAbort::Abort),
        override_quorum: Some(true),
    })
}

fn node() -> Result<NodeView, Error> {
    Ok(NodeView {
        name: node_name("node02")?,
        uid: uid(),
        resource_version: plain(),
        created_at: time(),
        ready: true,
        ready_since: time(),
        not_ready_message: text(),
        schedulable: false,
        roles: vec![plain()],
        kubelet_version: text(),
        labels: BTreeMap::from([("example.com/a_b".to_owned(), plain())]),
        taints: vec![TaintView { key: plain(), value: text(), effect: plain(), time_added: time() }],
        conditions: vec![condition()],
        pods: 3,
        virtual_machine_instances: 2,
        acting: Some(ActingView {
            kind: ActorKind::Order,
            name: plain(),
            lease_holder: text(),
            may_be_left_behind: true,
        }),
        maintenance: Some(MaintenanceReference {
            name: plain(),
            phase: MaintenancePhaseView::Running,
            reason: text(),
            ticket: ticket(),
            started_at: time(),
            drain_progress: Some(50),
            blocked: Some(1),
        }),
        drain: Some(DrainReference {
            id: uid(),
            kind: ActorKind::Process,
            phase: DrainPhaseView::Draining,
            requested_by: text(),
            started_at: time(),
        }),
        record: Some(Record {
            actor: actor(),
            node_uid: uid(),
            was_unschedulable: true,
            added_taint: text(),
            evacuations: vec![uid()],
            since: time().unwrap_or_default(),
        }),
        record_problem: text(),
    })
}

fn migration() -> MigrationView {
    MigrationView {
        namespace: plain(),
        name: text(),
        uid: Some(uid()),
        virtual_machine_instance: plain(),
        phase: text(),
        source: text(),
        target: text(),
        mode: text(),
        created_at: time(),
        started_at: time(),
        ended_at: time(),
        aborting: true,
        evacuates: text(),
        made_by: text(),
        attempt: Some(2),
        failure: text(),
        waits_for: Some(WaitView {
            kind: WaitsForKind::Queue,
            until: time(),
            place: Some(QueuePlace {
                ahead: 1,
                running: 2,
                running_limit: 5,
                running_from_node: 2,
                running_from_node_limit: 2,
            }),
        }),
    }
}

fn instance() -> Result<VirtualMachineInstanceView, Error> {
    Ok(VirtualMachineInstanceView {
        namespace: plain(),
        name: plain(),
        uid: uid(),
        phase: VmiPhase::Running,
        deleting: true,
        node: Some(node_name("node02")?),
        owner: owner(),
        eviction_strategy: plain(),
        strategy_from: StrategyOrigin::Cluster,
        live_migratable: Some(false),
        not_migratable_reason: text(),
        not_migratable_message: text(),
        run_strategy: text(),
        restarts: true,
        will_not_restart_because: text(),
        evacuation_node: Some(node_name("node02")?),
        migration: Some(migration()),
    })
}

fn verdict() -> VerdictView {
    VerdictView {
        verdict: VerdictKind::ShutDown,
        skip_reason: Some(SkipReason::Mirror),
        migrate_by: Some(MigrateBy::Evacuation),
        shut_down_by: Some(ShutDownBy::Eviction),
        restarts: Some(false),
        will_not_restart_because: text(),
        block: Some(block()),
    }
}

fn workload() -> Result<WorkloadView, Error> {
    Ok(WorkloadView {
        uid: uid(),
        kind: WorkloadKindView::VirtualMachineInstance,
        namespace: plain(),
        name: plain(),
        pod: plain(),
        node: Some(node_name("node02")?),
        owner: owner(),
        phase: PodPhase::Running,
        ready: true,
        priority: 7,
        terminating_until: time(),
        budgets: vec![BudgetView {
            namespace: plain(),
            name: plain(),
            uid: uid(),
            disruptions_allowed: 1,
            current_healthy: 2,
            desired_healthy: 3,
            expected_pods: 4,
            unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy::AlwaysAllow,
            obstacle: Some(block()),
        }],
        virtual_machine_instance: Some(instance()?),
        verdict: Some(verdict()),
        state: Some(WorkloadStateKind::Migrating),
        blocked: Some(block()),
    })
}

fn plan() -> Result<PlanView, Error> {
    let warning = || Warning { reason: WarningReason::MayNotFit, message: plain() };
    Ok(PlanView {
        node: node_name("node02")?,
        refusal: Some(RefusalView { reason: "QuorumLost", message: plain() }),
        counts: Counts { skip: 1, evict: 2, delete: 3, migrate: 4, shut_down: 5, waits: 6, stuck: 7 },
        workloads: vec![PlanEntryView {
            kind: WorkloadKindView::Pod,
            namespace: plain(),
            name: plain(),
            pod: plain(),
            uid: uid(),
            verdict: verdict(),
            tier: Tier::Critical,
            budgets: vec![plain()],
            warnings: vec![warning()],
        }],
        warnings: vec![warning()],
    })
}

fn maintenance() -> MaintenanceView {
    MaintenanceView {
        name: plain(),
        uid: uid(),
        resource_version: plain(),
        node: plain(),
        reason: text(),
        ticket: ticket(),
        drain: options(),
        requested_by: text(),
        phase: MaintenancePhaseView::Stopping,
        accepted: Some(true),
        conditions: vec![condition()],
        drain_progress: Some(50),
        total_pods: Some(4),
        eviction_pods: Some(2),
        blocked: Some(1),
        blocking: blocking(),
        last_error: text(),
        created_at: time(),
        started_at: time(),
        drained_at: time(),
        stopping_since: time(),
        last_update: time(),
    }
}

fn drain_event() -> DrainEventView {
    DrainEventView {
        phase: DrainPhaseView::Waiting,
        progress: DrainProgressView { had_to_leave: 4, left: 2, blocked: 1, percent: 50 },
        waits_for: Some(block()),
        trouble: trouble(),
        workloads: vec![DrainWorkloadView {
            kind: WorkloadKindView::Pod,
            namespace: plain(),
            name: plain(),
            pod: plain(),
            uid: uid(),
            state: WorkloadStateKind::Blocked,
            skip_reason: Some(SkipReason::DaemonSet),
            terminating_until: time(),
            migration: text(),
            blocked: Some(block()),
        }],
    }
}

fn drain_outcome() -> DrainOutcome {
    let at = time().unwrap_or_default();
    DrainOutcome { end: DrainEnd::TimedOut, reason: text(), message: plain(), at, left: 2, left_behind: vec![plain()] }
}

fn all() -> Result<String, Error> {
    let change = NodeChangeView { node: node()?, changed: true, restored_from: Some(actor()), warnings: vec![plain()] };
    let models = json!({
        "Node": node()?, "NodeChange": change, "Workload": workload()?, "Plan": plan()?,
        "VirtualMachineInstance": instance()?, "Migration": migration(), "Maintenance": maintenance(),
        "DrainEvent": drain_event(), "DrainOutcome": drain_outcome(), "DrainOptions": options(),
    });
    Ok(json!({ "models": models, "words": words() }).to_string())
}

/// The samples, as JSON, by the name of Python's class.
#[pyfunction]
fn samples() -> PyResult<String> {
    Ok(all()?)
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_pairs!(module: samples);
    Ok(())
}
