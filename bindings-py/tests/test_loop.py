"""A hundred drains at once leave asyncio's loop free for others."""

import asyncio
import gc
import inspect
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

import careen
import careen.aio
from careen.testing import SimulatedCluster
from still import node, pod

NODES = [f"node{number:03}" for number in range(1, 101)]
PODS = 30
LIMIT = 0.01
# What is measured is a matter of chance on a machine with much else to do: a loop that is really held up is so each
# time.
TRIES = 3


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


def nearly_all(lags: list[float]) -> float:
    """So late it is at most in 99 of 100 looks."""
    return lags[len(lags) * 99 // 100]


async def lag_of_somebody_else() -> None:
    """The same in a process that has no drains, at the same time, until its standard input ends: what the machine
    does."""
    is_over = asyncio.Event()
    measuring = asyncio.ensure_future(lag(is_over))
    print("measures", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    is_over.set()
    print(nearly_all(await measuring), flush=True)


class Control:
    """Somebody else, as long as the block lasts."""

    def __enter__(self) -> "Control":
        functions = inspect.getsource(lag) + inspect.getsource(nearly_all) + inspect.getsource(lag_of_somebody_else)
        script = f"import asyncio, sys, time\n{functions}\nasyncio.run(lag_of_somebody_else())"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "measures\n"
        return self

    def __exit__(self, *_: object) -> None:
        told, _nothing = self._process.communicate()
        self.lag = float(told)


async def wait(drain: careen.aio.Drain) -> None:
    await drain.wait()


async def follow(drain: careen.aio.Drain) -> None:
    async for event in drain:
        assert event.progress.had_to_leave <= PODS


@pytest.mark.parametrize("way", [wait, follow])
def test_a_hundred_drains_at_once_leave_the_loop_free(way: Callable[[careen.aio.Drain], Awaitable[None]]) -> None:
    assert any(is_free(way) for _ in range(TRIES))


def is_free(way: Callable[[careen.aio.Drain], Awaitable[None]]) -> bool:
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
            with Control() as control:
                lags = loop.run_until_complete(drain_all())
        finally:
            loop.close()
            gc.unfreeze()
        assert len(set(simulated.evicted())) == len(NODES) * PODS
        turns = sorted(loop.turns)
        print(
            f"\nlag over {len(lags)} looks: median {milliseconds(lags[len(lags) // 2])}, 99 % "
            f"{milliseconds(nearly_all(lags))} (of somebody else {milliseconds(control.lag)}), longest "
            f"{milliseconds(lags[-1])}; CPU of the longest of {len(turns)} turns: "
            f"{', '.join(map(milliseconds, turns[-3:]))}"
        )
        # A garbage collection may fall into one or two.
        return turns[-3] < LIMIT and nearly_all(lags) < control.lag + LIMIT


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
