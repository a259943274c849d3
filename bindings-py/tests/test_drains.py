"""Plans and drains."""

import time

import pytest

import careen
from careen.models import BlockReason, DrainEnd, DrainEvent, DrainPhase, VerdictKind
from careen.testing import SimulatedCluster
from waiting import ended


@pytest.fixture
def shop(simulated_cluster: SimulatedCluster) -> SimulatedCluster:
    """Three pods on node02, of which one after the other may go."""
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 3, on="node02")
    simulated_cluster.add_budget("shop", "web", max_unavailable=1)
    return simulated_cluster.settle()


def test_what_the_plan_says_is_what_happens(shop: SimulatedCluster) -> None:
    with shop.connect() as cluster:
        plan = cluster.plan("node02")
        assert {entry.verdict for entry in plan.workloads} == {VerdictKind.EVICT, VerdictKind.BLOCKED}
        assert "shop/web-" in str(plan) and "budget web" in str(plan)
        plan.check()
        seen: list[DrainEvent] = []
        drain = cluster.drain("node02")
        assert not cluster.node("node02").schedulable
        outcome = drain.wait(30, on_progress=seen.append)
        assert (outcome.end, outcome.left, drain.result) == (DrainEnd.DRAINED, 0, outcome)
        assert (seen[-1].phase, seen[-1].progress.percent) == (DrainPhase.DRAINED, 100)
        assert sorted(shop.evicted()) == sorted(f"shop/{entry.pod}" for entry in plan.workloads)
        assert cluster.workloads("node02") == []
        assert not cluster.node("node02").schedulable


async def test_the_same_in_asyncio(shop: SimulatedCluster) -> None:
    async with shop.connect_aio() as cluster:
        drain = await cluster.drain("node02")
        events = [event async for event in drain]
        assert events[-1].phase is DrainPhase.DRAINED
        assert (await drain.wait()).end is DrainEnd.DRAINED
        assert len(shop.evicted()) == 3


def test_what_blocks_is_told(shop: SimulatedCluster) -> None:
    shop.add_pod("shop", "bare", on="node02")
    shop.settle()
    with shop.connect() as cluster:
        with pytest.raises(careen.BlockedError) as caught:
            cluster.plan("node02").check()
        assert [each.reason for each in caught.value.blocking] == [BlockReason.UNMANAGED_POD]
        drain = cluster.drain("node02")
        with pytest.raises(careen.BlockedError, match="shop/bare"):
            drain.wait(30, raise_if_stuck=True)
        with pytest.raises(TimeoutError) as late:
            drain.wait(0)
        assert isinstance(late.value, careen.TimeoutError)
        assert late.value.node == "node02" and late.value.blocking[0].name == "bare"
        assert str(late.value).startswith("node node02 is not drained within 0 s: shop/bare: ")
        with pytest.raises(careen.TimeoutError, match="within 0.4 s: shop/bare"):
            drain.wait(0.4, on_progress=lambda _: None)
        drain.cancel()
        with pytest.raises(careen.CancelledError):
            drain.wait(30)
        assert drain.result is not None and drain.result.end is DrainEnd.CANCELLED
        cluster.drain("node02", careen.DrainOptions(unmanaged_pods="Evict")).wait(30)


def test_a_drain_in_a_with_is_cancelled_by_what_goes_wrong_there(shop: SimulatedCluster) -> None:
    shop.add_pod("shop", "bare", on="node02")
    shop.settle()
    with shop.connect() as cluster:
        with pytest.raises(ZeroDivisionError), cluster.drain("node02") as drain:
            for _ in drain:
                raise ZeroDivisionError
        assert ended(drain).end is DrainEnd.CANCELLED
        with cluster.drain("node02") as drain:
            assert drain.node == "node02"
        assert drain.result is None, "it goes on"


async def test_a_drain_of_asyncio_in_a_with_is_cancelled_by_what_goes_wrong_there(shop: SimulatedCluster) -> None:
    shop.add_pod("shop", "bare", on="node02")
    shop.settle()
    async with shop.connect_aio() as cluster:
        drain = await cluster.drain("node02")
        with pytest.raises(ZeroDivisionError):
            async with drain:
                async for _ in drain:
                    raise ZeroDivisionError
        with pytest.raises(careen.CancelledError):
            await drain.wait(10)


def test_a_drain_that_runs_out_of_its_own_time_has_failed(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 1, on="node02", settings={"never-ends": "true"})
    simulated_cluster.settle()
    with simulated_cluster.connect() as cluster:
        drain = cluster.drain("node02", careen.DrainOptions(timeout=0.5))
        with pytest.raises(careen.FailedError) as failed:
            drain.wait(30)
        assert (failed.value.reason, failed.value.node) == ("TimedOut", "node02")
        assert not isinstance(failed.value, TimeoutError)


@pytest.mark.parametrize("resource", ["nodes", "nodes/status"])
def test_a_right_that_is_missing_is_told_at_once(shop: SimulatedCluster, resource: str) -> None:
    shop.fail("patch", resource, "Forbidden")
    with shop.connect() as cluster:
        began = time.monotonic()
        with pytest.raises(careen.ForbiddenError) as forbidden:
            cluster.drain("node02")
        assert time.monotonic() - began < 20
        assert forbidden.value.permission == f"patch {resource}"
        # It has not begun, and holds the node for nobody.
        assert cluster.node("node02").record is None
        assert shop.get("leases.coordination.k8s.io", "medik8s-leases", "node-node02") is None
    assert shop.evicted() == []


async def test_what_is_in_the_way_of_a_drain_is_told_when_the_time_is_over(shop: SimulatedCluster) -> None:
    shop.fail("patch", "nodes", "Unavailable")
    async with shop.connect_aio(timeout=2) as cluster:
        with pytest.raises(careen.UnreachableError, match="node02"):
            await cluster.drain("node02")


def test_a_drain_that_does_not_begin_in_time_names_its_node(shop: SimulatedCluster) -> None:
    shop.fail("patch", "nodes", "Hang")
    with shop.connect(timeout=2) as cluster:
        with pytest.raises(careen.TimeoutError, match="node02 has not begun within 2 s") as late:
            cluster.drain("node02")
        assert late.value.node == "node02"
        shop.heal()
