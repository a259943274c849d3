//! What a drain may do and what it must not.

use std::{fmt::Display, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::GoDuration, schema::without_description, selector::LabelSelector};

/// The options as somebody writes them (`spec.drain` of a `NodeMaintenance`, the body of a request): what is left out
/// takes the default of the operation: a maintenance, or a drain.
///
/// Its texts are not parsed here: an object with a bad one must still be read, refused with a sentence, and restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, rename = "DrainOptions")]
pub struct DrainSpec {
    /// Only pods with these labels leave, written as for `kubectl --pod-selector` (`app!=cache`). Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 4096))]
    pub pod_selector: Option<String>,
    /// After this time the drain has failed: nothing new starts, the node stays cordoned. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = GoDuration::PATTERN, "maxLength" = 32))]
    pub timeout: Option<String>,
    /// After this time, pods whose eviction is refused are deleted, with their own termination grace and without
    /// asking their budgets. VMs are never deleted for it. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = GoDuration::PATTERN, "maxLength" = 32))]
    pub delete_after: Option<String>,
    /// Pods that no controller would start again. Default: `Evict` for a maintenance, `Block` for a drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmanaged_pods: Option<EvictOrBlock>,
    /// Pods with an emptyDir volume, whose data is lost. Default: `Evict` for a maintenance, `Block` for a drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir_pods: Option<EvictOrBlock>,
    /// A VM of strategy LiveMigrate that cannot migrate. Default: `Block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_that_cannot_migrate: Option<ShutDownOrBlock>,
    /// A VM that would have to be shut down and does not start again by itself. Default: `Block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_that_will_not_restart: Option<ShutDownOrBlock>,
    /// A VM without an eviction strategy. Default: `ShutDown` (it starts again elsewhere).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_without_strategy: Option<ShutDownOrMigrate>,
    /// Live migrations that this drain caused and that run when it is cancelled. Default: `Leave`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_migrations_on_stop: Option<LeaveOrAbort>,
    /// Go on although it cannot be known whether the control plane keeps its quorum. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_quorum: Option<bool>,
}

/// The options in force: nothing is left open.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainOptions {
    /// See [`DrainSpec::pod_selector`].
    pub pod_selector: Option<LabelSelector>,
    /// See [`DrainSpec::timeout`].
    pub timeout: Option<GoDuration>,
    /// See [`DrainSpec::delete_after`].
    pub delete_after: Option<GoDuration>,
    /// See [`DrainSpec::unmanaged_pods`].
    pub unmanaged_pods: EvictOrBlock,
    /// See [`DrainSpec::empty_dir_pods`].
    pub empty_dir_pods: EvictOrBlock,
    /// See [`DrainSpec::vm_that_cannot_migrate`].
    pub vm_that_cannot_migrate: ShutDownOrBlock,
    /// See [`DrainSpec::vm_that_will_not_restart`].
    pub vm_that_will_not_restart: ShutDownOrBlock,
    /// See [`DrainSpec::vm_without_strategy`].
    pub vm_without_strategy: ShutDownOrMigrate,
    /// See [`DrainSpec::running_migrations_on_stop`].
    pub running_migrations_on_stop: LeaveOrAbort,
    /// See [`DrainSpec::override_quorum`].
    pub override_quorum: bool,
}

/// What becomes of a pod that is lost with the node's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum EvictOrBlock {
    /// It is evicted.
    Evict,
    /// It blocks the drain.
    Block,
}

/// What becomes of a VM that cannot go in a good way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum ShutDownOrBlock {
    /// It is shut down.
    ShutDown,
    /// It blocks the drain.
    Block,
}

/// What becomes of a VM that says nothing about how it wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum ShutDownOrMigrate {
    /// It is shut down, and starts again elsewhere.
    ShutDown,
    /// It is migrated live where KubeVirt says that it can be.
    Migrate,
}

/// What becomes of running migrations when a drain is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = without_description)]
pub enum LeaveOrAbort {
    /// They run to their end.
    Leave,
    /// They are aborted, except in mode `PostCopy` (the VM would be lost).
    Abort,
}

impl DrainSpec {
    /// The options in force for a `NodeMaintenance`: as the operator that people know drains.
    pub fn for_maintenance(&self) -> Result<DrainOptions, InvalidDrainSpec> {
        self.with_defaults(EvictOrBlock::Evict)
    }

    /// The options in force for a drain as an operation: for pods as `kubectl drain` without flags.
    pub fn for_drain(&self) -> Result<DrainOptions, InvalidDrainSpec> {
        self.with_defaults(EvictOrBlock::Block)
    }

    fn with_defaults(&self, pods_that_lose_data: EvictOrBlock) -> Result<DrainOptions, InvalidDrainSpec> {
        Ok(DrainOptions {
            pod_selector: parsed("podSelector", self.pod_selector.as_deref())?,
            timeout: parsed("timeout", self.timeout.as_deref())?,
            delete_after: parsed("deleteAfter", self.delete_after.as_deref())?,
            unmanaged_pods: self.unmanaged_pods.unwrap_or(pods_that_lose_data),
            empty_dir_pods: self.empty_dir_pods.unwrap_or(pods_that_lose_data),
            vm_that_cannot_migrate: self.vm_that_cannot_migrate.unwrap_or(ShutDownOrBlock::Block),
            vm_that_will_not_restart: self.vm_that_will_not_restart.unwrap_or(ShutDownOrBlock::Block),
            vm_without_strategy: self.vm_without_strategy.unwrap_or(ShutDownOrMigrate::ShutDown),
            running_migrations_on_stop: self.running_migrations_on_stop.unwrap_or(LeaveOrAbort::Leave),
            override_quorum: self.override_quorum.unwrap_or(false),
        })
    }
}

/// A field of a [`DrainSpec`] that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.drain.{field}: {message}")]
pub struct InvalidDrainSpec {
    /// The field, as it is written.
    pub field: &'static str,
    /// What is wrong, and what is allowed.
    pub message: String,
}

fn parsed<T>(field: &'static str, text: Option<&str>) -> Result<Option<T>, InvalidDrainSpec>
where
    T: FromStr<Err: Display>,
{
    text.map(str::parse).transpose().map_err(|error: T::Err| InvalidDrainSpec { field, message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_parse_is_named_with_its_field() {
        let spec = DrainSpec { pod_selector: Some("app in".into()), ..DrainSpec::default() };
        let error = spec.for_maintenance().unwrap_err().to_string();
        assert!(error.starts_with("spec.drain.podSelector: selector \"app in\" does not parse"), "{error}");
        let spec = DrainSpec { timeout: Some("soon".into()), ..DrainSpec::default() };
        assert_eq!(spec.for_drain().unwrap_err().field, "timeout");
    }

    #[test]
    fn a_maintenance_evicts_what_a_drain_leaves() {
        let spec = DrainSpec::default();
        assert_eq!(spec.for_maintenance().unwrap().unmanaged_pods, EvictOrBlock::Evict);
        assert_eq!(spec.for_drain().unwrap().unmanaged_pods, EvictOrBlock::Block);
    }
}
