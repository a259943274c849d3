//! Changes to a Node as JSON merge patches: decided here, sent by [`super::change`].
//!
//! Every function gives `None` if the node is already as wanted. Every patch carries the `resourceVersion` that it was
//! computed from, so the API server refuses it (409) once the node has changed; and taints, which are one atomic list,
//! are always given in full.

use k8s_openapi::api::core::v1::Taint;
use serde_json::{Map, Value, json};

use crate::{
    model::{Actor, Node, NodeName, Record, RecordFault, RecordReading, TaintEffect},
    names::{KUBEVIRT_DRAIN_TAINT_KEY, RECORD_ANNOTATION},
};

/// Why a change is not made at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// KubeVirt's `nodeDrainTaintKey` is never written.
    #[error(
        "the taint {key} is not added to node {node}: KubeVirt would move or stop every VM of the node at once, and \
         that cannot be cancelled; to empty the node, drain it or start a maintenance"
    )]
    KubeVirtDrainTaint {
        /// The node.
        node: NodeName,
        /// The taint's key.
        key: String,
    },
    /// Somebody took the node meanwhile.
    #[error("node {node} was taken by {:?} {} meanwhile", by.kind, by.name)]
    Taken {
        /// The node.
        node: NodeName,
        /// Who acts on it now.
        by: Actor,
    },
    /// The record must not be obeyed.
    #[error(transparent)]
    Record(#[from] RecordFault),
}

/// Takes a node out of service: record, cordon and, if the record says that it was added, the drain taint, in one
/// patch.
///
/// Make the record with [`Record::begin`] from the same node, so that it is right also after a conflict.
/// `kubevirt_taint_key` is the cluster's `nodeDrainTaintKey`.
pub fn take_out(
    node: &Node,
    record: &Record,
    drain_taint_key: &str,
    kubevirt_taint_key: &str,
) -> Result<Option<Value>, Refused> {
    record.check_subject(node, drain_taint_key)?;
    let mut patch = NodePatch::of(node).record(record).unschedulable(true);
    if let Some(key) = &record.added_taint {
        refuse_kubevirt_taint(node, key, kubevirt_taint_key)?;
        if !node.has_taint(key, TaintEffect::NoSchedule.as_str()) {
            patch = patch.taints(&with_taint(&node.taints, key, None, TaintEffect::NoSchedule));
        }
    }
    Ok(patch.finish())
}

/// Undoes exactly what the record says was done: the node becomes schedulable unless it was cordoned before, the drain
/// taint goes if it was added, and the record goes.
///
/// A taint that has been removed by hand meanwhile is no obstacle. Where nothing but the annotation vouches for the
/// record, call [`Record::check`] first.
pub fn restore(node: &Node, record: &Record, drain_taint_key: &str) -> Result<Option<Value>, Refused> {
    record.check_subject(node, drain_taint_key)?;
    let mut patch = NodePatch::of(node).no_record();
    if !record.was_unschedulable {
        patch = patch.unschedulable(false);
    }
    if let Some(key) = &record.added_taint {
        patch = patch.taints(&without_taint(&node.taints, key, Some(TaintEffect::NoSchedule)));
    }
    Ok(patch.finish())
}

/// Writes the record, and nothing else.
#[must_use]
pub fn write_record(node: &Node, record: &Record) -> Option<Value> {
    NodePatch::of(node).record(record).finish()
}

/// Removes the record, readable or not, and nothing else.
#[must_use]
pub fn forget_record(node: &Node) -> Option<Value> {
    NodePatch::of(node).no_record().finish()
}

/// No new pods.
#[must_use]
pub fn cordon(node: &Node) -> Option<Value> {
    NodePatch::of(node).unschedulable(true).finish()
}

/// New pods again.
#[must_use]
pub fn uncordon(node: &Node) -> Option<Value> {
    NodePatch::of(node).unschedulable(false).finish()
}

/// New pods again on a node that carries the record of an operation that is gone: the taint that it added goes, and the
/// record. The node becomes schedulable whatever it was before: whoever asks wants that.
pub fn uncordon_left_behind(node: &Node, record: &Record, drain_taint_key: &str) -> Result<Option<Value>, Refused> {
    record.check_subject(node, drain_taint_key)?;
    let mut patch = NodePatch::of(node).no_record().unschedulable(false);
    if let Some(key) = &record.added_taint {
        patch = patch.taints(&without_taint(&node.taints, key, Some(TaintEffect::NoSchedule)));
    }
    Ok(patch.finish())
}

/// Adds a taint at the end of the list; where the node has one of that key and effect, gives it this value.
///
/// `kubevirt_taint_key` is the cluster's `nodeDrainTaintKey`.
pub fn add_taint(
    node: &Node,
    key: &str,
    value: Option<&str>,
    effect: TaintEffect,
    kubevirt_taint_key: &str,
) -> Result<Option<Value>, Refused> {
    refuse_kubevirt_taint(node, key, kubevirt_taint_key)?;
    Ok(NodePatch::of(node).taints(&with_taint(&node.taints, key, value, effect)).finish())
}

/// Removes the taint of that key and effect; without an effect, all taints of that key.
#[must_use]
pub fn remove_taint(node: &Node, key: &str, effect: Option<TaintEffect>) -> Option<Value> {
    NodePatch::of(node).taints(&without_taint(&node.taints, key, effect)).finish()
}

/// The default key is refused even where the cluster has another: a configuration that could not be read looks the
/// same.
fn refuse_kubevirt_taint(node: &Node, key: &str, kubevirt_taint_key: &str) -> Result<(), Refused> {
    if key == kubevirt_taint_key || key == KUBEVIRT_DRAIN_TAINT_KEY {
        return Err(Refused::KubeVirtDrainTaint { node: node.name.clone(), key: key.to_owned() });
    }
    Ok(())
}

fn with_taint(taints: &[Taint], key: &str, value: Option<&str>, effect: TaintEffect) -> Vec<Taint> {
    let value = value.filter(|value| !value.is_empty());
    let mut taints = taints.to_vec();
    match taints.iter_mut().find(|taint| taint.key == key && taint.effect == effect.as_str()) {
        Some(taint) if taint.value.as_deref().unwrap_or_default() == value.unwrap_or_default() => {}
        Some(taint) => taint.value = value.map(str::to_owned),
        None => taints.push(Taint {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            effect: effect.as_str().to_owned(),
            time_added: None,
        }),
    }
    taints
}

fn without_taint(taints: &[Taint], key: &str, effect: Option<TaintEffect>) -> Vec<Taint> {
    let goes = |taint: &Taint| taint.key == key && effect.is_none_or(|effect| taint.effect == effect.as_str());
    taints.iter().filter(|taint| !goes(taint)).cloned().collect()
}

/// A merge patch in the making: holds only what differs from the node.
struct NodePatch<'a> {
    node: &'a Node,
    annotations: Map<String, Value>,
    spec: Map<String, Value>,
}

impl<'a> NodePatch<'a> {
    fn of(node: &'a Node) -> Self {
        Self { node, annotations: Map::new(), spec: Map::new() }
    }

    fn record(mut self, record: &Record) -> Self {
        if Record::read(self.node) != RecordReading::Present(record.clone()) {
            self.annotations.insert(RECORD_ANNOTATION.to_owned(), Value::String(json!(record).to_string()));
        }
        self
    }

    fn no_record(mut self) -> Self {
        if self.node.record.is_some() {
            self.annotations.insert(RECORD_ANNOTATION.to_owned(), Value::Null);
        }
        self
    }

    fn unschedulable(mut self, wanted: bool) -> Self {
        if self.node.unschedulable != wanted {
            // null, as kubectl does: the field was absent before the node was first cordoned.
            self.spec.insert("unschedulable".to_owned(), if wanted { Value::Bool(true) } else { Value::Null });
        }
        self
    }

    fn taints(mut self, wanted: &[Taint]) -> Self {
        if self.node.taints.as_slice() != wanted {
            self.spec.insert("taints".to_owned(), if wanted.is_empty() { Value::Null } else { json!(wanted) });
        }
        self
    }

    fn finish(self) -> Option<Value> {
        if self.annotations.is_empty() && self.spec.is_empty() {
            return None;
        }
        let mut patch = json!({ "metadata": { "resourceVersion": self.node.resource_version } });
        if !self.annotations.is_empty() {
            patch["metadata"]["annotations"] = Value::Object(self.annotations);
        }
        if !self.spec.is_empty() {
            patch["spec"] = Value::Object(self.spec);
        }
        Some(patch)
    }
}

#[cfg(test)]
mod tests;
