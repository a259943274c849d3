//! The launcher pod: an ordinary pod, in which a guest runs.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/services/template.go>

use serde_json::{Map, Value, json};

use crate::actors::{
    kubevirt::{
        names::{
            APP, CPU_VENDOR, CREATED_BY, DOMAIN, INSTANCE, LAUNCHER, MACHINE_TYPE, MIGRATION_JOB_NAME,
            MIGRATION_JOB_UID, SCHEDULABLE, UNPAUSED,
        },
        object::{controlled_by, name_of, namespace_of, suffix, text, uid_of},
    },
    rules::PREFIX,
};

/// What a guest gets that says nothing, in seconds.
const GRACE: u64 = 30;

/// virt-launcher waits half of it longer than the guest, and the kubelet all of it, in seconds.
const PADDING: u64 = 30;

/// How long a guest may take to shut down, in seconds.
pub fn guest_grace_seconds(vmi: &Value) -> u64 {
    vmi["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(GRACE)
}

/// The first launcher pod of a VMI.
pub fn launcher(vmi: &Value) -> Value {
    render(vmi, uid_of(vmi))
}

/// The target pod of a migration. It must not come to a node where another pod of the VMI is, and needs the source node's
/// machine type and processors.
pub fn target(vmi: &Value, migration: &Value, source_node: Option<&Value>) -> Value {
    let mut pod = render(vmi, uid_of(migration));
    pod["metadata"]["labels"][MIGRATION_JOB_UID] = uid_of(migration).into();
    pod["metadata"]["annotations"][MIGRATION_JOB_NAME] = name_of(migration).into();
    let elsewhere = json!({
        "labelSelector": {"matchLabels": {CREATED_BY: uid_of(vmi)}}, "topologyKey": "kubernetes.io/hostname",
    });
    let rules = &mut pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    match rules.as_array_mut() {
        Some(rules) => rules.push(elsewhere),
        None => *rules = json!([elsewhere]),
    }
    let mut selector = migration["spec"]["addedNodeSelector"].as_object().cloned().unwrap_or_default();
    // The VM's own keys win.
    selector.extend(pod["spec"]["nodeSelector"].as_object().cloned().unwrap_or_default());
    let machine = text(vmi, "/status/machine/type");
    if !machine.is_empty() {
        selector.insert(format!("{MACHINE_TYPE}{machine}"), "true".into());
    }
    let labels = source_node.and_then(|node| node["metadata"]["labels"].as_object());
    let vendor = labels.into_iter().flatten().find(|(key, _)| key.starts_with(CPU_VENDOR));
    if let Some((vendor, _)) = vendor {
        selector.insert(vendor.clone(), "true".into());
    }
    pod["spec"]["nodeSelector"] = selector.into();
    pod
}

fn render(vmi: &Value, seed: &str) -> Value {
    let domain = name_of(vmi);
    let prefix = format!("virt-launcher-{domain}-");
    let grace = guest_grace_seconds(vmi);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{prefix}{}", suffix(seed)), "generateName": prefix, "namespace": namespace_of(vmi),
            "labels": labels(vmi), "annotations": annotations(vmi),
            "ownerReferences": [controlled_by(INSTANCE, vmi)],
        },
        "spec": {
            "restartPolicy": "Never", "enableServiceLinks": false, "automountServiceAccountToken": false,
            "hostname": domain, "terminationGracePeriodSeconds": grace + PADDING,
            "readinessGates": [{"conditionType": UNPAUSED}],
            "nodeSelector": node_selector(vmi),
            "containers": [compute(vmi, grace + PADDING / 2)],
            "volumes": VOLUMES.map(|volume| json!({"name": volume, "emptyDir": {}})),
        },
    });
    for field in ["affinity", "tolerations", "topologySpreadConstraints", "priorityClassName", "schedulerName"] {
        if !vmi["spec"][field].is_null() {
            pod["spec"][field] = vmi["spec"][field].clone();
        }
    }
    pod
}

/// Every launcher pod has local storage: `kubectl drain` wants `--delete-emptydir-data` for it.
const VOLUMES: [&str; 6] = ["private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime", "ephemeral-disks"];

fn labels(vmi: &Value) -> Value {
    let mut labels = vmi["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let domain = name_of(vmi);
    let own =
        [(APP, LAUNCHER), (CREATED_BY, uid_of(vmi)), ("vm.kubevirt.io/name", domain), ("vmi.kubevirt.io/id", domain)];
    labels.extend(own.map(|(key, value)| (key.to_owned(), Value::from(value))));
    labels.into()
}

fn annotations(vmi: &Value) -> Value {
    let mut annotations = Map::new();
    for (key, value) in vmi["metadata"]["annotations"].as_object().into_iter().flatten() {
        // What kubectl keeps for itself does not concern the pod.
        if !key.starts_with("kubectl.kubernetes.io/") && !key.starts_with("kubevirt.io/") {
            annotations.insert(key.clone(), value.clone());
        }
    }
    // A launcher goes when its guest has: not before its grace is over, unless it exits by itself.
    annotations.insert(format!("{PREFIX}ignores-termination"), "true".into());
    let own = [
        (DOMAIN, name_of(vmi)),
        ("kubectl.kubernetes.io/default-container", "compute"),
        ("kubevirt.io/migrationTransportUnix", "true"),
        ("kubevirt.io/nonroot", "true"),
        ("descheduler.alpha.kubernetes.io/request-evict-only", ""),
    ];
    annotations.extend(own.map(|(key, value)| (key.to_owned(), Value::from(value))));
    annotations.into()
}

fn node_selector(vmi: &Value) -> Value {
    let mut selector = vmi["spec"]["nodeSelector"].as_object().cloned().unwrap_or_default();
    selector.insert(SCHEDULABLE.to_owned(), "true".into());
    selector.into()
}

/// The container that the guest runs in. Devices of the hypervisor are not asked for: no kubelet offers them here.
fn compute(vmi: &Value, grace: u64) -> Value {
    let domain = &vmi["spec"]["domain"];
    let mut requests = domain["resources"]["requests"].as_object().cloned().unwrap_or_default();
    if !requests.contains_key("memory")
        && let Some(memory) = domain["memory"]["guest"].as_str()
    {
        requests.insert("memory".to_owned(), memory.into());
    }
    // A tenth of a processor for each of the guest's: KubeVirt's cpuAllocationRatio.
    let cores = domain["cpu"]["cores"].as_u64().unwrap_or(1);
    requests.entry("cpu").or_insert_with(|| format!("{}m", 100 * cores).into());
    json!({
        "name": "compute", "image": "quay.io/kubevirt/virt-launcher:v1.9.0",
        "command": ["/usr/bin/virt-launcher-monitor", "--qemu-timeout", "336s", "--name", name_of(vmi), "--uid", uid_of(vmi),
            "--namespace", namespace_of(vmi), "--grace-period-seconds", grace.to_string()],
        "resources": {"requests": requests, "limits": domain["resources"]["limits"].as_object().cloned().unwrap_or_default()},
        "volumeMounts": VOLUMES.map(|volume| json!({"name": volume, "mountPath": format!("/var/run/kubevirt/{volume}")})),
    })
}
