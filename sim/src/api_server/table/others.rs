//! Rows of configuration, rights, volumes and the like.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age_of, joined, list, name_of, number, or, text, workloads::labels};

/// For what has no printer.
pub(super) fn name_and_time(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name_of(object), object["metadata"]["creationTimestamp"].clone()]
}

fn entries(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

pub(super) const SERVICE: &[&str] = &["Name:name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector+"];

pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let external = list(&spec["externalIPs"]).iter().map(text);
    let balancer = list(&object["status"]["loadBalancer"]["ingress"]).iter();
    let balancer = balancer.map(|ingress| or(&ingress["ip"], text(&ingress["hostname"])));
    let external = match text(&spec["type"]) {
        "ClusterIP" | "NodePort" => Some(joined(external)).filter(|all| !all.is_empty()).unwrap_or("<none>".to_owned()),
        "LoadBalancer" => {
            let all = joined(balancer.chain(external));
            Some(all).filter(|all| !all.is_empty()).unwrap_or("<pending>".to_owned())
        }
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    };
    let ports = list(&spec["ports"]).iter().map(|port| {
        let (number, protocol) = (port["port"].as_i64().unwrap_or_default(), text(&port["protocol"]));
        match port["nodePort"].as_i64() {
            Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    });
    let ports = ports.collect::<Vec<_>>().join(",");
    vec![
        name_of(object),
        text(&spec["type"]).into(),
        or(&spec["clusterIPs"][0], "<none>").into(),
        external.into(),
        if ports.is_empty() { json!("<none>") } else { ports.into() },
        age_of(object, now),
        labels(&spec["selector"]),
    ]
}

pub(super) const CONFIG_MAP: &[&str] = &["Name:name", "Data", "Age"];

pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(&object["data"]) + entries(&object["binaryData"]);
    vec![name_of(object), count.into(), age_of(object, now)]
}

pub(super) const SECRET: &[&str] = &["Name:name", "Type", "Data", "Age"];

pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), text(&object["type"]).into(), entries(&object["data"]).into(), age_of(object, now)]
}

pub(super) const SERVICE_ACCOUNT: &[&str] = &["Name:name", "Age"];

pub(super) fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), age_of(object, now)]
}

pub(super) const LEASE: &[&str] = &["Name:name", "Holder", "Age"];

pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), text(&object["spec"]["holderIdentity"]).into(), age_of(object, now)]
}

pub(super) const PRIORITY_CLASS: &[&str] =
    &["Name:name", "Value:integer", "Global-Default:boolean", "Age", "PreemptionPolicy"];

pub(super) fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = object["globalDefault"].as_bool().unwrap_or_default();
    let preemption = text(&object["preemptionPolicy"]).into();
    vec![name_of(object), number(&object["value"]), default.into(), age_of(object, now), preemption]
}

pub(super) const BINDING: &[&str] = &["Name:name", "Role", "Age", "Users+", "Groups+", "ServiceAccounts+"];

pub(super) fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let of = |kind: &str| {
        let subjects = list(&object["subjects"]).iter().filter(|subject| subject["kind"] == kind);
        let names = subjects.map(|subject| match text(&subject["namespace"]) {
            namespace if kind == "ServiceAccount" => format!("{namespace}/{}", text(&subject["name"])),
            _ => text(&subject["name"]).to_owned(),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    vec![
        name_of(object),
        format!("{}/{}", text(&role["kind"]), text(&role["name"])).into(),
        age_of(object, now),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

pub(super) const STORAGE_CLASS: &[&str] =
    &["Name:name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"];

pub(super) fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    let name = text(&object["metadata"]["name"]);
    vec![
        if default { format!("{name} (default)").into() } else { name_of(object) },
        text(&object["provisioner"]).into(),
        or(&object["reclaimPolicy"], "Delete").into(),
        or(&object["volumeBindingMode"], "<unset>").into(),
        object["allowVolumeExpansion"].as_bool().unwrap_or_default().into(),
        age_of(object, now),
    ]
}

pub(super) const WEBHOOKS: &[&str] = &["Name:name", "Webhooks:integer", "Age"];

pub(super) fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), list(&object["webhooks"]).len().into(), age_of(object, now)]
}

/// `RWO,ROX`
fn modes(modes: &Value) -> String {
    let known =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| list(modes).iter().any(|given| given == mode);
    joined(known.into_iter().filter(|(mode, _)| has(mode)).map(|(_, short)| short))
}

fn phase(object: &Value) -> Value {
    let deleted = !object["metadata"]["deletionTimestamp"].is_null();
    if deleted { "Terminating".into() } else { text(&object["status"]["phase"]).into() }
}

pub(super) const VOLUME: &[&str] = &[
    "Name:name",
    "Capacity",
    "Access Modes",
    "Reclaim Policy",
    "Status",
    "Claim",
    "StorageClass",
    "VolumeAttributesClass",
    "Reason",
    "Age",
    "VolumeMode+",
];

pub(super) fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let claim = &spec["claimRef"];
    let claim = claim.is_object().then(|| format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])));
    vec![
        name_of(object),
        or(&spec["capacity"]["storage"], "0").into(),
        modes(&spec["accessModes"]).into(),
        text(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase(object),
        claim.unwrap_or_default().into(),
        text(&spec["storageClassName"]).into(),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
        text(&object["status"]["reason"]).into(),
        age_of(object, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>").into(),
    ]
}

pub(super) const CLAIM: &[&str] = &[
    "Name:name",
    "Status",
    "Volume",
    "Capacity",
    "Access Modes",
    "StorageClass",
    "VolumeAttributesClass",
    "Age",
    "VolumeMode+",
];

pub(super) fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = !text(&spec["volumeName"]).is_empty();
    vec![
        name_of(object),
        phase(object),
        text(&spec["volumeName"]).into(),
        if bound { or(&status["capacity"]["storage"], "0").into() } else { json!("") },
        if bound { modes(&status["accessModes"]).into() } else { json!("") },
        text(&spec["storageClassName"]).into(),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
        age_of(object, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>").into(),
    ]
}
