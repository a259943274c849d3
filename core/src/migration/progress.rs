//! How a VM's live migration is doing, for people. KubeVirt does not say why a migration waits; it is counted here.
//!
//! While a migration runs, target, start and mode are in the VMI's status and not in the migration's.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cluster::{Snapshot, View},
    model::{
        Block, BlockReason, NodeName, ObjectKey,
        virtual_machine::{Migration, MigrationMode, MigrationPhase, MigrationState, VirtualMachineInstance},
    },
};

/// KubeVirt waits so long after the first failed evacuation, and twice as long after each further one
/// (`pkg/virt-controller/watch/migration/migration.go`).
const FIRST_BACKOFF: Duration = Duration::from_secs(20);

/// KubeVirt keeps five finished migrations of a VMI, so it counts no further than that.
const COUNTED_FAILURES: u32 = 5;

/// The migration of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationProgress {
    /// The VM.
    pub vmi: ObjectKey,
    /// The present migration; `None` while KubeVirt has not made one (again).
    pub migration: Option<ObjectKey>,
    /// Its phase.
    pub phase: Option<MigrationPhase>,
    /// Whether it is being aborted.
    pub is_aborting: bool,
    /// The node that the VM leaves.
    pub source: Option<String>,
    /// The node that it goes to, once known.
    pub target: Option<String>,
    /// When the transfer began.
    pub started: Option<Timestamp>,
    /// How the memory is transferred, once that is known.
    pub mode: Option<MigrationMode>,
    /// Migrations that failed since the last one that succeeded, as far as KubeVirt keeps them.
    pub failures: usize,
    /// Why the last one failed, where that is known.
    pub last_failure: Option<String>,
    /// What it waits for.
    pub waits_for: Option<WaitsFor>,
}

/// What a migration waits for before it starts. A back-off that should be over counts as waiting for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// KubeVirt's back-off after a failure.
    Backoff {
        /// When it ends, where that is known; KubeVirt may need a moment longer.
        until: Option<Timestamp>,
    },
    /// A place in KubeVirt's queue.
    Queue(QueuePlace),
    /// A place in KubeVirt's queue, whose length is not known: other VMs are not seen.
    UnknownQueue,
}

/// A place in KubeVirt's queue of migrations. The order among equals is not that of creation, so it is an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuePlace {
    /// Migrations that were made earlier and wait too.
    pub ahead: usize,
    /// Migrations that have started, in the cluster.
    pub running: usize,
    /// How many may (`parallelMigrationsPerCluster`).
    pub running_limit: u32,
    /// Those of them that leave the same node.
    pub running_from_node: usize,
    /// How many may (`parallelOutboundMigrationsPerNode`).
    pub running_from_node_limit: u32,
}

/// The migrations of the cluster that are not over. Made once and used for many VMs.
#[derive(Clone, Debug)]
pub struct Queue {
    view: View,
    cluster_limit: u32,
    node_limit: u32,
    running: usize,
    running_from: BTreeMap<NodeName, usize>,
    waiting: Vec<(Option<Timestamp>, ObjectKey)>,
}

impl Queue {
    /// The queue as it stands.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let limits = snapshot.kubevirt();
        let mut queue = Self {
            view: snapshot.view(),
            cluster_limit: limits.parallel_migrations_per_cluster,
            node_limit: limits.parallel_outbound_migrations_per_node,
            running: 0,
            running_from: BTreeMap::new(),
            waiting: Vec::new(),
        };
        for migration in snapshot.migrations().filter(|migration| !migration.is_finished()) {
            if migration.phase == MigrationPhase::Pending {
                queue.waiting.push((migration.created, migration.key.clone()));
                continue;
            }
            queue.running += 1;
            let vmi = snapshot.virtual_machine_instance(&migration.instance_key());
            if let Some(source) = vmi.and_then(|vmi| vmi.node.clone()) {
                *queue.running_from.entry(source).or_default() += 1;
            }
        }
        queue.waiting.sort();
        queue
    }

    fn place_of(&self, migration: &Migration, source: Option<&NodeName>) -> WaitsFor {
        if self.view == View::Nodes {
            return WaitsFor::UnknownQueue;
        }
        let own = (migration.created, migration.key.clone());
        WaitsFor::Queue(QueuePlace {
            ahead: self.waiting.partition_point(|other| *other < own),
            running: self.running,
            running_limit: self.cluster_limit,
            running_from_node: source.and_then(|node| self.running_from.get(node)).copied().unwrap_or(0),
            running_from_node_limit: self.node_limit,
        })
    }
}

/// How the migration of a VM is doing; `None` when none is wanted, under way or has failed.
#[must_use]
pub fn migration_progress(
    vmi: &VirtualMachineInstance,
    queue: &Queue,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Option<MigrationProgress> {
    let mut migrations: Vec<&Migration> = snapshot.migrations_of(&vmi.key).map(AsRef::as_ref).collect();
    migrations.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
    let present = migrations.iter().rev().find(|migration| !migration.is_finished()).copied();
    let failed: Vec<&Migration> = migrations
        .iter()
        .rev()
        .filter(|migration| migration.is_finished())
        .take_while(|migration| migration.phase == MigrationPhase::Failed)
        .copied()
        .collect();
    if present.is_none() && vmi.evacuation_node.is_none() && failed.is_empty() {
        return None;
    }
    let state = present.and_then(|migration| vmi.state_of(migration));
    let last_state = failed.first().and_then(|last| vmi.state_of(last));
    let source = vmi.node.as_ref();
    Some(MigrationProgress {
        vmi: vmi.key.clone(),
        migration: present.map(|migration| migration.key.clone()),
        phase: present.map(|migration| migration.phase.clone()),
        is_aborting: present.is_some_and(|migration| migration.deleting),
        source: state.and_then(|state| state.source_node.clone()).or_else(|| source.map(ToString::to_string)),
        target: state.and_then(|state| state.target_node.clone()),
        started: state.and_then(|state| state.start_timestamp),
        mode: state.and_then(|state| state.mode.clone()),
        failures: failed.len(),
        last_failure: failed.first().and_then(|last| {
            last.failure_reason.clone().or_else(|| last_state.and_then(|state| state.failure_reason.clone()))
        }),
        waits_for: present.filter(|migration| migration.phase == MigrationPhase::Pending).map(|migration| {
            backoff(migration, &failed, last_state, now).unwrap_or_else(|| queue.place_of(migration, source))
        }),
    })
}

/// KubeVirt's back-off, as long as it lasts: it holds up KubeVirt's own migrations, not those that somebody else makes.
fn backoff(
    migration: &Migration,
    failed: &[&Migration],
    last_state: Option<&MigrationState>,
    now: Timestamp,
) -> Option<WaitsFor> {
    if migration.evacuates.is_none() || failed.is_empty() {
        return None;
    }
    let further = u32::try_from(failed.len()).unwrap_or(u32::MAX).min(COUNTED_FAILURES) - 1;
    let delay = FIRST_BACKOFF * 2_u32.pow(further);
    let ended = last_state.and_then(|state| state.end_timestamp);
    let until = ended.and_then(|ended| ended.checked_add(delay).ok());
    until.is_none_or(|until| now < until).then_some(WaitsFor::Backoff { until })
}

impl MigrationProgress {
    /// What it waits for, as an obstacle of the workload.
    #[must_use]
    pub fn obstacle(&self) -> Option<Block> {
        let (waits_for, migration) = (self.waits_for.as_ref()?, self.migration.as_ref()?);
        Some(match waits_for {
            WaitsFor::Backoff { until } => {
                let times = if self.failures == 1 { "once".to_owned() } else { format!("{} times", self.failures) };
                let why = self.last_failure.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                let until = until.map(|until| format!(" at about {until}")).unwrap_or_default();
                let message = format!("its migration failed {times}{why}; KubeVirt tries {migration}{until}");
                Block::new(BlockReason::MigrationBackoff, message)
            }
            WaitsFor::Queue(place) => Block::new(
                BlockReason::MigrationQueued,
                format!("migration {migration} waits for a place in KubeVirt's queue: {place}"),
            ),
            WaitsFor::UnknownQueue => Block::new(
                BlockReason::MigrationQueued,
                format!("migration {migration} waits for a place in KubeVirt's queue"),
            ),
        })
    }
}

impl std::fmt::Display for QueuePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {} migrations run in the cluster, {} of {} from its node, {} were asked for before it",
            self.running, self.running_limit, self.running_from_node, self.running_from_node_limit, self.ahead
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{at, migration, uid, vmi};

    fn progress_of(vmi: &VirtualMachineInstance, migrations: Vec<Migration>) -> Option<MigrationProgress> {
        let snapshot = Snapshot::default().with(vmi.clone()).with_all(migrations);
        migration_progress(vmi, &Queue::of(&snapshot), &snapshot, at(110))
    }

    fn db() -> VirtualMachineInstance {
        vmi("shop", "db").on("node02")
    }

    fn attempt(number: i64) -> Migration {
        migration("shop", &format!("m{number}"), "db").evacuating("node02").created_at(at(number))
    }

    fn state(number: i64) -> MigrationState {
        MigrationState { migration_uid: Some(uid("shop", &format!("m{number}")).0), ..MigrationState::default() }
    }

    #[test]
    fn a_vm_that_stays_has_no_progress() {
        assert_eq!(progress_of(&db(), vec![]), None);
        assert_eq!(progress_of(&db(), vec![attempt(1).in_phase(MigrationPhase::Succeeded)]), None);
        let marked = progress_of(&db().marked("node02"), vec![]).unwrap();
        assert_eq!((marked.obstacle(), marked.migration), (None, None));
    }

    #[test]
    fn what_runs_is_read_from_the_vmi() {
        let running = MigrationState {
            source_node: Some("node02".into()),
            target_node: Some("node03".into()),
            mode: Some(MigrationMode::PreCopy),
            start_timestamp: Some(at(9)),
            ..state(2)
        };
        let migrations =
            vec![attempt(1).in_phase(MigrationPhase::Failed), attempt(2).in_phase(MigrationPhase::Running)];
        let progress = progress_of(&db().with_migration_state(running.clone()), migrations.clone()).unwrap();
        assert_eq!(progress.phase, Some(MigrationPhase::Running));
        assert_eq!((progress.target.as_deref(), progress.started), (Some("node03"), Some(at(9))));
        assert_eq!((progress.failures, progress.waits_for), (1, None));
        // The state of an older migration says nothing of this one.
        let stale = MigrationState { migration_uid: Some("older".into()), ..running };
        let progress = progress_of(&db().with_migration_state(stale), migrations).unwrap();
        assert_eq!((progress.source.as_deref(), progress.target), (Some("node02"), None));
    }

    #[test]
    fn failures_are_counted_since_the_last_success_and_double_the_back_off() {
        let failed = |number: i64| attempt(number).in_phase(MigrationPhase::Failed);
        let ended =
            MigrationState { end_timestamp: Some(at(100)), failure_reason: Some("out of patience".into()), ..state(3) };
        let migrations = vec![failed(1), attempt(2).in_phase(MigrationPhase::Succeeded), failed(3), attempt(4)];
        let progress = progress_of(&db().with_migration_state(ended.clone()), migrations).unwrap();
        assert_eq!(progress.waits_for, Some(WaitsFor::Backoff { until: Some(at(120)) }));
        let block = progress.obstacle().unwrap();
        assert_eq!(block.reason, BlockReason::MigrationBackoff);
        let until = at(120);
        assert_eq!(
            block.message,
            format!("its migration failed once (out of patience); KubeVirt tries shop/m4 at about {until}")
        );
        let twice = vec![failed(2), failed(3), attempt(4)];
        let progress = progress_of(&db().with_migration_state(ended), twice).unwrap();
        assert_eq!(progress.waits_for, Some(WaitsFor::Backoff { until: Some(at(140)) }));
        let over = MigrationState { end_timestamp: Some(at(90)), ..state(3) };
        let progress = progress_of(&db().with_migration_state(over), vec![failed(3), attempt(4)]).unwrap();
        assert!(matches!(progress.waits_for, Some(WaitsFor::Queue(_))));
        let unknown = progress_of(&db(), (1..9).map(failed).chain([attempt(9)]).collect()).unwrap();
        assert_eq!(unknown.waits_for, Some(WaitsFor::Backoff { until: None }));
        let own = Migration { evacuates: None, ..attempt(4) };
        assert!(matches!(progress_of(&db(), vec![failed(3), own]).unwrap().waits_for, Some(WaitsFor::Queue(_))));
    }

    #[test]
    fn the_place_in_the_queue_is_counted() {
        let running = |name: &str, node: &str| {
            (vmi("shop", name).on(node), migration("shop", name, name).in_phase(MigrationPhase::TargetReady))
        };
        let mut snapshot = Snapshot::default().with(db()).with(attempt(5));
        for (vmi, migration) in [running("a", "node02"), running("b", "node02"), running("c", "node09")] {
            snapshot = snapshot.with(vmi).with(migration);
        }
        snapshot = snapshot
            .with(migration("shop", "earlier", "d").created_at(at(4)))
            .with(migration("shop", "later", "e").created_at(at(6)))
            .with(migration("shop", "over", "f").in_phase(MigrationPhase::Failed));
        let progress = migration_progress(&db(), &Queue::of(&snapshot), &snapshot, at(9)).unwrap();
        let expected =
            QueuePlace { ahead: 1, running: 3, running_limit: 5, running_from_node: 2, running_from_node_limit: 2 };
        assert_eq!(progress.waits_for, Some(WaitsFor::Queue(expected)));
        assert_eq!(
            progress.obstacle().unwrap().message,
            "migration shop/m5 waits for a place in KubeVirt's queue: 3 of 5 migrations run in the cluster, 2 of 2 from its node, 1 were asked for before it"
        );
        let narrow = Snapshot::of(View::Nodes).with(db()).with(attempt(5));
        let progress = migration_progress(&db(), &Queue::of(&narrow), &narrow, at(9)).unwrap();
        assert_eq!(progress.waits_for, Some(WaitsFor::UnknownQueue));
    }
}
