"""What a drain costs the API server, and which rights it takes."""

import collections
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import careen
from careen.models import DrainEnd
from careen.testing import SimulatedCluster

DEPLOY = pathlib.Path(__file__).parent.parent.parent / "deploy"
NAMESPACES = ("blog", "forum", "shop")
ON_NODE = 30
NODES, PODS = 1_000, 30_000


@pytest.fixture
def large() -> Iterator[SimulatedCluster]:
    """A thousand nodes and thirty thousand pods, thirty of them on node02; no KubeVirt; and the user ``ci``, who may do
    what the ClusterRole for scripts says."""
    with SimulatedCluster(3) as simulated:
        for number in range(4, NODES + 1):
            simulated.put("nodes", idle_node(f"node{number:02}"))
        for number in range(PODS - ON_NODE):
            namespace = (*NAMESPACES, "others")[number % 4]
            simulated.put("pods", running_pod(namespace, f"other-{number}", f"node{4 + number % (NODES - 3):02}"))
        for namespace in NAMESPACES:
            simulated.add_deployment(namespace, "web", ON_NODE // len(NAMESPACES), on="node02")
            simulated.add_budget(namespace, "web", max_unavailable=3)
        simulated.create((DEPLOY / "scripts-clusterrole.yaml").read_text())
        for binding in bindings("ci"):
            simulated.create(binding)
        simulated.settle(120)
        yield simulated


def idle_node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        # Nobody plays its kubelet.
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def running_pod(namespace: str, name: str, node: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "other"}},
        "spec": {"nodeName": node, "containers": [{"name": "other", "image": "other"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def bindings(user: str) -> Iterator[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "name": user, "apiGroup": group}]
    for kind, metadata in (
        ("ClusterRole", {"name": "ci"}),
        ("Role", {"name": "ci", "namespace": "medik8s-leases"}),
    ):
        yield {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": kind, "name": "careen-scripts"},
            "subjects": subjects,
        }


def test_a_cold_drain_in_a_large_cluster_costs_one_eviction_for_each_pod_and_a_handful_of_other_requests(
    large: SimulatedCluster,
) -> None:
    before = len(large.audit())
    with large.connect(user="ci") as cluster:
        assert cluster.drain("node02").wait(120).end is DrainEnd.DRAINED
    ours = [event for event in large.audit()[before:] if event["user"]["username"] == "ci"]
    kinds = collections.Counter(
        f"{event['verb']} {event.get('objectRef', {}).get('resource', event['requestURI'])}" for event in ours
    )
    print(f"\n{len(ours)} requests: {kinds}")
    assert not [event for event in ours if event["responseStatus"]["code"] == 403]
    assert len(set(large.evicted())) == kinds["create pods"] == ON_NODE
    assert len(ours) <= ON_NODE + 15 + 2 * len(NAMESPACES)


def test_without_the_clusterrole_the_right_is_named(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect(user="ci") as cluster:
        for ask in (cluster.node, cluster.plan, cluster.cordon, cluster.drain):
            with pytest.raises(careen.ForbiddenError) as caught:
                ask("node02")
            assert caught.value.permission is not None and caught.value.permission.startswith("list ")
        with pytest.raises(careen.ForbiddenError) as caught:
            cluster.nodes()
        assert caught.value.permission == "list nodes"
