//! Defaults of pods, and of the pods in templates.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{default, items};

/// Of a pod itself.
pub(super) fn pod(pod: &mut Value, new: bool) {
    spec(&mut pod["spec"]);
    let spec = &mut pod["spec"];
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    default(&mut spec["enableServiceLinks"], true);
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            request_limits(container);
            for port in items(container, "ports").filter(|_| host_network) {
                if port["hostPort"].as_i64().unwrap_or_default() == 0 {
                    port["hostPort"] = port["containerPort"].clone();
                }
            }
        }
    }
    tolerate(spec);
    if new {
        admit(spec);
        pod["status"] = json!({"phase": "Pending", "qosClass": quality_of_service(&pod["spec"])});
    } else {
        keep_addresses(&mut pod["status"]);
    }
}

/// What the admission plugin `Priority` does.
fn admit(spec: &mut Value) {
    let priority = match spec["priorityClassName"].as_str() {
        Some("system-node-critical") => 2_000_001_000,
        Some("system-cluster-critical") => 2_000_000_000,
        _ => 0,
    };
    default(&mut spec["priority"], priority);
    default(&mut spec["preemptionPolicy"], "PreemptLowerPriority");
}

/// What the admission plugin `DefaultTolerationSeconds` does, of every write.
fn tolerate(spec: &mut Value) {
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covers = |toleration: &Value| {
            let key_fits = toleration["key"] == key || toleration["key"].as_str().unwrap_or_default().is_empty();
            let effect = toleration["effect"].as_str().unwrap_or_default();
            key_fits && (effect == "NoExecute" || effect.is_empty())
        };
        if !tolerations.iter().any(covers) {
            tolerations
                .push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
    spec["tolerations"] = tolerations.into();
}

/// Of a pod's specification, wherever it is.
pub(super) fn spec(spec: &mut Value) {
    let old_name = spec["serviceAccount"].clone();
    default(&mut spec["serviceAccountName"], old_name);
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    default(&mut spec["dnsPolicy"], "ClusterFirst");
    default(&mut spec["restartPolicy"], "Always");
    default(&mut spec["securityContext"], json!({}));
    default(&mut spec["terminationGracePeriodSeconds"], 30);
    default(&mut spec["schedulerName"], "default-scheduler");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        items(spec, list).for_each(container);
    }
    items(spec, "volumes").for_each(volume);
}

/// `latest`, said or not.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    match image.rsplit('/').next().unwrap_or_default().split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => true,
    }
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let pull = if is_latest(image) { "Always" } else { "IfNotPresent" };
    default(&mut container["imagePullPolicy"], pull);
    default(&mut container["terminationMessagePath"], "/dev/termination-log");
    default(&mut container["terminationMessagePolicy"], "File");
    for port in items(container, "ports") {
        default(&mut port["protocol"], "TCP");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe @ Value::Object(_)) = container.get_mut(probe) {
            for (field, otherwise) in
                [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
            {
                default(&mut probe[field], otherwise);
            }
            handler(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook @ Value::Object(_)) =
            container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(hook))
        {
            handler(hook);
        }
    }
    for variable in items(container, "env") {
        if let Some(field @ Value::Object(_)) =
            variable.get_mut("valueFrom").and_then(|value_from| value_from.get_mut("fieldRef"))
        {
            default(&mut field["apiVersion"], "v1");
        }
    }
}

fn handler(of: &mut Value) {
    if let Some(get @ Value::Object(_)) = of.get_mut("httpGet") {
        default(&mut get["path"], "/");
        default(&mut get["scheme"], "HTTP");
    }
    if let Some(grpc @ Value::Object(_)) = of.get_mut("grpc") {
        default(&mut grpc["service"], "");
    }
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().into_iter().flatten().filter(|(name, _)| *name != "name").count();
    if sources == 0 {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source @ Value::Object(_)) = volume.get_mut(source) {
            default(&mut source["defaultMode"], 420);
        }
    }
    if let Some(source @ Value::Object(_)) = volume.get_mut("projected") {
        for source in items(source, "sources") {
            if let Some(token @ Value::Object(_)) = source.get_mut("serviceAccountToken") {
                default(&mut token["expirationSeconds"], 3600);
            }
        }
    }
    if let Some(path @ Value::Object(_)) = volume.get_mut("hostPath")
        && path["type"].is_null()
    {
        path["type"] = "".into();
    }
}

/// What has a limit and no request requests its limit.
fn request_limits(container: &mut Value) {
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else { return };
    let requests = &mut container["resources"]["requests"];
    for (resource, limit) in limits {
        default(&mut requests[resource], limit);
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`. `pkg/apis/core/v1/helper/qos`
fn quality_of_service(spec: &Value) -> &'static str {
    let containers = ["initContainers", "containers"];
    let containers = containers.iter().flat_map(|list| spec[*list].as_array().into_iter().flatten());
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        let of = |what: &str| -> BTreeMap<&str, &str> {
            let given = container["resources"][what].as_object().into_iter().flatten();
            let counted = given.filter(|(name, _)| *name == "cpu" || *name == "memory");
            counted
                .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
                .filter(|(_, value)| *value != "0")
                .collect()
        };
        let (requests, limits) = (of("requests"), of("limits"));
        any |= !requests.is_empty() || !limits.is_empty();
        guaranteed &= limits.len() == 2 && requests == limits;
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// `podIP` and `podIPs` say the same.
fn keep_addresses(status: &mut Value) {
    let (one, all) = (status["podIP"].clone(), status["podIPs"][0]["ip"].clone());
    if one.is_null() && !all.is_null() {
        status["podIP"] = all;
    } else if !one.is_null() && one != all {
        status["podIPs"] = json!([{"ip": one}]);
    }
}
