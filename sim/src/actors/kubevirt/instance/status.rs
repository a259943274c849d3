//! Phase, conditions and the rest of a VMI's status, as virt-controller writes them.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::actors::{
    kubevirt::{
        configuration::Configuration,
        launchers::{current, is_down_or_going_down, is_up},
        names::{INSTANCE_FINALIZER, MACHINE_FINALIZER, NODE_NAME, VIRTUAL_MACHINE},
        object::{
            add_finalizer, condition, has_condition, is_deleting, is_final, list, namespace_of, phase,
            remove_condition, remove_finalizer, set_condition, set_phase, text, uid_of,
        },
    },
    view::View,
};

/// The VMI as it should be now.
pub fn next(view: &View, vmi: &Value, launchers: &[&Value], configuration: &Configuration, now: Timestamp) -> Value {
    let mut next = vmi.clone();
    if phase(vmi).is_empty() && !is_deleting(vmi) {
        adopt(&mut next, configuration);
        set_phase(&mut next, "Pending", now);
        return next;
    }
    let pod = current(vmi, launchers);
    if !launchers.is_empty() || vmi["status"]["activePods"].is_object() {
        let on_nodes = launchers.iter().map(|pod| (uid_of(pod).to_owned(), text(pod, "/spec/nodeName").into()));
        next["status"]["activePods"] = Value::Object(on_nodes.collect::<Map<_, _>>());
    }
    set_ready(&mut next, vmi, pod, now);
    match phase(vmi) {
        "" | "Pending" => {
            if pod.is_some() {
                set_phase(&mut next, "Scheduling", now);
            } else if is_deleting(vmi) {
                set_phase(&mut next, "Failed", now);
            }
        }
        "Scheduling" => schedule(&mut next, vmi, pod, now),
        "Scheduled" | "Running" if pod.is_none() => set_phase(&mut next, "Failed", now),
        "Succeeded" | "Failed" if launchers.is_empty() => bury(view, &mut next, vmi),
        _ => {}
    }
    if text(vmi, "/status/evacuationNodeName").is_empty() {
        remove_condition(&mut next, "EvictionRequested");
    } else if !has_condition(vmi, "EvictionRequested", "True") {
        let requested = ["EvictionRequested", "True", "EvictionRequested", "VMI is marked for eviction"];
        set_condition(&mut next, requested, now);
    }
    next
}

/// What KubeVirt's mutating webhook does to a new VMI. The strategy is written in, so that a later change of the default
/// reaches new VMIs only.
fn adopt(next: &mut Value, configuration: &Configuration) {
    add_finalizer(next, INSTANCE_FINALIZER);
    if !next["spec"]["evictionStrategy"].is_string() {
        next["spec"]["evictionStrategy"] = configuration.eviction_strategy.as_str().into();
    }
}

fn schedule(next: &mut Value, vmi: &Value, pod: Option<&Value>, now: Timestamp) {
    let Some(pod) = pod else { return set_phase(next, "Failed", now) };
    match condition(pod, "PodScheduled").filter(|scheduled| scheduled["status"] == "False") {
        Some(scheduled) => {
            let copied = ["PodScheduled", "False", text(scheduled, "/reason"), text(scheduled, "/message")];
            set_condition(next, copied, now);
        }
        None => remove_condition(next, "PodScheduled"),
    }
    if is_up(pod) && !is_deleting(vmi) {
        next["metadata"]["labels"][NODE_NAME] = pod["spec"]["nodeName"].clone();
        next["status"]["nodeName"] = pod["spec"]["nodeName"].clone();
        next["status"]["migrationTransport"] = "Unix".into();
        next["status"]["qosClass"] = "Burstable".into();
        set_phase(next, "Scheduled", now);
    } else if is_down_or_going_down(pod) {
        set_phase(next, "Failed", now);
    }
}

/// Its pods have gone: it may go too, once its VM has seen its end.
fn bury(view: &View, next: &mut Value, vmi: &Value) {
    remove_finalizer(next, INSTANCE_FINALIZER);
    remove_finalizer(next, "foregroundDeleteVirtualMachine");
    let owns = |owner: &Value| {
        let vm = view.get(VIRTUAL_MACHINE, namespace_of(vmi), text(owner, "/name"));
        owner["kind"] == "VirtualMachine" && vm.is_some_and(|vm| uid_of(vm) == text(owner, "/uid"))
    };
    if !list(vmi, "/metadata/ownerReferences").iter().any(owns) {
        remove_finalizer(next, MACHINE_FINALIZER);
    }
}

fn set_ready(next: &mut Value, vmi: &Value, pod: Option<&Value>, now: Timestamp) {
    let (status, reason, message) = match pod {
        None => ("False", "PodNotExists", "virt-launcher pod has not yet been scheduled"),
        Some(pod) if is_down_or_going_down(pod) => ("False", "PodTerminating", "virt-launcher pod is terminating"),
        _ if phase(vmi) != "Running" => ("False", "GuestNotRunning", "Guest VM is not reported as running"),
        Some(pod) => match condition(pod, "Ready") {
            None => ("False", "PodConditionMissing", "virt-launcher pod is missing the Ready condition"),
            Some(ready) => (text(ready, "/status"), text(ready, "/reason"), text(ready, "/message")),
        },
    };
    // A VMI that has ended keeps what was said of it last, once its pods have gone.
    if !(is_final(vmi) && pod.is_none()) {
        set_condition(next, ["Ready", status, reason, message], now);
    }
}
