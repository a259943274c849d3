"""Objects of a cluster in which nothing happens by itself, as its controllers and kubelets would have left them; and what
is seen of a drain there."""

from typing import Any

from careen.testing import SimulatedCluster


def node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def pod(namespace: str, name: str, node: str, *, app: str) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"uid-of-{app}", "controller": True}
    metadata = {"namespace": namespace, "name": name, "labels": {"app": app}, "ownerReferences": [owner]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        # There is no kubelet that would end it: it goes at once.
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [{"name": app, "image": app}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def budget(namespace: str, app: str, allowed: int) -> dict[str, Any]:
    """A budget whose controller has said how many may go."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": namespace, "name": app, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": app}}, "maxUnavailable": allowed},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": allowed,
            "desiredHealthy": 0,
            "expectedPods": allowed,
        },
    }


def is_let_go(simulated: SimulatedCluster, name: str) -> bool:
    """Whether no drain has its record on the node."""
    found = simulated.get("nodes", "", name)
    return found is not None and "careen.dev/record" not in found["metadata"].get("annotations", {})
