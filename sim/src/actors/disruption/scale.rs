//! How many pods there should be: the sum of what those want who control the pods.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::actors::{
    kinds::{DEPLOYMENT, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET},
    object::{controller_of, name_of, namespace_of, uid_of},
    view::{Kind, View},
    workloads::owned::replicas,
};

/// Pods without a controller do not count. A controller that has no scale is an error.
pub(super) fn expected(view: &View, pods: &[&Value]) -> Result<i64, String> {
    let mut scales: BTreeMap<&str, i64> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = controller_of(pod) else { continue };
        let uid = owner["uid"].as_str().unwrap_or_default();
        if !scales.contains_key(uid) {
            let (uid, scale) = scale(view, pod, owner)?;
            scales.insert(uid, scale);
        }
    }
    Ok(scales.values().sum())
}

fn scale<'a>(view: &'a View, pod: &Value, owner: &'a Value) -> Result<(&'a str, i64), String> {
    let (kind, name) = (owner["kind"].as_str().unwrap_or_default(), owner["name"].as_str().unwrap_or_default());
    let group = owner["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    let found = |of: Kind, name: &str, uid: &Value| {
        view.get(of, namespace_of(pod), name).filter(|object| object["metadata"]["uid"] == *uid)
    };
    let owner_is = |of: Kind| of.kind == kind && of.group == group;
    let object = if owner_is(REPLICA_SET) {
        let set = found(REPLICA_SET, name, &owner["uid"]);
        match set.and_then(controller_of).filter(|above| above["kind"] == DEPLOYMENT.kind) {
            Some(above) => found(DEPLOYMENT, above["name"].as_str().unwrap_or_default(), &above["uid"]),
            None => set,
        }
    } else if owner_is(STATEFUL_SET) {
        found(STATEFUL_SET, name, &owner["uid"])
    } else if owner_is(REPLICATION_CONTROLLER) {
        found(REPLICATION_CONTROLLER, name, &owner["uid"])
    } else {
        // Those that have none: DaemonSets, Jobs. What other kinds have is not looked up.
        let plural = format!("{}s", kind.to_lowercase());
        let resource = if group.is_empty() { plural } else { format!("{plural}.{group}") };
        return Err(format!("{resource} does not implement the scale subresource"));
    };
    let object = object.ok_or_else(|| format!("found no controllers for pod \"{}\"", name_of(pod)))?;
    Ok((uid_of(object), replicas(object)))
}
