//! What a kubelet says of its node: labels, capacity, addresses, conditions, and the Lease that says that it lives.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Kubelet, addresses};
use crate::actors::{
    actor::{Turn, Write},
    kinds::{LEASE, NODE},
    object::{condition, items, microseconds, name_of, seconds, set_condition, time, uid_of, would_change},
    rules::after,
    view::{View, key_of},
};

/// Where the Leases of nodes are.
pub(in crate::actors) const LEASES: &str = "kube-node-lease";
/// `nodeStatusReportFrequency`: how often an unchanged status is written.
const REPORTS_EVERY: Duration = Duration::from_secs(300);
const LEASE_SECONDS: u32 = 40;

impl Kubelet {
    pub(super) fn tend_node(&self, view: &View, node: &Value, now: Timestamp, turn: &mut Turn) {
        // What is written now makes the version old that the report would be guarded by.
        if !register(node, turn) {
            self.report(node, now, turn);
        }
        self.renew(view, node, now, turn);
    }

    fn report(&self, node: &Value, now: Timestamp, turn: &mut Turn) {
        let ready = if self.rules.wishes(NODE, node, "not-ready") {
            ("False", "KubeletNotReady", "container runtime is down")
        } else {
            ("True", "KubeletReady", "kubelet is posting ready status")
        };
        let mut conditions = items(&node["status"]["conditions"]).to_vec();
        let mut changed = false;
        for (type_, (status, reason, message)) in [
            ("MemoryPressure", ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available")),
            ("DiskPressure", ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure")),
            ("PIDPressure", ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available")),
            ("Ready", ready),
        ] {
            let wanted = json!({"type": type_, "status": status, "reason": reason, "message": message});
            changed |= set_condition(&mut conditions, wanted, now);
        }
        let next_report = condition(node, "Ready")
            .and_then(|ready| time(&ready["lastHeartbeatTime"]))
            .map(|last| after(last, self.rules.scale(REPORTS_EVERY)));
        let mut status = missing_status(node);
        let is_due = next_report.is_none_or(|at| at <= now);
        if changed || is_due || would_change(&node["status"], &status) {
            for condition in &mut conditions {
                if matches!(
                    condition["type"].as_str(),
                    Some("MemoryPressure" | "DiskPressure" | "PIDPressure" | "Ready")
                ) {
                    condition["lastHeartbeatTime"] = seconds(now).into();
                }
            }
            status["conditions"] = conditions.into();
            // Others write conditions, too, and a merge patch replaces the list.
            let version = &node["metadata"]["resourceVersion"];
            let patch = json!({"metadata": {"uid": uid_of(node), "resourceVersion": version}, "status": status});
            turn.writes.push(Write::Patch { kind: NODE, key: key_of(node), subresource: Some("status"), patch });
            turn.look_again(after(now, self.rules.scale(REPORTS_EVERY)));
        } else if let Some(at) = next_report {
            turn.look_again(at);
        }
    }

    fn renew(&self, view: &View, node: &Value, now: Timestamp, turn: &mut Turn) {
        let name = name_of(node);
        let next = after(now, self.rules.scale(self.renews_every));
        let Some(lease) = view.get(LEASE, LEASES, name) else {
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)});
            let lease = json!({
                "metadata": {"namespace": LEASES, "name": name, "ownerReferences": [owner]},
                "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": microseconds(now)},
            });
            turn.writes.push(Write::Create { kind: LEASE, object: lease });
            turn.look_again(next);
            return;
        };
        let due = time(&lease["spec"]["renewTime"]).map(|last| after(last, self.rules.scale(self.renews_every)));
        if let Some(due) = due.filter(|due| *due > now) {
            turn.look_again(due);
            return;
        }
        let patch = json!({"spec": {"holderIdentity": name, "renewTime": microseconds(now)}});
        turn.writes.push(Write::Patch { kind: LEASE, key: key_of(lease), subresource: None, patch });
        turn.look_again(next);
    }
}

/// Adds the labels that a kubelet registers its node with; says whether any was missing.
fn register(node: &Value, turn: &mut Turn) -> bool {
    let name = name_of(node);
    let wanted = [("kubernetes.io/hostname", name), ("kubernetes.io/os", "linux"), ("kubernetes.io/arch", "amd64")];
    let missing: serde_json::Map<String, Value> = wanted
        .into_iter()
        .filter(|(label, _)| node["metadata"]["labels"][label].is_null())
        .map(|(label, value)| (label.to_owned(), value.into()))
        .collect();
    if missing.is_empty() {
        return false;
    }
    let patch = json!({"metadata": {"uid": uid_of(node), "labels": missing}});
    turn.writes.push(Write::Patch { kind: NODE, key: key_of(node), subresource: None, patch });
    true
}

/// What the node's status lacks: nodes are made without one.
fn missing_status(node: &Value) -> Value {
    let name = name_of(node);
    let resources = json!({
        "cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi", "hugepages-2Mi": "0",
    });
    let is_there = |field: &str| match &node["status"][field] {
        Value::Array(list) => !list.is_empty(),
        own @ Value::Object(_) if field == "nodeInfo" => {
            own["kubeletVersion"].as_str().is_some_and(|text| !text.is_empty())
        }
        own @ Value::Object(_) if field == "daemonEndpoints" => {
            own["kubeletEndpoint"]["Port"].as_u64().unwrap_or(0) > 0
        }
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    };
    let mut status = json!({});
    if ["capacity", "allocatable", "addresses", "daemonEndpoints", "nodeInfo"].into_iter().all(is_there) {
        return status;
    }
    let defaults = json!({
        "capacity": resources,
        "allocatable": node["status"]["capacity"].as_object().map_or(resources.clone(), |own| own.clone().into()),
        "addresses": [
            {"type": "InternalIP", "address": addresses::of_node(name)},
            {"type": "Hostname", "address": name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "osImage": "careen-sim",
            "kernelVersion": "6.12.0", "kubeletVersion": "v1.37.2", "kubeProxyVersion": "",
            "containerRuntimeVersion": "containerd://2.1.0", "machineID": "", "systemUUID": "", "bootID": "",
        },
    });
    for (field, value) in defaults.as_object().into_iter().flatten() {
        if !is_there(field) {
            status[field.as_str()] = value.clone();
        }
    }
    status
}
