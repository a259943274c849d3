//! What decides where a pod may run: used to estimate whether the rest of the cluster has room for it.

use k8s_openapi::{
    api::core::v1::{NodeSelectorTerm, PodSpec, Toleration},
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

/// Amounts that a pod asks for or a node has to give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU, in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

impl Resources {
    /// Reads `cpu` and `memory`; what is missing or does not parse counts as nothing.
    pub(crate) fn from_quantities(quantities: &BTreeMap<String, Quantity>) -> Self {
        let amount = |name: &str| quantities.get(name).and_then(|quantity| parse_quantity(&quantity.0)).unwrap_or(0.0);
        Self { cpu_millis: to_u64(amount("cpu") * 1000.0), memory_bytes: to_u64(amount("memory")) }
    }

    /// The sum of two amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// The part of a pod's spec that the scheduler would look at again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scheduling {
    /// Effective requests: the sum over containers and sidecars, at least the largest init container.
    pub requests: Resources,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one of these terms must match; empty means no such rule.
    pub required_node_terms: Vec<NodeSelectorTerm>,
    /// `spec.tolerations`.
    pub tolerations: Vec<Toleration>,
}

impl Scheduling {
    pub(crate) fn from_spec(spec: &PodSpec) -> Self {
        Self {
            requests: effective_requests(spec),
            node_selector: spec.node_selector.clone().unwrap_or_default(),
            required_node_terms: spec
                .affinity
                .as_ref()
                .and_then(|affinity| affinity.node_affinity.as_ref())
                .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
                .map(|selector| selector.node_selector_terms.clone())
                .unwrap_or_default(),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
        }
    }
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
fn effective_requests(spec: &PodSpec) -> Resources {
    let requests = |container: &k8s_openapi::api::core::v1::Container| {
        container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref())
            .map(Resources::from_quantities)
            .unwrap_or_default()
    };
    let mut sidecars = Resources::default();
    let mut largest_init = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars = sidecars.plus(requests(container));
            largest_init = largest_init.max(sidecars);
        } else {
            largest_init = largest_init.max(sidecars.plus(requests(container)));
        }
    }
    let running = spec.containers.iter().map(requests).fold(sidecars, Resources::plus);
    let overhead = spec.overhead.as_ref().map(Resources::from_quantities).unwrap_or_default();
    running.max(largest_init).plus(overhead)
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
fn parse_quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 16] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("", 1.0),
    ];
    SUFFIXES.iter().find_map(|(suffix, factor)| {
        let number = text.strip_suffix(suffix)?;
        number.parse::<f64>().ok().map(|number| number * factor)
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and amounts are not negative")]
fn to_u64(amount: f64) -> u64 {
    amount.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, value) in [("100m", 0.1), ("2", 2.0), ("1Gi", 1_073_741_824.0), ("1e3", 1000.0), ("5M", 5e6)] {
            assert_eq!(parse_quantity(text), Some(value), "{text}");
        }
        assert_eq!(parse_quantity("much"), None);
    }
}
