//! What nodes, configuration, rights, volumes, events and webhooks refuse. `pkg/apis/*/validation`

use serde_json::Value;

use super::{
    super::quantity::Quantity,
    field::Errors,
    list,
    names::{config_key, label_key, label_value},
    text,
};

pub(super) fn node(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, taint) in list(&object["spec"]["taints"]).iter().enumerate() {
        // Kubernetes says `metadata`, although they are in the specification.
        let at = |field: &str| format!("metadata.taints[{index}].{field}");
        let [key, value, effect] = ["key", "value", "effect"].map(|field| text(&taint[field]));
        errors.malformed(at("key"), key, label_key(key));
        if let message @ [_, ..] = &label_value(value)[..] {
            errors.invalid(at("value"), &value.into(), &message.join(";"));
        }
        match effect {
            "" => errors.required(at("effect"), ""),
            _ => errors.one_of(at("effect"), &taint["effect"], EFFECTS),
        }
        if seen.contains(&(key, effect)) {
            let path = format!("metadata.taints[{index}]");
            errors.duplicate_because(path, taint, "taints must be unique by key and effect pair");
        }
        seen.push((key, effect));
    }
    let cidrs = list(&object["spec"]["podCIDRs"]);
    let cidrs = if cidrs.is_empty() { std::slice::from_ref(&object["spec"]["podCIDR"]) } else { cidrs };
    for (index, cidr) in cidrs.iter().enumerate().filter(|(_, cidr)| !text(cidr).is_empty()) {
        let address = text(cidr).split_once('/').and_then(|(address, bits)| {
            bits.parse::<u8>().ok()?;
            address.parse::<std::net::IpAddr>().ok()
        });
        if address.is_none() {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.invalid(format!("spec.podCIDRs[{index}]"), cidr, detail);
        }
    }
    let before = old.map(|old| text(&old["spec"]["providerID"])).filter(|provider| !provider.is_empty());
    if before.is_some_and(|before| before != text(&object["spec"]["providerID"])) {
        errors.invalid("spec.providerID", &Value::Null, "field cannot be modified once set");
    }
}

pub(super) fn lease(object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        errors.invalid("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"], "must be greater than 0");
    }
    errors.non_negative("spec.leaseTransitions", &spec["leaseTransitions"]);
}

pub(super) fn namespace(object: &Value, errors: &mut Errors) {
    for finalizer in list(&object["spec"]["finalizers"]).iter().map(text) {
        super::metadata::finalizer(finalizer, "spec.finalizers", errors);
    }
}

/// The data of a `ConfigMap` or `Secret`.
fn data(object: &Value, field: &'static str, errors: &mut Errors) {
    for (key, _) in object[field].as_object().into_iter().flatten() {
        errors.malformed(format!("{field}[{key}]"), key, config_key(key));
        if field == "data" && object["binaryData"].get(key).is_some() {
            errors.invalid(format!("data[{key}]"), &key.as_str().into(), "duplicate of key present in binaryData");
        }
    }
}

fn immutable_data(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return };
    if object["immutable"] != true {
        errors.forbidden("immutable", DETAIL);
    }
    for field in ["data", "binaryData"] {
        if old[field] != object[field] {
            errors.forbidden(field, DETAIL);
        }
    }
}

pub(super) fn config_map(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    data(object, "data", errors);
    data(object, "binaryData", errors);
    immutable_data(old, object, errors);
}

pub(super) fn secret(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    data(object, "data", errors);
    if text(&object["type"]) == "kubernetes.io/tls" {
        for key in ["tls.crt", "tls.key"] {
            if object["data"][key].is_null() {
                errors.required(format!("data[{key}]"), "");
            }
        }
    }
    if let Some(old) = old {
        errors.immutable("type", &old["type"], &object["type"]);
    }
    immutable_data(old, object, errors);
}

pub(super) fn service(object: &Value, errors: &mut Errors) {
    const PORT: &str = "must be between 1 and 65535, inclusive";
    let spec = &object["spec"];
    let ports = list(&spec["ports"]);
    let headless = spec["clusterIP"] == "None";
    if ports.is_empty() && !headless && spec["type"] != "ExternalName" {
        errors.required("spec.ports", "");
    }
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        if ports.len() > 1 && text(&port["name"]).is_empty() {
            errors.required(at("name"), "");
        }
        for field in ["port", "targetPort"] {
            if port[field].as_i64().is_some_and(|number| !(1..=65535).contains(&number)) {
                errors.invalid(at(field), &port[field], PORT);
            }
        }
        errors.one_of(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
    errors.one_of("spec.type", &spec["type"], &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
}

/// Of `Role` and `ClusterRole`.
pub(super) fn role(namespaced: bool, object: &Value, errors: &mut Errors) {
    for (index, rule) in list(&object["rules"]).iter().enumerate() {
        let at = |field: &str| format!("rules[{index}].{field}");
        if list(&rule["verbs"]).is_empty() {
            errors.required(at("verbs"), "");
        }
        let urls = &rule["nonResourceURLs"];
        if !list(urls).is_empty() {
            if namespaced {
                errors.invalid(at("nonResourceURLs"), urls, "namespaced rules cannot apply to non-resource URLs");
            }
            if !list(&rule["apiGroups"]).is_empty() || !list(&rule["resources"]).is_empty() {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(at("nonResourceURLs"), urls, detail);
            }
            continue;
        }
        if list(&rule["apiGroups"]).is_empty() {
            errors.required(at("apiGroups"), "resource rules must supply at least one api group");
        }
        if list(&rule["resources"]).is_empty() {
            errors.required(at("resources"), "resource rules must supply at least one resource");
        }
    }
}

/// Of `RoleBinding` and `ClusterRoleBinding`.
pub(super) fn binding(namespaced: bool, old: Option<&Value>, object: &Value, errors: &mut Errors) {
    let role = &object["roleRef"];
    if role["apiGroup"] != "rbac.authorization.k8s.io" {
        errors.not_supported("roleRef.apiGroup", &role["apiGroup"], &["rbac.authorization.k8s.io"]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    errors.one_of("roleRef.kind", &role["kind"], kinds);
    for (index, subject) in list(&object["subjects"]).iter().enumerate() {
        let at = |field: &str| format!("subjects[{index}].{field}");
        errors.one_of(at("kind"), &subject["kind"], &["ServiceAccount", "User", "Group"]);
        if !namespaced && subject["kind"] == "ServiceAccount" && text(&subject["namespace"]).is_empty() {
            errors.required(at("namespace"), "");
        }
        if text(&subject["name"]).is_empty() {
            errors.required(at("name"), "");
        }
    }
    if text(&role["name"]).is_empty() {
        errors.required("roleRef.name", "");
    }
    if let Some(old) = old {
        errors.immutable("roleRef", &old["roleRef"], role);
    }
}

pub(super) fn priority_class(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    const HIGHEST: i64 = 1_000_000_000;
    let name = text(&object["metadata"]["name"]);
    let known = ["system-node-critical", "system-cluster-critical"];
    if name.starts_with("system-") && !known.contains(&name) {
        let detail = "priority class names with 'system-' prefix are reserved for system use only. error:";
        errors.forbidden("metadata.name", &format!("{detail} {name} is not a known system priority class"));
    } else if !name.starts_with("system-") && object["value"].as_i64().unwrap_or_default() > HIGHEST {
        errors.forbidden("value", &format!("maximum allowed value of a user defined priority is {HIGHEST}"));
    }
    if old.is_some_and(|old| old["value"] != object["value"]) {
        errors.forbidden("value", "may not be changed in an update.");
    }
}

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(super) fn claim(old: Option<&Value>, object: &Value, errors: &mut Errors) {
    let spec = &object["spec"];
    if old.is_some() {
        return;
    }
    if list(&spec["accessModes"]).is_empty() {
        errors.required("spec.accessModes", "at least 1 access mode is required");
    }
    for mode in list(&spec["accessModes"]) {
        errors.one_of("spec.accessModes", mode, &MODES);
    }
    match &spec["resources"]["requests"]["storage"] {
        Value::Null => errors.required("spec.resources[storage]", ""),
        storage => {
            if Quantity::parse(text(storage)).is_ok_and(|storage| storage.nanos() <= 0) {
                errors.invalid("spec.resources[storage]", storage, "must be greater than zero");
            }
        }
    }
}

pub(super) fn volume(object: &Value, errors: &mut Errors) {
    const OTHERS: [&str; 9] = [
        "capacity",
        "accessModes",
        "claimRef",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "volumeMode",
        "nodeAffinity",
        "volumeAttributesClassName",
    ];
    let spec = &object["spec"];
    if list(&spec["accessModes"]).is_empty() {
        errors.required("spec.accessModes", "");
    }
    for mode in list(&spec["accessModes"]) {
        errors.one_of("spec.accessModes", mode, &MODES);
    }
    if spec["capacity"].is_null() {
        errors.required("spec.capacity", "");
    }
    if spec["capacity"]["storage"].is_null() {
        errors.not_supported("spec.capacity", &spec["capacity"], &["storage"]);
    }
    if !spec.as_object().is_some_and(|spec| spec.keys().any(|field| !OTHERS.contains(&field.as_str()))) {
        errors.required("spec", "must specify a volume type");
    }
}

/// Of both API groups: what is written with an event time is held to the newer rules.
pub(super) fn event(new_group: bool, old: Option<&Value>, object: &Value, errors: &mut Errors) {
    let about = if new_group { &object["regarding"] } else { &object["involvedObject"] };
    let namespace = text(&about["namespace"]);
    let own = text(&object["metadata"]["namespace"]);
    if (namespace.is_empty() && own != "default" && own != "kube-system") || (!namespace.is_empty() && namespace != own)
    {
        errors.invalid("involvedObject.namespace", &namespace.into(), "does not match event.namespace");
    }
    let timed = !object["eventTime"].is_null();
    if old.is_some() || (!timed && !new_group) {
        return;
    }
    if !timed {
        errors.required("eventTime", "");
    }
    let reporter = if new_group { "reportingController" } else { "reportingComponent" };
    if timed {
        if text(&object[reporter]).is_empty() {
            errors.required(reporter, "");
        }
        errors.malformed(reporter, text(&object[reporter]), label_key(text(&object[reporter])));
        for field in ["reportingInstance", "action", "reason"] {
            if text(&object[field]).is_empty() {
                errors.required(field, "");
            }
        }
    }
    if new_group {
        if text(&object["note"]).len() > 1024 {
            errors.invalid("message", &"".into(), "can have at most 1024 characters");
        }
        let of = text(&object["type"]);
        if !matches!(of, "Normal" | "Warning") {
            errors.invalid("type", &"".into(), &format!("has invalid value: {of}"));
        }
    }
}

pub(super) fn webhooks(object: &Value, errors: &mut Errors) {
    for (index, webhook) in list(&object["webhooks"]).iter().enumerate() {
        let at = |field: &str| format!("webhooks[{index}].{field}");
        match text(&webhook["name"]) {
            "" => errors.required(at("name"), ""),
            name if name.split('.').count() < 3 => {
                let detail = "should be a domain with at least three segments separated by dots";
                errors.invalid(at("name"), &name.into(), detail);
            }
            _ => {}
        }
        let seconds = &webhook["timeoutSeconds"];
        match text(&webhook["sideEffects"]) {
            "" => errors.required(at("sideEffects"), "must specify one of None, NoneOnDryRun"),
            _ => errors.one_of(at("sideEffects"), &webhook["sideEffects"], &["None", "NoneOnDryRun"]),
        }
        if seconds.as_i64().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
            errors.invalid(at("timeoutSeconds"), seconds, "the timeout value must be between 1 and 30 seconds");
        }
        let client = &webhook["clientConfig"];
        if client["url"].is_string() == client["service"].is_object() {
            errors.required(at("clientConfig"), "exactly one of url or service is required");
        }
        if list(&webhook["admissionReviewVersions"]).is_empty() {
            errors.required(at("admissionReviewVersions"), "must specify one of v1, v1beta1");
        }
    }
}
