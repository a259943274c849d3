//! Finished migrations: the newest five of each VMI are kept, the others go, and the pods that they left.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::actors::{
    actor::Write,
    kubevirt::{
        launchers::vmi_name,
        names::{MIGRATION, POD},
        object::{delete, is_deleting, is_final, name_of, namespace_of, text},
    },
    view::View,
};

const KEPT: usize = 5;

/// The deletions of what is kept no longer.
pub fn superfluous(view: &View) -> Vec<Write> {
    let mut of_vmi: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for migration in view.all(MIGRATION).filter(|found| is_final(found) && !is_deleting(found)) {
        of_vmi.entry((namespace_of(migration), vmi_name(migration))).or_default().push(migration);
    }
    let mut writes = Vec::new();
    for mut finished in of_vmi.into_values() {
        finished.sort_by_key(|migration| (text(migration, "/metadata/creationTimestamp"), name_of(migration)));
        for migration in &finished[..finished.len().saturating_sub(KEPT)] {
            let state = &migration["status"]["migrationState"];
            // The target pod of one that failed, the source pod of one that succeeded.
            let left = if state["failed"] == true { "/targetPod" } else { "/sourcePod" };
            let left = text(state, left);
            let pod = view.get(POD, namespace_of(migration), left).filter(|pod| is_final(pod) && !is_deleting(pod));
            writes.extend(pod.map(|pod| delete(POD, pod)));
            writes.push(delete(MIGRATION, migration));
        }
    }
    writes
}
