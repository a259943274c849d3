//! virt-controller's controller of VMs: makes and deletes VMIs as the VM's run strategy says, and reports.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/watch/vm/vm.go>
//!
//! | module | holds |
//! |---|---|
//! | [`run_strategy`] | whether a VM starts or stops its VMI |
//! | [`status`] | a VM's status |

mod run_strategy;
mod status;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    configuration::Configuration,
    event::{Happening, Source},
    names::{INSTANCE, INSTANCE_FINALIZER, KUBEVIRT, MACHINE_FINALIZER, VIRTUAL_MACHINE},
    object::{
        add_finalizer, change, controlled_by, delete, is_controlled_by, is_deleting, is_final, name_of, namespace_of,
        remove_finalizer, text, uid_of,
    },
};
use crate::actors::{
    actor::{Actor, Turn, Write},
    view::{Kind, View},
};
use run_strategy::Step;

/// The controller of VMs.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineController;

impl Actor for MachineController {
    fn name(&self) -> &'static str {
        "virt-controller-vm"
    }

    fn watches(&self) -> Vec<Kind> {
        vec![VIRTUAL_MACHINE, INSTANCE, KUBEVIRT]
    }

    fn act(&mut self, view: &View, now: Timestamp, random: &mut fastrand::Rng) -> Turn {
        let configuration = Configuration::of(view);
        let mut turn = Turn::default();
        for vm in view.all(VIRTUAL_MACHINE) {
            // A VMI of that name that belongs to nobody, or to somebody else, is not touched.
            let named = view.get(INSTANCE, namespace_of(vm), name_of(vm));
            let vmi = named.filter(|vmi| is_controlled_by(vmi, uid_of(vm)));
            let step = if named.is_some() == vmi.is_some() { run_strategy::step(vm, vmi, now) } else { Step::Rest };
            carry_out(&step, vm, vmi, &configuration, &mut turn, now);
            match report(vm, vmi, &step, now, random) {
                Some(written) => turn.writes.push(written),
                // Only a VMI whose end is in the VM's status may go.
                None => turn.writes.extend(vmi.and_then(release)),
            }
        }
        turn
    }
}

fn carry_out(
    step: &Step,
    vm: &Value,
    vmi: Option<&Value>,
    configuration: &Configuration,
    turn: &mut Turn,
    now: Timestamp,
) {
    let happened = match (step, vmi) {
        (Step::Start, _) => {
            turn.writes.push(Write::Create { kind: INSTANCE, object: instance_of(vm, configuration) });
            let message =
                format!("Started the virtual machine by creating the new virtual machine instance {}", name_of(vm));
            Happening::normal(Source::Controller, "SuccessfulCreate", message)
        }
        (Step::Stop, Some(vmi)) if !is_deleting(vmi) => {
            turn.writes.push(delete(INSTANCE, vmi));
            let message =
                format!("Stopped the virtual machine by deleting the virtual machine instance {}", uid_of(vmi));
            Happening::normal(Source::Controller, "SuccessfulDelete", message)
        }
        (Step::StartAt(time), _) => return turn.look_again(*time),
        _ => return,
    };
    turn.writes.push(happened.about(VIRTUAL_MACHINE, vm, now));
}

/// One write to the VM: its finalizer or its run strategy, else its status.
fn report(vm: &Value, vmi: Option<&Value>, step: &Step, now: Timestamp, random: &mut fastrand::Rng) -> Option<Write> {
    let mut next = vm.clone();
    if !is_deleting(vm) {
        add_finalizer(&mut next, MACHINE_FINALIZER);
    } else if vmi.is_none() {
        remove_finalizer(&mut next, MACHINE_FINALIZER);
    }
    if *step == Step::RunAlways {
        if vm["spec"]["runStrategy"].is_string() {
            next["spec"]["runStrategy"] = "Always".into();
        } else {
            next["spec"]["running"] = true.into();
        }
    }
    if let Some(changed) = change(VIRTUAL_MACHINE, None, vm, &next) {
        return Some(changed);
    }
    let next = status::next(vm, vmi, step, now, random);
    change(VIRTUAL_MACHINE, Some("status"), vm, &next)
}

/// A VMI that has ended, and whose end its VM has seen, may go.
fn release(vmi: &Value) -> Option<Write> {
    let mut next = vmi.clone();
    if is_final(vmi) {
        remove_finalizer(&mut next, MACHINE_FINALIZER);
    }
    change(INSTANCE, None, vmi, &next)
}

/// The VMI of a VM, with what KubeVirt's mutating webhook adds.
fn instance_of(vm: &Value, configuration: &Configuration) -> Value {
    let template = &vm["spec"]["template"];
    let mut metadata = json!({
        "name": name_of(vm), "namespace": namespace_of(vm),
        "ownerReferences": [controlled_by(VIRTUAL_MACHINE, vm)],
        "finalizers": [MACHINE_FINALIZER, INSTANCE_FINALIZER],
    });
    for part in ["labels", "annotations"] {
        if template["metadata"][part].is_object() {
            metadata[part] = template["metadata"][part].clone();
        }
    }
    let generation = vm["metadata"]["generation"].as_u64().unwrap_or(1).to_string();
    metadata["annotations"]["kubevirt.io/vm-generation"] = generation.into();
    let mut spec = template["spec"].clone();
    if text(&spec, "/evictionStrategy").is_empty() {
        spec["evictionStrategy"] = configuration.eviction_strategy.as_str().into();
    }
    json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": metadata, "spec": spec})
}
