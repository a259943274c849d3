//! virt-controller's evacuation controller: a migration for each VMI that an eviction has marked. It sets no limit: the
//! migrations wait in a queue of their own.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/watch/drain/evacuation/evacuation.go>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    configuration::Configuration,
    event::{Happening, Source},
    launchers::{active, launchers_of, migrations_of},
    names::{
        EVACUATION_MIGRATION, EVICTION_SOURCE, INSTANCE, KUBEVIRT, MIGRATION, MIGRATION_FINALIZER, NODE,
        OBSERVED_API_VERSIONS, POD, VMI_NAME,
    },
    object::{annotation, has_condition, is_deleting, is_final, list, name_of, namespace_of, suffix, text, uid_of},
};
use crate::actors::{
    actor::{Actor, Turn, Write},
    view::{Kind, View},
};

/// Makes migrations for VMIs that are marked, or on a node with KubeVirt's own drain taint.
#[derive(Clone, Debug, Default)]
pub struct EvacuationController {
    /// The newest migration that was seen of a VMI, by the VMI's UID: the name of the next depends on it.
    last: BTreeMap<String, String>,
}

impl Actor for EvacuationController {
    fn name(&self) -> &'static str {
        "virt-controller-evacuation"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![INSTANCE, MIGRATION, POD, NODE, KUBEVIRT]
    }

    fn act(&mut self, view: &View, now: Timestamp, _random: &mut fastrand::Rng) -> Turn {
        let configuration = Configuration::of(view);
        let mut turn = Turn::default();
        let mut last = BTreeMap::new();
        for vmi in view.all(INSTANCE) {
            let newest = migrations_of(view, vmi).max_by_key(|found| text(found, "/metadata/creationTimestamp"));
            let newest =
                newest.map(uid_of).or(self.last.get(uid_of(vmi)).map(String::as_str)).unwrap_or_default().to_owned();
            if must_go(view, vmi, &configuration, now) {
                let made = evacuation_of(vmi, &newest);
                let message = format!("Created Migration {}", name_of(&made));
                let happening = Happening::normal(Source::Evacuation, "SuccessfulCreate", message);
                turn.writes.push(Write::Create { kind: MIGRATION, object: made });
                turn.writes.push(happening.about(INSTANCE, vmi, now));
            }
            last.insert(uid_of(vmi).to_owned(), newest);
        }
        self.last = last;
        turn
    }
}

fn must_go(view: &View, vmi: &Value, configuration: &Configuration, now: Timestamp) -> bool {
    let node = text(vmi, "/status/nodeName");
    let is_marked = text(vmi, "/status/evacuationNodeName") == node && !is_migrating(vmi, now);
    let is_movable = match configuration.strategy_of(vmi) {
        "LiveMigrate" | "LiveMigrateIfPossible" => has_condition(vmi, "LiveMigratable", "True"),
        _ => false,
    };
    !node.is_empty()
        && (is_marked || is_drained(view, node, configuration.node_drain_taint_key()))
        && is_movable
        && !is_final(vmi)
        && !is_deleting(vmi)
        && migrations_of(view, vmi).all(is_final)
        // The target pod of the migration before has not ended yet.
        && active(&launchers_of(view, vmi)) <= 1
}

/// Whether a migration has begun and not ended: a VMI that is just about to change hands.
pub(super) fn is_migrating(vmi: &Value, now: Timestamp) -> bool {
    let passed = |field: &str| {
        let at = text(vmi, &format!("/status/migrationState/{field}"));
        at.parse().is_ok_and(|at: Timestamp| at <= now)
    };
    passed("startTimestamp") && !passed("endTimestamp")
}

/// Whether a node carries KubeVirt's own drain taint, which is deprecated.
pub(super) fn is_drained(view: &View, node: &str, key: &str) -> bool {
    let taints = view.get(NODE, "", node).map_or(&[][..], |node| list(node, "/spec/taints"));
    taints.iter().any(|taint| taint["key"] == key && taint["effect"] == "NoSchedule")
}

/// As it is after KubeVirt's mutating webhook and virt-controller's first write.
fn evacuation_of(vmi: &Value, before: &str) -> Value {
    const PREFIX: &str = "kubevirt-evacuation-";
    let [latest, storage] = OBSERVED_API_VERSIONS;
    let is_descheduled = annotation(vmi, EVICTION_SOURCE) == Some("descheduler");
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {
            "name": format!("{PREFIX}{}", suffix(&format!("{} after {before}", uid_of(vmi)))),
            "generateName": PREFIX, "namespace": namespace_of(vmi),
            "annotations": {EVACUATION_MIGRATION: vmi["status"]["nodeName"], latest: "v1", storage: "v1"},
            "labels": {VMI_NAME: name_of(vmi)},
            "finalizers": [MIGRATION_FINALIZER],
        },
        "spec": {
            "priority": if is_descheduled { "system-maintenance" } else { "system-critical" }, "vmiName": name_of(vmi),
        },
    })
}
