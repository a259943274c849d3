//! What controllers of workloads share.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::actors::{
    actor::Write,
    kinds::POD,
    object::{controlled_by, controller_of, name_of, namespace_of, uid_of, would_change},
    view::{Kind, View, key_of},
};

/// The label by which revisions of `DaemonSet`s and `StatefulSet`s tell their pods apart.
pub const REVISION_HASH: &str = "controller-revision-hash";

/// The objects of a kind, by the UID of who controls them; each list in the order of names.
#[must_use]
pub fn by_owner(view: &View, kind: Kind) -> BTreeMap<&str, Vec<&Value>> {
    let mut owned: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for object in view.all(kind) {
        if let Some(uid) = controller_of(object).and_then(|owner| owner["uid"].as_str()) {
            owned.entry(uid).or_default().push(object);
        }
    }
    owned
}

/// A pod of the template in the owner's `spec.template`, without a name.
#[must_use]
pub fn pod_of(kind: Kind, owner: &Value) -> Value {
    let template = &owner["spec"]["template"];
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata.retain(|field, value| !value.is_null() && field != "creationTimestamp");
    metadata.insert("namespace".into(), namespace_of(owner).into());
    metadata.insert("ownerReferences".into(), json!([controlled_by(kind, owner)]));
    json!({"metadata": metadata, "spec": template["spec"]})
}

/// Its deletion, with the grace that it has itself.
#[must_use]
pub fn deletion(kind: Kind, object: &Value) -> Write {
    Write::Delete { kind, key: key_of(object), uid: uid_of(object).to_owned(), grace_seconds: None }
}

/// Deletions of pods.
pub fn deletions<'a>(pods: impl IntoIterator<Item = &'a Value>) -> impl Iterator<Item = Write> {
    pods.into_iter().map(|pod| deletion(POD, pod))
}

/// A patch of the status, if it changes anything.
#[must_use]
pub fn status_write(kind: Kind, object: &Value, status: &Value) -> Option<Write> {
    would_change(&object["status"], status).then(|| Write::Patch {
        kind,
        key: key_of(object),
        subresource: Some("status"),
        patch: json!({"metadata": {"uid": uid_of(object)}, "status": status}),
    })
}

/// A count as Kubernetes writes most of them: left out where it is zero.
#[must_use]
pub fn count(number: usize) -> Value {
    if number == 0 { Value::Null } else { number.into() }
}

/// `spec.replicas`; 1 unless said.
#[must_use]
pub fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// Short, for names and labels: of letters and digits that spell nothing. The same for equal values.
#[must_use]
pub fn hash(value: &Value) -> String {
    const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a. Objects print their fields in order.
    let hash = value
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let digits = (hash % 10_000_000_000).to_string();
    digits
        .bytes()
        .map(|digit| char::from(SAFE.get(usize::from(digit - b'0') * 2 + 1).copied().unwrap_or(b'x')))
        .collect()
}

/// Adds a label to an object's metadata.
pub fn add_label(object: &mut Value, label: &str, value: &str) {
    let metadata = &mut object["metadata"];
    if !metadata["labels"].is_object() {
        metadata["labels"] = Value::Object(Map::new());
    }
    metadata["labels"][label] = value.into();
}

/// How pods are chosen when there are too many: the first of this order goes first. Those that are not scheduled, not running,
/// not ready, cheap to delete, on a node with many of their kind, young.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/controller_utils.go> (`ActivePodsWithRanks`)
pub fn first_to_go(pods: &mut [&Value]) {
    let mut neighbours: BTreeMap<String, usize> = BTreeMap::new();
    let node = |pod: &Value| pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    for pod in pods.iter().filter(|pod| crate::actors::object::is_ready(pod)) {
        *neighbours.entry(node(pod)).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let ready = crate::actors::object::condition(pod, "Ready").filter(|ready| ready["status"] == "True");
        let since = ready.and_then(|ready| ready["lastTransitionTime"].as_str()).unwrap_or_default().to_owned();
        let cost = pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_str();
        (
            !node(pod).is_empty(),
            match pod["status"]["phase"].as_str() {
                Some("Running") => 2,
                Some("Unknown") => 1,
                _ => 0,
            },
            ready.is_some(),
            cost.and_then(|cost| cost.parse::<i64>().ok()).unwrap_or(0),
            std::cmp::Reverse(neighbours.get(&node(pod)).copied().unwrap_or(0)),
            std::cmp::Reverse(since),
            std::cmp::Reverse(pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned()),
            name_of(pod).to_owned(),
        )
    });
}
