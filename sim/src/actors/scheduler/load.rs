//! What pods ask for, and what a node has left.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::actors::{
    object::{controller_of, items},
    quantity::thousandths,
};

/// By resource, in thousandths.
type Resources = BTreeMap<String, i128>;

/// What the pods of a node ask for together.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    pods: i128,
    requests: Resources,
    /// By the UID of their controller.
    owners: BTreeMap<String, usize>,
}

impl Load {
    pub(super) fn add(&mut self, pod: &Value) {
        self.pods += 1;
        for (resource, request) in requests(pod) {
            *self.requests.entry(resource).or_default() += request;
        }
        if let Some(owner) = controller_of(pod).and_then(|owner| owner["uid"].as_str()) {
            *self.owners.entry(owner.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn pods_of(&self, owner: &str) -> usize {
        self.owners.get(owner).copied().unwrap_or(0)
    }

    /// `Too many pods`, `Insufficient cpu`: what the node has too little of for one more.
    pub(super) fn lacks(&self, pod: &Value, node: &Value) -> Vec<String> {
        let mut lacks = Vec::new();
        if has(node, "pods").is_some_and(|most| (self.pods + 1) * 1_000 > most) {
            lacks.push("Too many pods".to_owned());
        }
        for (resource, request) in requests(pod) {
            let taken = self.requests.get(&resource).copied().unwrap_or(0);
            if request > 0 && taken + request > has(node, &resource).unwrap_or(0) {
                lacks.push(format!("Insufficient {resource}"));
            }
        }
        lacks
    }

    /// How much of the node would be taken, in thousandths: the mean of its processors, its memory and its number of pods.
    pub(super) fn share_with(&self, pod: &Value, node: &Value) -> i128 {
        let wanted = requests(pod);
        let share = |resource: &str| {
            let most = has(node, resource).filter(|most| *most > 0)?;
            let sum = |of: &Resources| of.get(resource).copied().unwrap_or(0);
            Some((sum(&self.requests) + sum(&wanted)) * 1_000 / most)
        };
        let pods = has(node, "pods").filter(|most| *most > 0).map_or(0, |most| (self.pods + 1) * 1_000_000 / most);
        (share("cpu").unwrap_or(0) + share("memory").unwrap_or(0) + pods) / 3
    }
}

fn has(node: &Value, resource: &str) -> Option<i128> {
    let status = &node["status"];
    thousandths(&status["allocatable"][resource]).or_else(|| thousandths(&status["capacity"][resource]))
}

/// What a pod asks for: all its containers together, or more if one that runs before them asks for more.
/// <https://github.com/kubernetes/component-helpers/blob/master/resource/helpers.go>
fn requests(pod: &Value) -> Resources {
    let spec = &pod["spec"];
    let mut together = Resources::new();
    for container in items(&spec["containers"]) {
        add(&mut together, &container["resources"]["requests"]);
    }
    let mut beside = Resources::new();
    let mut before = Resources::new();
    for container in items(&spec["initContainers"]) {
        let mut alone = beside.clone();
        add(&mut alone, &container["resources"]["requests"]);
        // These go on beside all that start after them.
        if container["restartPolicy"] == "Always" {
            add(&mut together, &container["resources"]["requests"]);
            beside.clone_from(&alone);
        }
        for (resource, request) in alone {
            let most = before.entry(resource).or_default();
            *most = (*most).max(request);
        }
    }
    for (resource, request) in before {
        let most = together.entry(resource).or_default();
        *most = (*most).max(request);
    }
    add(&mut together, &spec["overhead"]);
    together
}

fn add(resources: &mut Resources, quantities: &Value) {
    for (resource, quantity) in quantities.as_object().into_iter().flatten() {
        *resources.entry(resource.clone()).or_default() += thousandths(quantity).unwrap_or(0);
    }
}
