"""What goes wrong at the API server, as errors that a script can act on."""

import pytest

import careen
from careen.models import DrainEnd
from careen.testing import SimulatedCluster


def test_a_missing_right_is_named(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect() as cluster:
        simulated_cluster.fail("patch", "nodes", "Forbidden")
        with pytest.raises(careen.ForbiddenError) as caught:
            cluster.cordon("node02")
        assert caught.value.permission == "patch nodes"
        simulated_cluster.fail("list", "nodes", "Forbidden")
        with pytest.raises(careen.ForbiddenError) as caught:
            cluster.node("node02")
        assert caught.value.permission == "list nodes"
        simulated_cluster.heal()
        assert cluster.cordon("node02").changed


def test_an_api_server_that_is_away_is_unreachable_and_comes_back(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect(timeout=2) as cluster:
        simulated_cluster.fail("patch", "nodes", "Unavailable", 1)
        with pytest.raises(careen.UnreachableError):
            cluster.cordon("node02")
        assert cluster.cordon("node02").changed
        simulated_cluster.fail("list", "pods", "Hang")
        with pytest.raises(careen.UnreachableError, match="Pod"):
            cluster.plan("node02")


def test_credentials_that_are_refused_in_mid_session_are_said_at_once(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect() as cluster:
        handle = cluster.start_maintenance("node02")
        for resource in ("nodes", "nodemaintenances"):
            simulated_cluster.fail("list", resource, "Unauthorized")
        for call in (lambda: cluster.node("node02"), cluster.maintenances, handle.wait):
            with pytest.raises(careen.UnauthorizedError) as caught:
                call()
            assert caught.value.reason == "Unauthorized"


def test_a_drain_outlives_lost_answers(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 3, on="node02")
    simulated_cluster.settle()
    simulated_cluster.fail("create", "pods/eviction", "LoseAnswer", 1)
    with simulated_cluster.connect() as cluster:
        assert cluster.drain("node02").wait(60).end is DrainEnd.DRAINED
    assert len(set(simulated_cluster.evicted())) == 3


def test_a_node_whose_lease_another_holds_is_left_alone(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle().create(
        """
        apiVersion: coordination.k8s.io/v1
        kind: Lease
        metadata: {name: node-node02, namespace: medik8s-leases}
        spec: {holderIdentity: somebody, leaseDurationSeconds: 3600, renewTime: "2999-01-01T00:00:00.000000Z"}
        """
    )
    with simulated_cluster.connect() as cluster:
        with pytest.raises(careen.ConflictError) as caught:
            cluster.drain("node02")
        assert (caught.value.reason, caught.value.holder) == ("NodeLeaseHeld", "somebody")
        assert cluster.node("node02").schedulable
