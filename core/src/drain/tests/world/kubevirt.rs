//! KubeVirt's controllers: evacuation, migrations with a queue, a back-off and failures, VMs that start again.

use super::{
    Event, Kind, World,
    history::{Disturbance, OTHER_NODE, VmPlan, Workload, vm_name},
};
use crate::{
    drain::tests::{NAMESPACE, NODE, second},
    model::{
        ObjectKey, Pod, Uid,
        testing::{launcher, migration, node, vmi},
        virtual_machine::{
            EvictionStrategy, LiveMigratable, Migration, MigrationPhase, MigrationState, VirtualMachine,
            VirtualMachineInstance, VmiPhase,
        },
    },
};

/// A VM that comes to the node.
const GUEST: &str = "guest";

impl World {
    fn plan_of(&self, vmi: &str) -> Option<VmPlan> {
        self.history.workloads.iter().enumerate().find_map(|(index, workload)| match workload {
            Workload::Vm(plan) if vm_name(index) == vmi => Some(plan.clone()),
            _ => None,
        })
    }

    /// Makes evacuation migrations, and begins those whose turn it is.
    pub(super) fn kubevirt(&mut self) {
        let vmis: Vec<_> =
            self.truth.virtual_machine_instances().map(|vmi| VirtualMachineInstance::clone(vmi)).collect();
        for vmi in vmis {
            let is_marked = vmi.evacuation_node.is_some() && vmi.evacuation_node == vmi.node;
            let is_moved = self.plan_of(&vmi.key.name).is_some_and(|plan| plan.is_moved);
            let is_ours = vmi.eviction_strategy != Some(EvictionStrategy::External) || is_moved;
            let can = vmi.live_migratable == LiveMigratable::Yes && !vmi.deleting;
            if is_marked && is_ours && can && self.truth.unfinished_migration_of(&vmi.key).is_none() {
                let made = self.new_migration(&vmi.key.name).evacuating(NODE);
                self.put_migration(made);
            }
        }
        let unfinished = self.truth.migrations().filter(|migration| !migration.is_finished());
        let (waiting, running): (Vec<_>, Vec<_>) = unfinished.partition(|m| m.phase == MigrationPhase::Pending);
        let (mut free, waiting) = (
            2_usize.saturating_sub(running.len()),
            waiting.into_iter().map(|m| Migration::clone(m)).collect::<Vec<_>>(),
        );
        for pending in waiting {
            let not_before = match self.failures.get(&pending.vmi_name) {
                Some((at, count)) if pending.evacuates.is_some() => at + 20_000 * (1 << (count - 1).min(4)),
                _ => 0,
            };
            if not_before > self.now {
                self.at(not_before, Event::KubeVirt);
            } else if free > 0 {
                free -= 1;
                self.begin(pending);
            }
        }
    }

    pub(super) fn new_migration(&mut self, vmi: &str) -> Migration {
        self.count += 1;
        let name = format!("migration-{}", self.count);
        #[allow(clippy::cast_precision_loss, reason = "virtual times are small")]
        let created = second((self.now / 1000) as f64);
        migration(NAMESPACE, &name, vmi).created_at(created)
    }

    fn begin(&mut self, pending: Migration) {
        let key = pending.key.clone();
        let target =
            launcher(NAMESPACE, &pending.vmi_name).named(&format!("virt-launcher-{}-{}", pending.vmi_name, key.name));
        self.put_pod(target.on(OTHER_NODE).target_of(&key.name));
        self.put_migration(pending.in_phase(MigrationPhase::Scheduling));
        let wait = self.chance.between(100, 1_500);
        self.after(wait, Event::Migrates(key));
    }

    /// Scheduling, then Running, then the end.
    pub(super) fn migrates(&mut self, key: &ObjectKey) {
        let Some(migration) = self.truth.migrations().find(|m| m.key == *key).map(|m| Migration::clone(m)) else {
            return;
        };
        let Some(mut vmi) = self.vmi(&migration.vmi_name).filter(|vmi| !vmi.deleting && !migration.is_finished())
        else {
            return self.fails(migration, "the VM has gone");
        };
        let target_pod = format!("virt-launcher-{}-{}", migration.vmi_name, key.name);
        if migration.phase == MigrationPhase::Scheduling {
            vmi.migration_state = Some(MigrationState {
                migration_uid: Some(migration.uid.0.clone()),
                target_node: Some(OTHER_NODE.to_owned()),
                target_pod: Some(target_pod),
                ..MigrationState::default()
            });
            self.put_vmi(vmi);
            self.put_migration(migration.in_phase(MigrationPhase::Running));
            let wait = self.chance.between(500, 40_000);
            self.after(wait, Event::Migrates(key.clone()));
            return;
        }
        let failed = self.failures.get(&migration.vmi_name).map_or(0, |(_, count)| *count);
        if failed < self.plan_of(&migration.vmi_name).map_or(0, |plan| plan.failures) {
            return self.fails(migration, "stuck for 150 seconds");
        }
        let source = self.running_pod(&vmi);
        vmi.node =
            vmi.migration_state.as_ref().and_then(|state| state.target_node.as_ref()).map(|node| node.parse().unwrap());
        vmi.evacuation_node = None;
        self.put_vmi(vmi);
        if let Some(source) = source {
            self.put_pod(source.finished());
        }
        self.put_migration(migration.in_phase(MigrationPhase::Succeeded));
    }

    fn fails(&mut self, mut migration: Migration, reason: &str) {
        if migration.is_finished() {
            return;
        }
        let target = ObjectKey::new(NAMESPACE, format!("virt-launcher-{}-{}", migration.vmi_name, migration.key.name));
        if let Some(pod) = self.truth.pod(&target).map(|pod| Pod::clone(pod)) {
            self.take_pod(&pod);
        }
        let count = self.failures.get(&migration.vmi_name).map_or(0, |(_, count)| *count);
        self.failures.insert(migration.vmi_name.clone(), (self.now, count + 1));
        migration.failure_reason = Some(reason.to_owned());
        self.put_migration(migration.in_phase(MigrationPhase::Failed));
    }

    /// The pod that the VM runs in.
    pub(super) fn running_pod(&self, vmi: &VirtualMachineInstance) -> Option<Pod> {
        let owns = |pod: &&std::sync::Arc<Pod>| {
            pod.controller().is_some_and(|owner| owner.uid == vmi.uid) && pod.node == vmi.node && !pod.is_finished()
        };
        self.truth.pods().find(owns).map(|pod| Pod::clone(pod))
    }

    /// A launcher pod has gone, and the VM with it if it ran there.
    pub(super) fn launcher_ended(&mut self, pod: &Pod) {
        let Some(owner) = pod.controller().filter(|owner| owner.kind == "VirtualMachineInstance") else { return };
        let Some(vmi) = self.vmi(&owner.name).filter(|vmi| vmi.uid == owner.uid && vmi.node == pod.node) else {
            return;
        };
        if let Some(migration) = self.truth.unfinished_migration_of(&vmi.key).map(|m| Migration::clone(m)) {
            self.fails(migration, "the VM was shut down");
        }
        self.take::<VirtualMachineInstance>(Kind::Instance, vmi.key.clone());
        let always = self.plan_of(&vmi.key.name).is_none_or(|plan| plan.restarts);
        if always {
            self.after(1_000, Event::Restarts(vmi.key.name));
        }
    }

    pub(super) fn restarts(&mut self, name: &str) {
        let count = self.count;
        let uid = format!("uid-{name}-{count}");
        let mut next = vmi(NAMESPACE, name).on(OTHER_NODE).strategy(EvictionStrategy::None);
        next.uid = Uid(uid.clone());
        let mut pod = launcher(NAMESPACE, name).named(&format!("virt-launcher-{name}-{count}")).on(OTHER_NODE);
        pod.owners[0].uid = Uid(uid);
        self.put_vmi(next);
        self.put_pod(pod);
    }

    pub(super) fn starts(&mut self, key: &ObjectKey) {
        let Some(mut vmi) = self.vmi(&key.name).filter(|vmi| vmi.phase == VmiPhase::Starting) else { return };
        vmi.phase = VmiPhase::Running;
        let can = self.plan_of(&key.name).is_none_or(|plan| plan.migratable);
        vmi.live_migratable = LiveMigratable::Yes;
        self.put_vmi(if can { vmi } else { vmi.not_migratable() });
    }

    /// What comes from outside, but what concerns the machine itself.
    pub(super) fn disturbed(&mut self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Stall(kind, wait) => {
                let kinds = [Kind::Node, Kind::Pod, Kind::Budget, Kind::Instance, Kind::Migration, Kind::Machine];
                self.stall(kinds[usize::from(kind) % kinds.len()], wait);
            }
            Disturbance::Withdraw(which) => {
                let Some(mut vmi) = self.chosen(which).filter(|vmi| vmi.evacuation_node.is_some()) else { return };
                let pod = self.running_pod(&vmi);
                self.withdrawn.extend(pod.map(|pod| pod.uid));
                vmi.evacuation_node = None;
                if let Some(migration) = self.truth.unfinished_migration_of(&vmi.key).map(|m| Migration::clone(m)) {
                    self.fails(migration, "canceled");
                }
                self.put_vmi(vmi);
            }
            Disturbance::Migrate(which) => {
                let Some(vmi) = self.chosen(which) else { return };
                let can = vmi.phase == VmiPhase::Running && vmi.live_migratable == LiveMigratable::Yes;
                if can && self.truth.unfinished_migration_of(&vmi.key).is_none() {
                    let made = self.new_migration(&vmi.key.name);
                    self.put_migration(made);
                }
            }
            Disturbance::Flip(which) => {
                let Some(mut vmi) = self.chosen(which).filter(|vmi| vmi.phase == VmiPhase::Running) else { return };
                if vmi.live_migratable == LiveMigratable::Yes {
                    vmi = vmi.not_migratable();
                } else {
                    vmi.live_migratable = LiveMigratable::Yes;
                }
                self.put_vmi(vmi);
            }
            Disturbance::NotReady(wait) => {
                self.put(Kind::Node, node(NODE).cordoned().not_ready());
                self.after(wait, Event::Recovers);
            }
            Disturbance::Arrival => self.guest_arrives(),
            _ => unreachable!("that concerns the machine: {disturbance:?}"),
        }
    }

    fn chosen(&self, which: u8) -> Option<VirtualMachineInstance> {
        let vmis: Vec<_> = self.truth.virtual_machine_instances().filter(|vmi| vmi.key.name != GUEST).collect();
        let chosen = vmis.get(usize::from(which) % vmis.len().max(1))?;
        Some(VirtualMachineInstance::clone(chosen))
    }

    /// A migration whose target pod was bound to the node before the cordon is in full swing.
    fn guest_arrives(&mut self) {
        if self.vmi(GUEST).is_some() {
            return;
        }
        self.put::<VirtualMachine>(Kind::Machine, crate::model::testing::vm(NAMESPACE, GUEST));
        let made = self.new_migration(GUEST).in_phase(MigrationPhase::Running);
        let target = launcher(NAMESPACE, GUEST).named(&format!("virt-launcher-{GUEST}-{}", made.key.name));
        let state = MigrationState {
            migration_uid: Some(made.uid.0.clone()),
            target_node: Some(NODE.to_owned()),
            target_pod: Some(target.key.name.clone()),
            ..MigrationState::default()
        };
        let vmi = vmi(NAMESPACE, GUEST).on(OTHER_NODE).strategy(EvictionStrategy::LiveMigrate);
        self.put_pod(launcher(NAMESPACE, GUEST).on(OTHER_NODE));
        self.put_pod(target.on(NODE).target_of(&made.key.name));
        self.put_vmi(vmi.with_migration_state(state));
        let wait = self.chance.between(500, 20_000);
        self.after(wait, Event::Migrates(made.key.clone()));
        self.put_migration(made);
    }
}
