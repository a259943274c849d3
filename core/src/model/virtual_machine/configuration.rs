//! The `KubeVirt` resource.

use kube::api::DynamicObject;
use serde_json::Value;

use super::{EvictionStrategy, text};

/// What the engine needs of the `KubeVirt` resource; KubeVirt's defaults where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVirtConfiguration {
    /// `spec.configuration.evictionStrategy`.
    pub eviction_strategy: EvictionStrategy,
    /// `spec.configuration.migrations.parallelMigrationsPerCluster`.
    pub parallel_migrations_per_cluster: u32,
    /// `spec.configuration.migrations.parallelOutboundMigrationsPerNode`.
    pub parallel_outbound_migrations_per_node: u32,
    /// `spec.configuration.migrations.nodeDrainTaintKey`: Careen never writes it.
    pub node_drain_taint_key: String,
}

impl Default for KubeVirtConfiguration {
    fn default() -> Self {
        Self {
            eviction_strategy: EvictionStrategy::None,
            parallel_migrations_per_cluster: 5,
            parallel_outbound_migrations_per_node: 2,
            node_drain_taint_key: crate::names::KUBEVIRT_DRAIN_TAINT_KEY.to_owned(),
        }
    }
}

impl From<DynamicObject> for KubeVirtConfiguration {
    fn from(object: DynamicObject) -> Self {
        let default = Self::default();
        // KubeVirt ignores a configuration whose resource has no status.phase yet.
        if text(&object.data, "/status/phase").is_none() {
            return default;
        }
        let setting = |name: &str| object.data.pointer(&format!("/spec/configuration/{name}"));
        let number =
            |name: &str, or: u32| setting(name).and_then(Value::as_u64).map_or(or, |n| u32::try_from(n).unwrap_or(or));
        Self {
            eviction_strategy: text(&object.data, "/spec/configuration/evictionStrategy")
                .map_or(default.eviction_strategy, EvictionStrategy::from),
            parallel_migrations_per_cluster: number(
                "migrations/parallelMigrationsPerCluster",
                default.parallel_migrations_per_cluster,
            ),
            parallel_outbound_migrations_per_node: number(
                "migrations/parallelOutboundMigrationsPerNode",
                default.parallel_outbound_migrations_per_node,
            ),
            node_drain_taint_key: text(&object.data, "/spec/configuration/migrations/nodeDrainTaintKey")
                .unwrap_or(default.node_drain_taint_key),
        }
    }
}
