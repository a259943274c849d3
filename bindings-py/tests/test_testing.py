"""The cluster in memory itself."""

import time
from collections.abc import Callable

import pytest

import careen
from careen.testing import SimulatedCluster


@pytest.mark.parametrize("simulated_cluster", [{"kubevirt": True}], indirect=True)
def test_what_a_simulated_cluster_does_not_know_is_refused_with_what_it_knows(
    simulated_cluster: SimulatedCluster,
) -> None:
    simulated = simulated_cluster
    calls: dict[str, tuple[str, Callable[[], object]]] = {
        "verb of a request": ("patch, delete", lambda: simulated.fail("evict", "pods")),
        "verb in capitals": ("patch, delete", lambda: simulated.fail("PATCH", "nodes")),
        "resource of a kind": ("nodes/status", lambda: simulated.fail("patch", "node")),
        "resource with its group": ("nodemaintenances", lambda: simulated.fail("list", "nodemaintenances.kubevirt.io")),
        "resource below": ("pods/eviction", lambda: simulated.fail("create", "pods/evict")),
        "how": ("DropConnection", lambda: simulated.fail("get", "pods", "Slowly")),  # type: ignore[arg-type]
        "settings of a pod": ("ends-after", lambda: simulated.add_pod("shop", "a", settings={"end-after": "1s"})),
        "settings of a node": ("unreachable", lambda: simulated.add_node("a", settings={"ends-after": "1s"})),
        "settings of a VM": ("prepares-for", lambda: simulated.add_virtual_machine("a", "b", settings={"migrate": ""})),
        "settings with a duration": ("1m30s", lambda: simulated.add_pod("shop", "a", settings={"ends-after": "soon"})),
        "settings that are wishes": ("true", lambda: simulated.set("pods", "a", "b", {"never-ends": "yes"})),
        "resource without settings": ("pods", lambda: simulated.set("secrets", "a", "b", {})),
    }
    for name, (allowed, call) in calls.items():
        with pytest.raises(careen.InvalidArgumentError) as caught:
            call()
        assert caught.value.argument == name.partition(" ")[0] and allowed in str(caught.value), name
    for verb, resource in (
        ("create", "pods/eviction"),
        ("patch", "nodes/status"),
        ("watch", "nodemaintenances"),
        ("patch", "nodemaintenances/status"),
        ("list", "poddisruptionbudgets"),
        ("update", "virtualmachineinstances/evacuate/cancel"),
        ("deletecollection", "leases"),
    ):
        simulated.fail(verb, resource, times=0)


def test_what_happens_to_an_object_that_is_there_can_be_set(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 1, on="node02")
    simulated_cluster.settle()
    [pod] = simulated_cluster.objects("pods")
    place = "pods", pod["metadata"]["namespace"], pod["metadata"]["name"]
    simulated_cluster.set(*place, {"never-ends": "true"})
    with simulated_cluster.connect() as cluster:
        drain = cluster.drain("node02")
        with pytest.raises(careen.TimeoutError):
            drain.wait(1)
        assert simulated_cluster.get(*place) is not None
        simulated_cluster.set(*place, {"never-ends": None})
        drain.wait(30)
    simulated_cluster.set("nodes", "", "node03", {"not-ready": "true"})
    deadline = time.monotonic() + 30
    with simulated_cluster.connect() as cluster:
        while cluster.node("node03").ready:
            assert time.monotonic() < deadline
            time.sleep(0.01)
