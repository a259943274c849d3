//! What Kubernetes' own admission plugins do with new objects, as far as anybody here would notice.
//! <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/>

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::super::{history::Key, refusal::Refusal, resource_type::ResourceType, store::Store};

/// Plugin `NamespaceLifecycle`: nothing is made in a namespace that is not there or is ending.
pub(in super::super) fn namespace_must_take_it(
    store: &Store,
    resource: &ResourceType,
    Key(namespace, name): &Key,
) -> Result<(), Refusal> {
    if !resource.is_namespaced() {
        return Ok(());
    }
    let Some(found) = store.get("namespaces", &Key(String::new(), namespace.clone())) else {
        let mut refusal = Refusal::new(404, "NotFound", format!("namespaces \"{namespace}\" not found"));
        refusal.details.insert("name".into(), namespace.as_str().into());
        refusal.details.insert("kind".into(), "namespaces".into());
        return Err(refusal);
    };
    if found["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut refusal = Refusal::forbidden(resource, name, &why);
    refusal.details.insert(
        "causes".into(),
        json!([{
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]),
    );
    Err(refusal)
}

/// What is added to a new object.
pub(in super::super) fn complete(
    store: &mut Store,
    resource: &ResourceType,
    object: &mut Value,
) -> Result<(), Refusal> {
    if resource.is_custom() {
        return Ok(());
    }
    match resource.kind.as_ref() {
        "Namespace" => namespace(object),
        "Node" => taint_not_ready(object),
        "Pod" => {
            priority(store, resource, object)?;
            tolerate_lost_nodes(object);
            if object["spec"]["serviceAccountName"].as_str().unwrap_or_default().is_empty() {
                object["spec"]["serviceAccountName"] = "default".into();
            }
            object["status"]["qosClass"] = quality_of_service(object).into();
        }
        "Job" => label_job(object),
        "Service" => give_address(store, object),
        _ => {}
    }
    Ok(())
}

fn namespace(object: &mut Value) {
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = object["metadata"]["name"].clone();
    object["spec"]["finalizers"] = json!(["kubernetes"]);
}

/// Plugin `TaintNodesByCondition`: a node takes no pods until its controller has seen it ready.
fn taint_not_ready(node: &mut Value) {
    let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
    let is_it = |other: &Value| other["key"] == taint["key"] && other["effect"] == taint["effect"];
    match node["spec"]["taints"].as_array_mut() {
        Some(taints) if taints.iter().any(is_it) => {}
        Some(taints) => taints.push(taint),
        None => node["spec"]["taints"] = json!([taint]),
    }
}

/// Plugin `Priority`: the number behind the name.
fn priority(store: &Store, resource: &ResourceType, pod: &mut Value) -> Result<(), Refusal> {
    let wanted = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let (value, policy) = match wanted.as_str() {
        "system-node-critical" => (json!(2_000_001_000), Value::Null),
        "system-cluster-critical" => (json!(2_000_000_000), Value::Null),
        "" => {
            let default =
                store.all("priorityclasses.scheduling.k8s.io", "").find(|(_, class)| class["globalDefault"] == true);
            match default {
                Some((Key(_, name), class)) => {
                    pod["spec"]["priorityClassName"] = name.as_str().into();
                    (class["value"].clone(), class["preemptionPolicy"].clone())
                }
                None => (json!(0), Value::Null),
            }
        }
        name => {
            let Some(class) = store.get("priorityclasses.scheduling.k8s.io", &Key(String::new(), name.to_owned()))
            else {
                // A real one has not made the name yet.
                let name_of = |field: &str| pod["metadata"][field].as_str().filter(|text| !text.is_empty());
                let pod = name_of("generateName").or(name_of("name")).unwrap_or_default();
                return Err(Refusal::forbidden(resource, pod, &format!("no PriorityClass with name {name} was found")));
            };
            (class["value"].clone(), class["preemptionPolicy"].clone())
        }
    };
    pod["spec"]["priority"] = value;
    pod["spec"]["preemptionPolicy"] = if policy.is_null() { "PreemptLowerPriority".into() } else { policy };
    Ok(())
}

/// Plugin `DefaultTolerationSeconds`.
fn tolerate_lost_nodes(pod: &mut Value) {
    let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let is_for = |toleration: &Value| {
            let of_key = toleration["key"] == key || toleration["key"].as_str().unwrap_or_default().is_empty();
            let of_effect =
                toleration["effect"] == "NoExecute" || toleration["effect"].as_str().unwrap_or_default().is_empty();
            of_key && of_effect
        };
        if !tolerations.iter().any(is_for) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
    pod["spec"]["tolerations"] = tolerations.into();
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
fn quality_of_service(pod: &Value) -> &'static str {
    let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
    let containers: Vec<&Value> = lists.into_iter().filter_map(Value::as_array).flatten().collect();
    let asks = |container: &Value, what: &str, resource: &str| container["resources"][what].get(resource).cloned();
    let is_best_effort = containers.iter().all(|container| {
        ["requests", "limits"]
            .iter()
            .all(|what| ["cpu", "memory"].iter().all(|resource| asks(container, what, resource).is_none()))
    });
    let is_guaranteed = containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|resource| {
            let limit = asks(container, "limits", resource);
            limit.is_some() && asks(container, "requests", resource).is_none_or(|request| Some(request) == limit)
        })
    });
    match (is_best_effort, is_guaranteed) {
        (true, _) => "BestEffort",
        (_, true) => "Guaranteed",
        _ => "Burstable",
    }
}

/// A free address of the range that services usually have.
fn give_address(store: &mut Store, service: &mut Value) {
    if service["spec"]["type"] == "ExternalName" {
        return;
    }
    let is_taken = |store: &Store, address: &str| {
        store.all("services", "").any(|(_, service)| service["spec"]["clusterIP"] == address)
    };
    let mut address = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let wants_one = address.is_empty();
    while wants_one && (address.is_empty() || is_taken(store, &address)) {
        let number = store.random_below(1 << 12) + 2;
        address = format!("10.96.{}.{}", number >> 8, number & 0xff);
    }
    service["spec"]["clusterIP"] = address.as_str().into();
    service["spec"]["clusterIPs"] = json!([address]);
    service["spec"]["ipFamilies"] = json!(["IPv4"]);
    service["spec"]["ipFamilyPolicy"] = "SingleStack".into();
}

/// `stringData` of a Secret is for writing only.
pub(in super::super) fn fold_string_data(resource: &ResourceType, secret: &mut Value) {
    if resource.is_custom() || resource.kind != "Secret" {
        return;
    }
    let texts = secret.as_object_mut().and_then(|secret| secret.remove("stringData"));
    for (key, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        secret["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

/// A Job selects its pods by its own UID, unless it says otherwise.
fn label_job(job: &mut Value) {
    if job["spec"]["manualSelector"] == true || !job["spec"]["template"].is_object() {
        return;
    }
    let labels = [
        ("batch.kubernetes.io/controller-uid", job["metadata"]["uid"].clone()),
        ("batch.kubernetes.io/job-name", job["metadata"]["name"].clone()),
        ("controller-uid", job["metadata"]["uid"].clone()),
        ("job-name", job["metadata"]["name"].clone()),
    ];
    for (label, value) in &labels {
        job["spec"]["template"]["metadata"]["labels"][*label] = value.clone();
    }
    job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = labels[0].1.clone();
}
