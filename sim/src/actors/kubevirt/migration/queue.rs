//! Whose turn it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::Case;
use crate::actors::{
    kubevirt::{
        configuration::Configuration,
        launchers::{active, launchers_of, migrations_of, target_of, vmi_of},
        names::{EVACUATION_MIGRATION, MIGRATION, WORKLOAD_UPDATE_MIGRATION},
        object::{annotation, is_deleting, is_final, name_of, namespace_of, phase, since_phase, text, uid_of},
    },
    rules::after,
    view::View,
};

/// All migrations, those of high priority first. Among equals it is not the order of creation, as it is not in KubeVirt.
pub fn in_order(view: &View) -> Vec<&Value> {
    let mut all: Vec<&Value> = view.all(MIGRATION).collect();
    all.sort_by_key(|migration| (std::cmp::Reverse(priority(migration)), uid_of(migration)));
    all
}

fn priority(migration: &Value) -> u32 {
    match text(migration, "/spec/priority") {
        _ if phase(migration) == "Running" => 1000,
        "system-critical" => 100,
        "user-triggered" => 50,
        "system-maintenance" => 20,
        _ => 0,
    }
}

pub fn vmi_key(case: &Case) -> String {
    format!("{}/{}", namespace_of(case.vmi), name_of(case.vmi))
}

/// Whether no other migration of the VMI is under way.
pub fn may_take_over(case: &Case) -> bool {
    let other = text(case.vmi, "/status/migrationState/migrationUid");
    let others = case.view.all(MIGRATION).filter(|found| namespace_of(found) == namespace_of(case.vmi));
    other.is_empty() || case.is_on_vmi() || !others.into_iter().any(|found| uid_of(found) == other && !is_final(found))
}

/// Until when a migration waits because those before it failed. Only what KubeVirt makes itself waits, and a migration that
/// was deleted does not count: nothing is left of it.
pub fn back_off(case: &Case) -> Option<Timestamp> {
    let is_own = |found: &Value| {
        annotation(found, EVACUATION_MIGRATION).is_some() || annotation(found, WORKLOAD_UPDATE_MIGRATION).is_some()
    };
    if !is_own(case.migration) {
        return None;
    }
    let mut before: Vec<&Value> = migrations_of(case.view, case.vmi)
        .filter(|found| {
            is_own(found) && uid_of(found) != uid_of(case.migration) && !is_deleting(found) && is_final(found)
        })
        .collect();
    before.sort_by_key(|found| {
        std::cmp::Reverse((text(found, "/metadata/creationTimestamp"), since_phase(found, phase(found))))
    });
    let failed: Vec<&Value> = before.into_iter().take_while(|found| phase(found) == "Failed").collect();
    let last = since_phase(failed.first()?, "Failed")?;
    let doublings = u32::try_from(failed.len() - 1).unwrap_or(u32::MAX);
    let wait = case.timing.back_off.saturating_mul(2_u32.saturating_pow(doublings));
    let until = after(last, case.timing.rules.scale(wait));
    (until > case.now).then_some(until)
}

/// Whether the target pod may be made: the VMI runs, its pods of the migration before have ended, and neither the cluster
/// nor the node has reached its limit.
pub fn has_place(case: &Case, configuration: &Configuration, asked: &BTreeMap<String, Timestamp>) -> bool {
    let is_asked = |migration: &Value| asked.contains_key(uid_of(migration));
    if phase(case.vmi) != "Running"
        || case.source().is_none()
        || active(&case.launchers) > 1
        || is_asked(case.migration)
    {
        return false;
    }
    let node = text(case.vmi, "/status/nodeName");
    let (mut in_cluster, mut from_node) = (0, 0);
    for other in case.view.all(MIGRATION).filter(|other| !is_final(other)) {
        let Some(vmi) = vmi_of(case.view, other) else { continue };
        let takes_place = !matches!(phase(other), "" | "Pending")
            || is_asked(other)
            || target_of(other, &launchers_of(case.view, vmi)).is_some();
        if takes_place {
            in_cluster += 1;
            let source = text(vmi, "/status/migrationState/sourceNode");
            from_node += usize::from(text(vmi, "/status/nodeName") == node || source == node);
        }
    }
    in_cluster < configuration.parallel_migrations_per_cluster()
        && from_node < configuration.parallel_outbound_migrations_per_node()
}
