//! What pods, and pods in templates, refuse. `pkg/apis/core/validation/validation.go`

use serde_json::{Value, json};

use super::{
    super::quantity::Quantity,
    field::Errors,
    list, metadata,
    names::{dns_label, dns_subdomain, label_key, label_value},
    text,
};

/// Of a pod.
pub(super) fn pod(old: Option<&Value>, pod: &Value, errors: &mut Errors) {
    if let Some(old) = old {
        changed(old, pod, errors);
        return;
    }
    spec(&pod["spec"], "spec", errors);
}

/// Of a pod's specification, wherever it is.
pub(super) fn spec(spec: &Value, path: &str, errors: &mut Errors) {
    let at = |field: &str| format!("{path}.{field}");
    volumes(&spec["volumes"], &at("volumes"), errors);
    if list(&spec["containers"]).is_empty() {
        errors.required(at("containers"), "");
    }
    let mut names: Vec<&str> = Vec::new();
    for field in ["containers", "initContainers"] {
        for (index, container) in list(&spec[field]).iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            let name = text(&container["name"]);
            check_container(container, &spec["volumes"], &path, errors);
            if names.contains(&name) && !name.is_empty() {
                errors.duplicate(format!("{path}.name"), &name.into());
            }
            names.push(name);
        }
    }
    errors.one_of(at("restartPolicy"), &spec["restartPolicy"], &["Always", "OnFailure", "Never"]);
    errors.one_of(at("dnsPolicy"), &spec["dnsPolicy"], &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    metadata::labels(&spec["nodeSelector"], &at("nodeSelector"), errors);
    for field in ["nodeName", "serviceAccountName", "priorityClassName"] {
        if !text(&spec[field]).is_empty() {
            errors.malformed(at(field), text(&spec[field]), dns_subdomain(text(&spec[field])));
        }
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        errors.invalid(at("activeDeadlineSeconds"), &seconds.into(), "must be between 1 and 2147483647, inclusive");
    }
    errors.non_negative(at("terminationGracePeriodSeconds"), &spec["terminationGracePeriodSeconds"]);
    tolerations(&spec["tolerations"], &at("tolerations"), errors);
    let affinity = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    if affinity.is_object() && list(&affinity["nodeSelectorTerms"]).is_empty() {
        let path = at("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        errors.required(path, "must have at least one node selector term");
    }
    for (index, gate) in list(&spec["readinessGates"]).iter().enumerate() {
        let of = text(&gate["conditionType"]);
        errors.malformed(at(&format!("readinessGates[{index}].conditionType")), of, label_key(of));
    }
}

fn check_container(container: &Value, volumes: &Value, path: &str, errors: &mut Errors) {
    let at = |field: &str| format!("{path}.{field}");
    match text(&container["name"]) {
        "" => errors.required(at("name"), ""),
        name => errors.malformed(at("name"), name, dns_label(name)),
    }
    match text(&container["image"]) {
        "" => errors.required(at("image"), ""),
        image if image.trim() != image => {
            errors.invalid(at("image"), &image.into(), "must not have leading or trailing whitespace");
        }
        _ => {}
    }
    let policy = &container["terminationMessagePolicy"];
    errors.one_of(at("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(&container["ports"], &at("ports"), errors);
    for (index, variable) in list(&container["env"]).iter().enumerate() {
        if text(&variable["name"]).is_empty() {
            errors.required(at(&format!("env[{index}].name")), "");
        }
    }
    for (index, mount) in list(&container["volumeMounts"]).iter().enumerate() {
        let at = |field: &str| format!("{path}.volumeMounts[{index}].{field}");
        let name = text(&mount["name"]);
        if name.is_empty() {
            errors.required(at("name"), "");
        } else if !list(volumes).iter().any(|volume| volume["name"] == name) {
            errors.not_found(at("name"), &name.into());
        }
        if text(&mount["mountPath"]).is_empty() {
            errors.required(at("mountPath"), "");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
        if container[probe].is_object() && !handlers.iter().any(|handler| container[probe][*handler].is_object()) {
            errors.required(at(probe), "must specify a handler type");
        }
    }
    errors.one_of(at("imagePullPolicy"), &container["imagePullPolicy"], &["Always", "IfNotPresent", "Never"]);
    resources(&container["resources"], &at("resources"), errors);
}

fn ports(ports: &Value, path: &str, errors: &mut Errors) {
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in list(ports).iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        let name = text(&port["name"]);
        if names.contains(&name) {
            errors.duplicate(at("name"), &name.into());
        } else if !name.is_empty() {
            names.push(name);
        }
        match port["containerPort"].as_i64().unwrap_or_default() {
            0 => errors.required(at("containerPort"), ""),
            1..=65535 => {}
            other => errors.invalid(at("containerPort"), &other.into(), "must be between 1 and 65535, inclusive"),
        }
        errors.one_of(at("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
}

fn quantity(value: &Value) -> Option<Quantity> {
    Quantity::parse(text(value)).ok()
}

fn resources(resources: &Value, path: &str, errors: &mut Errors) {
    for what in ["limits", "requests"] {
        for (name, amount) in resources[what].as_object().into_iter().flatten() {
            if quantity(amount).is_some_and(|amount| amount.nanos() < 0) {
                errors.invalid(format!("{path}.{what}[{name}]"), amount, "must be greater than or equal to 0");
            }
        }
    }
    for (name, amount) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name];
        match quantity(amount).zip(quantity(limit)) {
            Some((amount_is, limit_is)) if amount_is > limit_is => {
                let detail = format!("must be less than or equal to {name} limit of {}", text(limit));
                errors.invalid(format!("{path}.requests"), amount, &detail);
            }
            // Extended resources cannot be overcommitted.
            None if limit.is_null() && name.contains('/') => {
                errors.required(format!("{path}.limits"), "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
}

fn volumes(volumes: &Value, path: &str, errors: &mut Errors) {
    let mut names: Vec<&str> = Vec::new();
    for (index, volume) in list(volumes).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text(&volume["name"]);
        // In the order in which Kubernetes looks at them.
        let order = ["emptyDir", "hostPath"];
        let mut sources: Vec<_> = volume.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        sources.retain(|source| *source != "name");
        sources.sort_by_key(|source| order.iter().position(|other| other == source).unwrap_or(order.len()));
        for source in sources.iter().skip(1) {
            errors.forbidden(format!("{path}.{source}"), "may not specify more than 1 volume type");
        }
        if name.is_empty() {
            errors.required(format!("{path}.name"), "");
        } else {
            errors.malformed(format!("{path}.name"), name, dns_label(name));
        }
        if names.contains(&name) {
            errors.duplicate(format!("{path}.name"), &name.into());
        }
        names.push(name);
    }
}

fn tolerations(tolerations: &Value, path: &str, errors: &mut Errors) {
    for (index, toleration) in list(tolerations).iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        let [key, operator, value, effect] =
            ["key", "operator", "value", "effect"].map(|field| text(&toleration[field]));
        if !key.is_empty() {
            errors.malformed(at("key"), key, label_key(key));
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(at("operator"), &operator.into(), detail);
        }
        if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(at("effect"), &effect.into(), detail);
        }
        match operator {
            "Equal" | "" => {
                if let message @ [_, ..] = &label_value(value)[..] {
                    errors.invalid(at("operator"), &value.into(), &message.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                errors.invalid(at("operator"), &value.into(), "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            other => errors.not_supported(at("operator"), &other.into(), &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            errors.one_of(at("effect"), &toleration["effect"], &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// Very little of a pod may change.
fn changed(old: &Value, pod: &Value, errors: &mut Errors) {
    for field in ["initContainers", "containers"] {
        if list(&old["spec"][field]).len() != list(&pod["spec"][field]).len() {
            errors.forbidden(format!("spec.{field}"), "pod updates may not add or remove containers");
            return;
        }
        for (index, container) in list(&pod["spec"][field]).iter().enumerate() {
            if text(&container["image"]).is_empty() {
                errors.required(format!("spec.{field}[{index}].image"), "");
            }
        }
    }
    deadline(&old["spec"]["activeDeadlineSeconds"], &pod["spec"]["activeDeadlineSeconds"], errors);
    let (before, after) = (list(&old["spec"]["tolerations"]), list(&pod["spec"]["tolerations"]));
    let kept = |toleration: &&Value| {
        !after.contains(toleration) && !after.iter().any(|other| only_seconds_differ(other, toleration))
    };
    if before.iter().any(|toleration| kept(&toleration)) {
        errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
    }
    tolerations(&pod["spec"]["tolerations"], "spec.tolerations", errors);
    if fixed(&old["spec"]) != fixed(&pod["spec"]) && only_a_negative_grace_differs(old, pod) {
        errors.forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        );
    }
}

fn only_a_negative_grace_differs(old: &Value, pod: &Value) -> bool {
    let grace = |pod: &Value| pod["spec"]["terminationGracePeriodSeconds"].as_i64();
    !(grace(old).is_some_and(|seconds| seconds < 0) && grace(pod) == Some(1))
}

fn only_seconds_differ(one: &Value, other: &Value) -> bool {
    ["key", "operator", "value", "effect"].iter().all(|field| one[*field] == other[*field])
}

fn deadline(old: &Value, new: &Value, errors: &mut Errors) {
    let at = "spec.activeDeadlineSeconds";
    match (old.as_i64(), new.as_i64()) {
        (_, Some(seconds)) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            errors.invalid(at, new, "must be between 0 and 2147483647, inclusive");
        }
        (Some(before), Some(after)) if after > before => {
            errors.invalid(at, new, "must be less than or equal to previous value");
        }
        (Some(_), None) => errors.invalid(at, new, "must not update from a positive integer to nil value"),
        _ => {}
    }
}

/// What of a specification may not change.
fn fixed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for field in ["initContainers", "containers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            container["image"] = json!("");
        }
    }
    if let Some(entries) = spec.as_object_mut() {
        let gated = entries.remove("schedulingGates").is_some();
        // What waits to be scheduled may still be narrowed.
        for field in ["activeDeadlineSeconds", "tolerations"].into_iter().chain(gated.then_some("nodeSelector")) {
            entries.remove(field);
        }
    }
    spec
}
