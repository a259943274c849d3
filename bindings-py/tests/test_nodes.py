"""Nodes: see, cordon, uncordon, taint, untaint."""

import pytest

import careen
from careen.models import TaintEffect
from careen.testing import SimulatedCluster


def test_nodes_are_seen_as_they_are(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    with simulated_cluster.connect() as cluster:
        nodes = cluster.nodes()
        assert [(node.name, node.ready, node.schedulable) for node in nodes] == [
            ("node01", True, True),
            ("node02", True, True),
            ("node03", True, True),
        ]
        assert nodes[0].roles == ("worker",)
        assert nodes[0].pods is None
        assert cluster.node("node01").pods == 0


def test_a_cordon_is_seen_at_once_and_repeats_change_nothing(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.connect() as cluster:
        assert cluster.cordon("node02", dry_run=True).changed
        assert cluster.node("node02").schedulable
        assert cluster.cordon("node02").changed
        assert not cluster.node("node02").schedulable
        assert not cluster.cordon("node02").changed
        assert cluster.uncordon("node02").node.schedulable


async def test_the_same_in_asyncio(simulated_cluster: SimulatedCluster) -> None:
    async with simulated_cluster.connect_aio() as cluster:
        assert (await cluster.cordon("node02")).changed
        assert [node.schedulable for node in await cluster.nodes()] == [True, False, True]
        assert (await cluster.uncordon("node02")).changed
        assert (await cluster.node("node02")).schedulable


def test_taints_are_added_and_removed(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect() as cluster:
        change = cluster.taint("node01", "example.com/broken", "fan", TaintEffect.NO_SCHEDULE)
        assert [(taint.key, taint.value, taint.effect) for taint in change.node.taints] == [
            ("example.com/broken", "fan", "NoSchedule")
        ]
        assert cluster.untaint("node01", "example.com/broken").node.taints == ()
        assert not cluster.untaint("node01", "example.com/broken").changed
        with pytest.raises(careen.InvalidArgumentError, match=r"kubevirt.io/drain"):
            cluster.taint("node01", "kubevirt.io/drain")


def test_a_node_that_does_not_exist_is_not_found(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.connect() as cluster:
        for ask in (cluster.node, cluster.workloads, cluster.plan, cluster.cordon, cluster.drain):
            with pytest.raises(careen.NotFoundError) as caught:
                ask("node99")
            assert (caught.value.reason, caught.value.node) == ("NodeNotFound", "node99")
