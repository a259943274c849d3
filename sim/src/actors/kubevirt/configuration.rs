//! What the `KubeVirt` object says.

use serde_json::{Value, json};

use super::{names::KUBEVIRT, object::text};
use crate::actors::view::View;

/// The configuration of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// What a VMI gets that names no eviction strategy: `None`, `LiveMigrate`, …
    pub eviction_strategy: String,
    /// As a VMI's `status.migrationState` carries it.
    pub migrations: Value,
}

impl Configuration {
    /// The configuration in force: KubeVirt's defaults, and over them what the `KubeVirt` object says.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let spoken = view.all(KUBEVIRT).next().map_or(&Value::Null, |kubevirt| &kubevirt["spec"]["configuration"]);
        let mut migrations = defaults();
        for (name, value) in spoken["migrations"].as_object().into_iter().flatten() {
            migrations[name] = value.clone();
        }
        let eviction_strategy = match text(spoken, "/evictionStrategy") {
            "" => "None",
            strategy => strategy,
        };
        Self { eviction_strategy: eviction_strategy.to_owned(), migrations }
    }

    /// The strategy that an eviction of this VMI meets.
    #[must_use]
    pub fn strategy_of<'a>(&'a self, vmi: &'a Value) -> &'a str {
        vmi["spec"]["evictionStrategy"].as_str().unwrap_or(&self.eviction_strategy)
    }

    /// How many migrations run at once.
    #[must_use]
    pub fn parallel_migrations_per_cluster(&self) -> usize {
        self.number("parallelMigrationsPerCluster")
    }

    /// How many migrations run at once from a node.
    #[must_use]
    pub fn parallel_outbound_migrations_per_node(&self) -> usize {
        self.number("parallelOutboundMigrationsPerNode")
    }

    /// The key of the deprecated taint that evacuates a node.
    #[must_use]
    pub fn node_drain_taint_key(&self) -> &str {
        text(&self.migrations, "/nodeDrainTaintKey")
    }

    fn number(&self, name: &str) -> usize {
        self.migrations[name].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
    }
}

/// <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-config/virt-config.go>
pub(super) fn defaults() -> Value {
    json!({
        "allowAutoConverge": false, "allowPostCopy": false, "allowWorkloadDisruption": false,
        "bandwidthPerMigration": "0", "completionTimeoutPerGiB": 150, "maxDowntimeMs": 900,
        "nodeDrainTaintKey": "kubevirt.io/drain", "parallelMigrationsPerCluster": 5,
        "parallelOutboundMigrationsPerNode": 2, "progressTimeout": 150, "unsafeMigrationOverride": false,
        "utilityVolumesTimeout": 150,
    })
}
