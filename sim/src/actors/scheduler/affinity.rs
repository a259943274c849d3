//! Which pods want to be, or do not want to be, beside which; and which nodes a pod would rather have.

use serde_json::Value;

use crate::{
    actors::{
        object::{items, namespace_of},
        scheduling::term_matches,
    },
    selector::LabelSelector,
};

/// The pods that have a node.
#[derive(Debug, Default)]
pub(super) struct Neighbours<'a> {
    all: Vec<(&'a Value, &'a Value)>,
    /// Those that do not want everybody beside them.
    particular: Vec<(&'a Value, &'a Value)>,
}

impl<'a> Neighbours<'a> {
    pub(super) fn add(&mut self, pod: &'a Value, node: &'a Value) {
        self.all.push((pod, node));
        if !required(pod, "podAntiAffinity").is_empty() {
            self.particular.push((pod, node));
        }
    }

    /// Whether the pod may come to that node; the reason if not.
    pub(super) fn agree(&self, pod: &Value, node: &Value) -> Result<(), &'static str> {
        if required(pod, "podAffinity").iter().any(|term| !self.is_beside(pod, node, term)) {
            return Err("node(s) didn't match pod affinity rules");
        }
        let beside = |term: &Value, owner: &Value| {
            self.all.iter().any(|(other, at)| same_place(term, node, at) && means(term, owner, other))
        };
        if required(pod, "podAntiAffinity").iter().any(|term| beside(term, pod)) {
            return Err("node(s) didn't match pod anti-affinity rules");
        }
        let minds = |(other, at): &(&Value, &Value)| {
            required(other, "podAntiAffinity").iter().any(|term| same_place(term, node, at) && means(term, other, pod))
        };
        if self.particular.iter().any(minds) {
            return Err("node(s) didn't satisfy existing pods anti-affinity rules");
        }
        Ok(())
    }

    fn is_beside(&self, pod: &Value, node: &Value, term: &Value) -> bool {
        let mut meant = self.all.iter().filter(|(other, _)| means(term, pod, other)).peekable();
        // The first of a group that wants to be together may go anywhere.
        if meant.peek().is_none() {
            return means(term, pod, pod);
        }
        meant.any(|(_, at)| same_place(term, node, at))
    }
}

fn required<'a>(pod: &'a Value, affinity: &str) -> &'a [Value] {
    items(&pod["spec"]["affinity"][affinity]["requiredDuringSchedulingIgnoredDuringExecution"])
}

/// Whether the term of one pod means the other.
fn means(term: &Value, owner: &Value, other: &Value) -> bool {
    let namespaces = items(&term["namespaces"]);
    let namespace = namespace_of(other);
    // An empty namespaceSelector means all namespaces; others are not looked at.
    let here = term["namespaceSelector"].as_object().is_some_and(serde_json::Map::is_empty)
        || namespaces.iter().any(|one| one == namespace)
        || namespaces.is_empty() && namespace == namespace_of(owner);
    here && !term["labelSelector"].is_null()
        && LabelSelector::from_json(&term["labelSelector"])
            .is_ok_and(|selector| selector.matches(&other["metadata"]["labels"]))
}

fn same_place(term: &Value, one: &Value, other: &Value) -> bool {
    let Some(key) = term["topologyKey"].as_str() else { return false };
    let of = |node: &Value| node["metadata"]["labels"][key].as_str().map(str::to_owned);
    of(one).is_some_and(|place| of(other) == Some(place))
}

/// The weights of the pod's preferred node affinity that mean the node, together.
pub(super) fn preference(pod: &Value, node: &Value) -> i64 {
    let preferred = &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    items(preferred)
        .iter()
        .filter(|term| term_matches(node, &term["preference"]))
        .filter_map(|term| term["weight"].as_i64())
        .sum()
}
