//! Whether a VM that is shut down starts again by itself.

use super::{Block, BlockReason, Restarts, ShutDownBy, Verdict, names::VM_KIND};
use crate::{
    cluster::Snapshot,
    model::{
        DrainOptions, ObjectKey, ShutDownOrBlock,
        virtual_machine::{RunStrategy, VirtualMachineInstance},
    },
};

/// Whether a VMI that is shut down is started again: surely only by a VM of
/// [run strategy](https://kubevirt.io/user-guide/compute/run_strategies/) `Always`.
#[must_use]
pub fn restarts(vmi: &VirtualMachineInstance, snapshot: &Snapshot) -> Restarts {
    let Some(owner) = &vmi.owner else {
        return Restarts::No("it belongs to no VirtualMachine that would start it".to_owned());
    };
    if owner.kind != VM_KIND {
        return Restarts::No(format!(
            "it belongs to {} {}, which makes another VM in its place",
            owner.kind, owner.name
        ));
    }
    let key = ObjectKey::new(&vmi.key.namespace, &owner.name);
    let Some(vm) = snapshot.virtual_machine(&key).filter(|vm| vm.uid == owner.uid) else {
        return Restarts::No(format!("its VirtualMachine {key} was not found"));
    };
    let name = match &vm.run_strategy {
        RunStrategy::Always => return Restarts::Yes,
        RunStrategy::RerunOnFailure => {
            return Restarts::No(format!(
                "VirtualMachine {key} has runStrategy RerunOnFailure, which starts it after a failure but not after a graceful end"
            ));
        }
        RunStrategy::Manual => "Manual",
        RunStrategy::Once => "Once",
        RunStrategy::Halted => "Halted",
        RunStrategy::Unknown(name) => name,
    };
    Restarts::No(format!("VirtualMachine {key} has runStrategy {name}"))
}

/// Shuts the VM down, unless it would stay down and the options forbid that.
pub(super) fn shut_down(
    vmi: &VirtualMachineInstance,
    by: ShutDownBy,
    snapshot: &Snapshot,
    options: &DrainOptions,
) -> Verdict {
    match restarts(vmi, snapshot) {
        Restarts::No(why) if options.vm_that_will_not_restart == ShutDownOrBlock::Block => Block::new(
            BlockReason::WillNotRestart,
            format!(
                "VirtualMachineInstance {} would be shut down and not start again by itself: {why}; migrate or stop it by hand, or set vmThatWillNotRestart: ShutDown",
                vmi.key
            ),
        )
        .into(),
        restarts => Verdict::ShutDown { restarts, by },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::DrainSpec,
        model::testing::{vm, vmi},
    };

    #[test]
    fn only_run_strategy_always_surely_restarts() {
        let db = vmi("shop", "db");
        let with = |strategy| Snapshot::default().with(vm("shop", "db").run(strategy));
        assert_eq!(restarts(&db, &with(RunStrategy::Always)), Restarts::Yes);
        for (strategy, said) in [
            (RunStrategy::RerunOnFailure, "not after a graceful end"),
            (RunStrategy::Manual, "runStrategy Manual"),
            (RunStrategy::Once, "runStrategy Once"),
            (RunStrategy::Halted, "runStrategy Halted"),
            (RunStrategy::Unknown("Sometimes".into()), "runStrategy Sometimes"),
        ] {
            let Restarts::No(why) = restarts(&db, &with(strategy)) else { panic!("{said}") };
            assert!(why.contains(said), "{why}");
        }
        assert!(matches!(restarts(&db, &Snapshot::default()), Restarts::No(why) if why.contains("not found")));
        assert!(matches!(restarts(&db.bare(), &with(RunStrategy::Always)), Restarts::No(_)));
    }

    #[test]
    fn a_vm_that_stays_down_blocks_unless_that_is_allowed() {
        let db = vmi("shop", "db").bare();
        let shut = |spec: DrainSpec| {
            shut_down(&db, ShutDownBy::Eviction, &Snapshot::default(), &spec.for_maintenance().unwrap())
        };
        let Verdict::Blocked(block) = shut(DrainSpec::default()) else { panic!("it is shut down") };
        assert_eq!(block.reason, BlockReason::WillNotRestart);
        assert!(block.message.contains("vmThatWillNotRestart: ShutDown"), "{}", block.message);
        let allowed = DrainSpec { vm_that_will_not_restart: Some(ShutDownOrBlock::ShutDown), ..DrainSpec::default() };
        assert!(matches!(shut(allowed), Verdict::ShutDown { restarts: Restarts::No(_), by: ShutDownBy::Eviction }));
    }
}
