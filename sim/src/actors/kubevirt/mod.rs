//! KubeVirt: virt-controller, virt-handler with its guests, and virt-api. It answers and does what the real one was seen
//! to answer and do; how long guests take is its own ([`timing`]).
//!
//! | module | holds |
//! |---|---|
//! | [`definitions`] | what an installed KubeVirt brings: CRDs, namespace, configuration, webhooks |
//! | [`configuration`] | what the `KubeVirt` object says |
//! | [`machine`] | virt-controller: VMs |
//! | [`instance`] | virt-controller: VMIs and their launcher pods |
//! | [`evacuation`] | virt-controller: a migration for each VMI that an eviction has marked |
//! | [`migration`] | virt-controller: migrations |
//! | [`handler`] | virt-handler and virt-launcher: guests |
//! | [`mod@install`] | KubeVirt on the API server in memory |
//! | [`operator`] | virt-operator: says that KubeVirt is deployed |
//! | [`virt_api`] | the eviction webhook, the subresources |
//! | [`timing`] | how long things take |
//! | [`names`] | kinds, labels, annotations, finalizers |
//! | `object`, `launchers`, `event` | reading objects; launcher pods; Events |
//!
//! What a guest does can be told by settings of its VMI ([`super::rules`]: annotations of the VM's template, of the VMI at
//! any time, or rules):
//!
//! | setting | default | |
//! |---|---|---|
//! | `guest-starts-after` | `1s` | from a launcher pod that is up to a guest that runs |
//! | `guest-never-starts` | | it does not start: the VMI fails |
//! | `shuts-down-after` | `2s` | from its deletion, or its launcher pod's, to its end; it is killed after the VMI's grace |
//! | `powers-off-after` | never | it shuts itself down |
//! | `crashes-after` | never | it crashes |
//! | `not-migratable` | | it cannot be migrated, with that reason: `DisksNotLiveMigratable` |
//! | `prepares-for` | `1s` | how long its migrations are in phase `PreparingTarget` |
//! | `migrates-for` | `5s` | how long they are in phase `Running` |
//! | `migration-stays-in` | | they do not go beyond that phase, unless they are cancelled |
//! | `migration-fails` | `0` | so many fail; each that does counts it down |
//! | `migration-mode` | `PreCopy` | the mode that is reported |
//!
//! A launcher pod carries the VMI's annotations, and so the kubelet's settings for it.

pub mod configuration;
pub mod definitions;
pub mod evacuation;
mod event;
pub mod handler;
pub mod install;
pub mod instance;
mod launchers;
pub mod machine;
pub mod migration;
pub mod names;
mod object;
pub mod operator;
pub mod timing;
pub mod virt_api;

#[cfg(test)]
mod tests;

use super::driver::Driver;

/// All that KubeVirt runs joins a driver, but virt-api, which is asked and does not act.
#[must_use]
pub fn join(driver: Driver, timing: timing::Timing) -> Driver {
    driver
        .with(operator::Operator)
        .with(machine::MachineController)
        .with(instance::InstanceController)
        .with(evacuation::EvacuationController::default())
        .with(migration::MigrationController::new(timing.clone()))
        .with(handler::Handler::new(timing))
}
