//! KubeVirt's objects, trimmed: lenient subsets written by hand, so that a newer KubeVirt never breaks decoding.
//!
//! Every field is optional on the wire, every enumeration has an arm for what is not known here.
//! Names: `kubevirt.io/api/core/v1/types.go`.
//!
//! | file | holds |
//! |---|---|
//! | `instance` | a VM that runs, and how it wants to leave |
//! | `machine` | what makes instances, and whether it starts one again |
//! | `migration` | a live migration |
//! | `configuration` | what holds for all of the cluster |

mod configuration;
mod instance;
mod machine;
mod migration;

use kube::api::DynamicObject;
use serde_json::Value;

pub use configuration::KubeVirtConfiguration;
pub use instance::{EvictionStrategy, LiveMigratable, MigrationMode, MigrationState, VirtualMachineInstance, VmiPhase};
pub use machine::{RunStrategy, VirtualMachine};
pub use migration::{Migration, MigrationPhase};

use super::{ObjectKey, Uid};

/// A text at a JSON pointer; `None` when it is missing, empty or no text.
fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn key_of(object: &DynamicObject) -> ObjectKey {
    ObjectKey::new(
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}

fn uid_of(object: &DynamicObject) -> Uid {
    Uid(object.metadata.uid.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rubbish_in_any_field_decodes_to_the_cautious_reading() {
        let vmi = VirtualMachineInstance::from(object(json!({
            "metadata": {"namespace": "a", "name": "b", "uid": "u"},
            "spec": {"evictionStrategy": "Teleport"},
            "status": {"phase": 7, "conditions": "none", "migrationState": [1], "nodeName": "NOT A NODE"},
        })));
        assert_eq!(vmi.eviction_strategy, Some(EvictionStrategy::Unknown("Teleport".into())));
        assert_eq!(vmi.phase, VmiPhase::Starting);
        assert_eq!(vmi.live_migratable, LiveMigratable::NotKnownYet);
        assert_eq!(vmi.node, None);
        assert_eq!(vmi.migration_state, None);
    }

    #[test]
    fn a_kubevirt_resource_without_status_phase_is_ignored() {
        let spec = json!({"configuration": {"evictionStrategy": "LiveMigrate", "migrations": {"parallelOutboundMigrationsPerNode": 1}}});
        let fresh = object(json!({"metadata": {"name": "kubevirt"}, "spec": spec}));
        assert_eq!(KubeVirtConfiguration::from(fresh), KubeVirtConfiguration::default());
        let deployed = object(json!({"metadata": {"name": "kubevirt"}, "spec": spec, "status": {"phase": "Deployed"}}));
        let read = KubeVirtConfiguration::from(deployed);
        assert_eq!(read.eviction_strategy, EvictionStrategy::LiveMigrate);
        assert_eq!((read.parallel_migrations_per_cluster, read.parallel_outbound_migrations_per_node), (5, 1));
    }

    #[test]
    fn running_true_is_run_strategy_always() {
        for (spec, expected) in [
            (json!({"running": true}), RunStrategy::Always),
            (json!({"running": false}), RunStrategy::Halted),
            (json!({"runStrategy": "RerunOnFailure"}), RunStrategy::RerunOnFailure),
            (json!({"runStrategy": "Sometimes"}), RunStrategy::Unknown("Sometimes".into())),
        ] {
            let vm = VirtualMachine::from(object(json!({"metadata": {"name": "vm"}, "spec": spec})));
            assert_eq!(vm.run_strategy, expected);
        }
    }
}
