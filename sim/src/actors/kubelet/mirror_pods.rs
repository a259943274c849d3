//! Static pods: their mirror pods in the API come back when somebody deletes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::actors::{
    actor::{Turn, Write},
    kinds::POD,
    object::annotation,
    view::{Key, View, key_of},
};

/// What the kubelet writes on the mirror of a static pod.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// The static pods that a node has in its folder: all of which a mirror was seen.
#[derive(Debug, Default)]
pub(super) struct MirrorPods(BTreeMap<Key, Value>);

impl MirrorPods {
    pub(super) fn learn(&mut self, pod: &Value) {
        let key = key_of(pod);
        if annotation(pod, MIRROR).is_some() && !self.0.contains_key(&key) {
            let metadata = &pod["metadata"];
            let mut copy = json!({
                "metadata": {
                    "namespace": key.0, "name": key.1, "labels": metadata["labels"],
                    "annotations": metadata["annotations"], "ownerReferences": metadata["ownerReferences"],
                },
                "spec": pod["spec"],
            });
            if let Some(metadata) = copy["metadata"].as_object_mut() {
                metadata.retain(|_, value| !value.is_null());
            }
            self.0.insert(key, copy);
        }
    }

    /// Makes those again that are gone from nodes which are there.
    pub(super) fn restore(&mut self, view: &View, nodes: &BTreeMap<&str, &Value>, turn: &mut Turn) {
        for (key, pod) in &self.0 {
            let node = pod["spec"]["nodeName"].as_str().and_then(|name| nodes.get(name));
            if node.is_some() && view.get(POD, &key.0, &key.1).is_none() {
                turn.writes.push(Write::Create { kind: POD, object: pod.clone() });
            }
        }
    }

    /// Whether its containers ran before this mirror of it was made.
    pub(super) fn knows(&self, pod: &Value) -> bool {
        self.0.contains_key(&key_of(pod))
    }
}
