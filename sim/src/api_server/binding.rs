//! `/binding`: what the scheduler says of a pod.

use serde_json::{Value, json};

use super::{
    history::Key,
    refusal::Refusal,
    reply::Reply,
    store::{Store, seconds},
    write::{Write, body, effects},
};

/// Puts a pod on a node: `POST` to the pod's `/binding`, or of a Binding.
pub(super) fn bind(store: &mut Store, write: &Write) -> Result<Reply, Refusal> {
    let Some(resource) = store.kinds.known("Pod") else { return Err(Refusal::no_such_resource()) };
    let Some(binding_type) = store.kinds.known("Binding") else { return Err(Refusal::no_such_resource()) };
    let is_dry_run = write.request.query.is_dry_run("CreateOptions")?;
    let binding = body::object(write.request, &binding_type, &store.kinds)?;
    let metadata = |field: &str| binding["metadata"][field].as_str().unwrap_or_default().to_owned();
    let name = metadata("name");
    if !write.target.name.is_empty() && name != write.target.name {
        return Err(Refusal::bad_request("name in URL does not match name in Binding object"));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(Refusal::new(500, "", "target.name: Required value"));
    }
    let key = Key(write.target.namespace.clone(), name.clone());
    let pod = store.get("pods", &key).cloned().ok_or_else(|| Refusal::not_found(&resource, &name))?;
    let refuse = |why: &str| {
        let mut refusal = Refusal::conflict(&resource, &name, why);
        refusal.message = format!("Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
        refusal.details.insert("kind".into(), "pods/binding".into());
        refusal
    };
    if !metadata("uid").is_empty() && pod["metadata"]["uid"] != metadata("uid").as_str() {
        let there = pod["metadata"]["uid"].as_str().unwrap_or_default();
        return Err(Refusal::conflict(
            &resource,
            &name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: /registry/pods/{}/{name}, ResourceVersion: 0, \
                 AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {there}",
                write.target.namespace,
                metadata("uid")
            ),
        ));
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Err(refuse(&format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    if let Some(there) = pod["spec"]["nodeName"].as_str().filter(|there| !there.is_empty()) {
        return Err(refuse(&format!("pod {name} is already assigned to node {there:?}")));
    }
    if let Some(gates) = pod["spec"]["schedulingGates"].as_array().filter(|gates| !gates.is_empty()) {
        let gates: Vec<_> = gates.iter().map(|gate| gate["name"].as_str().unwrap_or_default()).collect();
        return Err(refuse(&format!("pod {name} has non-empty .spec.schedulingGates {gates:?}")));
    }
    if !is_dry_run {
        let mut bound = Value::clone(&pod);
        bound["spec"]["nodeName"] = node.into();
        set_scheduled(&mut bound, &seconds(store.now()));
        effects::put(store, &resource, bound);
    }
    let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Reply::Json { code: 201, body })
}

fn set_scheduled(pod: &mut Value, now: &str) {
    let scheduled = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(scheduled);
    pod["status"]["conditions"] = conditions.into();
}
