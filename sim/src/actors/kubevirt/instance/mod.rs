//! virt-controller's controller of VMIs: makes the launcher pod, takes the VMI to phase `Scheduled`, where virt-handler
//! takes over, and buries it.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/watch/vmi/lifecycle.go>
//!
//! | module | holds |
//! |---|---|
//! | [`pod`] | the launcher pod |
//! | [`status`] | phase, conditions and the rest of a VMI's status |

pub(super) mod pod;
mod status;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    configuration::Configuration,
    event::{Happening, Source},
    launchers::{current, is_up, launchers_of, migrations_of},
    names::{EVICTION_IN_PROGRESS, INSTANCE, KUBEVIRT, MIGRATION, POD, UNPAUSED, VIRTUAL_MACHINE},
    object::{
        annotation, change, delete, has_condition, is_deleting, is_final, name_of, phase, set_condition, take, text,
    },
};
use crate::actors::{
    actor::{Actor, Turn, Write},
    view::{Kind, View},
};

/// The controller of VMIs.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstanceController;

impl Actor for InstanceController {
    fn name(&self) -> &'static str {
        "virt-controller-vmi"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![INSTANCE, POD, MIGRATION, VIRTUAL_MACHINE, KUBEVIRT]
    }

    fn act(&mut self, view: &View, now: Timestamp, _random: &mut fastrand::Rng) -> Turn {
        let configuration = Configuration::of(view);
        let mut turn = Turn::default();
        for vmi in view.all(INSTANCE) {
            let launchers = launchers_of(view, vmi);
            let pod = current(vmi, &launchers);
            sync_pods(view, vmi, &launchers, &mut turn.writes, now);
            if let Some(pod) = pod.filter(|pod| !is_deleting(vmi) && !is_final(vmi) && is_up(pod)) {
                turn.writes.extend(tend(vmi, pod, now));
            }
            let next = status::next(view, vmi, &launchers, &configuration, now);
            turn.writes.extend(change(INSTANCE, None, vmi, &next));
        }
        turn
    }
}

/// Makes the launcher pod of a new VMI, and deletes those of a deleted one.
fn sync_pods(view: &View, vmi: &Value, launchers: &[&Value], writes: &mut Vec<Write>, now: Timestamp) {
    if is_deleting(vmi) {
        for pod in launchers.iter().filter(|pod| !is_deleting(pod)) {
            let message = format!("Deleted virtual machine pod {}", name_of(pod));
            writes.push(delete(POD, pod));
            writes.push(Happening::normal(Source::Controller, "SuccessfulDelete", message).about(INSTANCE, vmi, now));
        }
        return;
    }
    // An unfinished migration of the VMI before it, which had the same name, goes first.
    let runs = |migration: &Value| !is_final(migration) && !matches!(phase(migration), "" | "Pending");
    if phase(vmi) == "Pending" && launchers.is_empty() && !migrations_of(view, vmi).any(runs) {
        let pod = pod::launcher(vmi);
        let message = format!("Created virtual machine pod {}", name_of(&pod));
        writes.push(Write::Create { kind: POD, object: pod });
        writes.push(Happening::normal(Source::Controller, "SuccessfulCreate", message).about(INSTANCE, vmi, now));
    }
}

/// What the pod that a guest runs in is told: that it is being evicted, and that the guest is not paused.
fn tend(vmi: &Value, pod: &Value, now: Timestamp) -> Option<Write> {
    let is_marked = !text(vmi, "/status/evacuationNodeName").is_empty();
    let mut next = pod.clone();
    if is_marked && annotation(pod, EVICTION_IN_PROGRESS).is_none() {
        next["metadata"]["annotations"][EVICTION_IN_PROGRESS] = "true".into();
    } else if !is_marked {
        take(&mut next, "/metadata/annotations", EVICTION_IN_PROGRESS);
    }
    // One write at a time: the next would be guarded by a version that is no longer there.
    if let Some(annotated) = change(POD, None, pod, &next) {
        return Some(annotated);
    }
    if has_condition(vmi, "Paused", "True") {
        if has_condition(pod, UNPAUSED, "True") {
            set_condition(&mut next, [UNPAUSED, "False", "Paused", "the virtual machine is paused"], now);
        }
    } else if !has_condition(pod, UNPAUSED, "True") {
        set_condition(&mut next, [UNPAUSED, "True", "NotPaused", "the virtual machine is not paused"], now);
    }
    change(POD, Some("status"), pod, &next)
}
