"""A hundred drains at once leave asyncio's loop free for others."""

import asyncio
import time
from collections.abc import Callable

import pytest

import careen
import careen.aio
from careen.testing import SimulatedCluster

NODES = [f"node{number:03}" for number in range(1, 101)]
LIMIT = 0.01


class MeasuredLoop(asyncio.SelectorEventLoop):
    """Knows the longest that it has worked before it looked for what is next, in CPU time of its own thread: what others
    on this machine do does not count."""

    busiest = 0.0

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self.busiest = max(self.busiest, time.thread_time() - began)


async def lag(until: asyncio.Event) -> list[float]:
    """How much later than it wanted to a task is called, each time, in order."""
    lags = []
    while not until.is_set():
        asked = time.monotonic()
        await asyncio.sleep(0.005)
        lags.append(time.monotonic() - asked - 0.005)
    return sorted(lags)


async def wait(drain: careen.aio.Drain) -> None:
    await drain.wait()


async def follow(drain: careen.aio.Drain) -> None:
    async for event in drain:
        assert event.progress.had_to_leave <= 3


@pytest.mark.parametrize("way", [wait, follow])
def test_a_hundred_drains_at_once_leave_the_loop_free(way: Callable[[careen.aio.Drain], object]) -> None:
    with SimulatedCluster(NODES) as simulated:
        simulated.settle(60)
        # Nodes that are drained together: then all others have to be cordoned first, or pods go from one to the next.
        for node in NODES:
            simulated.edit("nodes", "", node, {"spec": {"unschedulable": None}})
        simulated.add_deployment("shop", "web", 200)
        simulated.add_budget("shop", "web", max_unavailable="20%")
        simulated.settle(60)

        async def drain_all() -> list[float]:
            async with simulated.connect_aio(timeout=120) as cluster:
                for node in NODES:
                    await cluster.cordon(node)
                simulated.add_node("elsewhere")
                is_over = asyncio.Event()
                measuring = asyncio.ensure_future(lag(is_over))

                async def drain(node: str) -> None:
                    await way(await cluster.drain(node))  # type: ignore[misc]

                await asyncio.gather(*map(drain, NODES))
                is_over.set()
                return await measuring

        loop = MeasuredLoop()
        try:
            lags = loop.run_until_complete(drain_all())
        finally:
            loop.close()
        median, late = lags[len(lags) // 2], lags[len(lags) * 99 // 100]
        print(
            f"\nlag over {len(lags)} looks: median {median * 1000:.1f} ms, 99 % {late * 1000:.1f} ms, "
            f"longest {lags[-1] * 1000:.1f} ms; longest turn of the loop {loop.busiest * 1000:.1f} ms of CPU"
        )
        assert loop.busiest < LIMIT
        # The cluster and its kubelets have the same two cores: only what is usual can be held to here.
        assert median < LIMIT
