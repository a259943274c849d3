//! The VMs of a case.

use careen_sim::actors::kubevirt::names::CREATED_BY;
use serde_json::{Value, json};

use super::{NOT_MIGRATABLE, VirtApiIs};
use crate::{
    case::{CASE_LABEL, Case},
    objects::{conditions, kinds, name_of, text, uid_of},
    wait::{check, soon},
};

/// How a VM is made.
#[derive(Clone, Copy, Debug)]
pub struct Vm {
    /// `spec.evictionStrategy` of its VMI.
    pub strategy: &'static str,
    /// `spec.runStrategy` of its `VirtualMachine`; without one it is a bare VMI.
    pub run_strategy: Option<&'static str>,
    /// Why KubeVirt says that it cannot migrate ([`NOT_MIGRATABLE`]).
    pub not_migratable: Option<&'static str>,
}

impl Vm {
    /// A VM that migrates live and always runs.
    pub const LIVE_MIGRATE: Self = Self { strategy: "LiveMigrate", run_strategy: Some("Always"), not_migratable: None };
    /// A VM without a strategy that always runs.
    pub const NO_STRATEGY: Self = Self { strategy: "None", run_strategy: Some("Always"), not_migratable: None };
}

impl Case {
    /// KubeVirt in this case's namespace.
    pub async fn with_kubevirt(&self) {
        self.virt_api(VirtApiIs::Up).await;
    }

    /// virt-api goes away, or comes back.
    pub async fn virt_api(&self, virt_api: VirtApiIs) {
        self.suite.kubevirt.intercept_evictions(&self.namespace, virt_api).await;
    }

    /// A VM that runs on one of the case's nodes: its VMI.
    pub async fn vm(&self, name: &str, vm: Vm) -> Value {
        let annotations = vm.not_migratable.map_or(json!({}), |reason| json!({NOT_MIGRATABLE: reason}));
        self.vm_that_starts(name, vm, annotations).await;
        self.vmi_runs(name, None).await
    }

    /// A VM that will run on one of the case's nodes; its VMI is told what to do by these annotations.
    pub async fn vm_that_starts(&self, name: &str, vm: Vm, annotations: Value) {
        // What KubeVirt copies from the one to the other.
        let instance = json!({
            "evictionStrategy": vm.strategy, "nodeSelector": {CASE_LABEL: self.id}, "terminationGracePeriodSeconds": 30,
            "domain": {"devices": {}},
        });
        let owner = if let Some(run_strategy) = vm.run_strategy {
            let made = self
                .cluster()
                .create(json!({
                    "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
                    "metadata": {"name": name, "namespace": self.namespace},
                    "spec": {
                        "runStrategy": run_strategy,
                        "template": {"metadata": {"annotations": annotations}, "spec": instance},
                    },
                }))
                .await;
            Some(made)
        } else {
            None
        };
        // KubeVirt starts these; others have been started by somebody.
        if !matches!(vm.run_strategy, Some("Always" | "RerunOnFailure")) {
            self.cluster().create(instance_of(&self.namespace, name, &annotations, &instance, owner.as_ref())).await;
        }
    }

    /// Waits until that VMI is in that phase.
    pub async fn vmi_is(&self, name: &str, phase: &str) -> Value {
        soon(&format!("VMI {name} is {phase}"), async || {
            let found = self.cluster().find(kinds::VMI, &self.namespace, name).await.ok_or("it does not exist")?;
            check(text(&found, "/status/phase") == phase, || found["status"].to_string())?;
            Ok(found)
        })
        .await
    }

    /// Waits until that VMI runs (on that node, if one is named): the VMI.
    pub async fn vmi_runs(&self, name: &str, node: Option<&str>) -> Value {
        soon(&format!("VMI {name} runs"), async || {
            let found = self.cluster().find(kinds::VMI, &self.namespace, name).await.ok_or("it does not exist")?;
            let is_there = node.is_none_or(|node| text(&found, "/status/nodeName") == node);
            let decided = conditions(&found).contains_key("LiveMigratable");
            let runs = text(&found, "/status/phase") == "Running" && is_there && decided;
            check(runs, || found["status"].to_string())?;
            Ok(found)
        })
        .await
    }

    /// The VMI as it is.
    pub async fn vmi(&self, name: &str) -> Value {
        self.cluster().get(kinds::VMI, &self.namespace, name).await
    }

    /// Annotates a VMI with one of the annotations of [`super`].
    pub async fn tell(&self, vmi: &str, annotation: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        self.cluster().merge(kinds::VMI, &self.namespace, vmi, patch).await;
    }

    /// The name of the launcher pod of that VMI on that node.
    pub async fn launcher(&self, vmi: &Value, node: &str) -> String {
        let pods = self.pods_on(node).await;
        let launcher = pods.iter().find(|pod| is_launcher_of(pod, vmi));
        name_of(launcher.unwrap_or_else(|| panic!("{} has no launcher pod on {node}", name_of(vmi)))).to_owned()
    }

    /// Waits until the migration of that VMI is in that phase: the migration.
    pub async fn migration_is(&self, vmi: &str, phase: &str) -> Value {
        soon(&format!("the migration of {vmi} is {phase}"), async || {
            let found = self.cluster().list(kinds::MIGRATION, &self.namespace).await;
            let phases: Vec<&str> = found.iter().map(|found| text(found, "/status/phase")).collect();
            let mine =
                found.iter().find(|found| text(found, "/spec/vmiName") == vmi && text(found, "/status/phase") == phase);
            mine.cloned().ok_or_else(|| format!("{phases:?}"))
        })
        .await
    }
}

fn is_launcher_of(pod: &Value, vmi: &Value) -> bool {
    crate::objects::label(pod, CREATED_BY) == Some(uid_of(vmi))
}

/// What somebody has started.
fn instance_of(namespace: &str, name: &str, annotations: &Value, spec: &Value, owner: Option<&Value>) -> Value {
    let owner_reference = |vm: &Value| {
        json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": name_of(vm), "uid": uid_of(vm),
            "controller": true, "blockOwnerDeletion": true,
        })
    };
    let owners: Vec<Value> = owner.map(owner_reference).into_iter().collect();
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations, "ownerReferences": owners},
        "spec": spec,
    })
}
