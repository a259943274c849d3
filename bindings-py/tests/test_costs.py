"""What a drain costs the API server, and which rights it takes."""

import collections
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import careen
from careen.models import DrainEnd
from careen.testing import SimulatedCluster
from still import budget, node, pod

DEPLOY = pathlib.Path(__file__).parent.parent.parent / "deploy"
NAMESPACES = ("blog", "forum", "shop")
ON_NODE = 30
NODES, PODS = 1_000, 30_000


@pytest.fixture
def large() -> Iterator[SimulatedCluster]:
    """A thousand nodes and thirty thousand pods, thirty of them on node02; no KubeVirt; and the user ``ci``, who may do
    what the ClusterRole for scripts says."""
    with SimulatedCluster(0, still=True) as simulated:
        for namespace in (*NAMESPACES, "others"):
            simulated.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for number in range(1, NODES + 1):
            simulated.put("nodes", node(f"node{number:02}"))
        for number in range(ON_NODE):
            simulated.put("pods", pod(NAMESPACES[number % 3], f"web-{number}", "node02", app="web"))
        for number in range(PODS - ON_NODE):
            namespace = (*NAMESPACES, "others")[number % 4]
            simulated.put("pods", pod(namespace, f"other-{number}", f"node{3 + number % (NODES - 2):02}", app="other"))
        for namespace in NAMESPACES:
            simulated.put("poddisruptionbudgets.policy", budget(namespace, "web", ON_NODE // len(NAMESPACES)))
        simulated.create((DEPLOY / "scripts-clusterrole.yaml").read_text())
        for binding in bindings("ci"):
            simulated.create(binding)
        yield simulated


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
    # On a slow machine the node Lease is renewed.
    assert len(ours) - kinds["update leases"] <= ON_NODE + 15 + 2 * len(NAMESPACES)


def test_without_the_clusterrole_the_right_is_named(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect(user="ci") as cluster:
        for ask in (cluster.node, cluster.plan, cluster.cordon, cluster.drain):
            with pytest.raises(careen.ForbiddenError) as caught:
                ask("node02")
            assert caught.value.permission is not None and caught.value.permission.startswith("list ")
        with pytest.raises(careen.ForbiddenError) as caught:
            cluster.nodes()
        assert caught.value.permission == "list nodes"
