"""A hundred drains at once leave asyncio's loop free for others."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

import pytest

import careen
import careen.aio
from careen.testing import SimulatedCluster
from still import node, pod

NODES = [f"node{number:03}" for number in range(1, 101)]
PODS = 4
LIMIT = 0.01


class MeasuredLoop(asyncio.SelectorEventLoop):
    """Knows how long each of its turns took before it looked for what is next, in CPU time of its own thread: what others
    on this machine do does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[float] = []

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        self.turns.append(time.thread_time() - began)


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
        assert event.progress.had_to_leave <= PODS


@pytest.mark.parametrize("way", [wait, follow])
def test_a_hundred_drains_at_once_leave_the_loop_free(way: Callable[[careen.aio.Drain], Awaitable[None]]) -> None:
    with SimulatedCluster(0, still=True) as simulated:
        simulated.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        for name in NODES:
            simulated.put("nodes", node(name))
            for number in range(PODS):
                simulated.put("pods", pod("shop", f"{name}-{number}", name, app="web"))

        async def drain_all() -> list[float]:
            async with simulated.connect_aio(timeout=120) as cluster:
                is_over = asyncio.Event()
                measuring = asyncio.ensure_future(lag(is_over))

                async def drain(name: str) -> None:
                    await way(await cluster.drain(name))

                await asyncio.gather(*map(drain, NODES))
                is_over.set()
                return await measuring

        loop = MeasuredLoop()
        # What pytest has piled up is not looked through again in one of the turns.
        gc.freeze()
        try:
            lags = loop.run_until_complete(drain_all())
        finally:
            loop.close()
            gc.unfreeze()
        assert len(set(simulated.evicted())) == len(NODES) * PODS
        turns = sorted(loop.turns)
        print(
            f"\nlag over {len(lags)} looks: median {milliseconds(lags[len(lags) // 2])}, "
            f"99 % {milliseconds(lags[len(lags) * 99 // 100])}, longest {milliseconds(lags[-1])}; "
            f"CPU of the longest of {len(turns)} turns: {', '.join(map(milliseconds, turns[-3:]))}"
        )
        # A garbage collection may fall into one or two.
        assert turns[-3] < LIMIT


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
