"""A drain, for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from types import TracebackType
from typing import TypeVar

from careen._arguments import seconds
from careen._drain import _AnyDrain, concluded, late, raise_stuck
from careen._progress import Bar
from careen._read import one
from careen.errors import TimeoutError
from careen.models import DrainEvent, DrainOutcome

__all__ = ["Drain"]

T = TypeVar("T")


class Drain(_AnyDrain):
    """A drain that runs in this process. ``async for`` gives events until it has ended.

    It goes on if you drop this handle. Cancelling a task that waits for it cancels it: in :meth:`wait`, or where
    ``async for`` waits for the next event. What goes wrong elsewhere, as in the body of that loop, does not; used as a
    context manager it does: ``async with await cluster.drain("node02") as drain:`` cancels the drain if an exception leaves
    the block, and else lets it go on.
    """

    _KIND = "aio.Drain"

    async def __aenter__(self) -> Drain:
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._native.cancel()

    async def __aiter__(self) -> AsyncIterator[DrainEvent]:
        events = self._native.events()
        try:
            while (event := await events.next_async(None)) is not None:
                yield one(DrainEvent, event)
        except asyncio.CancelledError:
            self._native.cancel()
            raise

    async def wait(
        self,
        timeout: timedelta | float | None = None,
        *,
        on_progress: Callable[[DrainEvent], object] | None = None,
        progress: bool = False,
        raise_if_stuck: bool = False,
    ) -> DrainOutcome:
        """Waits until the node is drained (or has left the cluster). See :meth:`careen.Drain.wait`.

        ``timeout`` leaves the drain running; ``asyncio.wait_for`` and ``asyncio.timeout`` cancel it.
        """
        limit, began = seconds("timeout", timeout), time.monotonic()
        with Bar(self._node, progress) as bar:
            if on_progress is None and not raise_if_stuck and not bar.is_shown:
                # Nobody looks: then no events are made.
                await self._within(self._native.wait_async, limit, limit)
                return concluded(self._native, self._node)
            events = self._native.events()
            while True:
                left = None if limit is None else max(0.0, began + limit - time.monotonic())
                answer = await self._within(events.next_async, left, limit)
                if answer is None:
                    return concluded(self._native, self._node)
                event = one(DrainEvent, answer)
                bar.show(event)
                if on_progress is not None:
                    on_progress(event)
                if raise_if_stuck:
                    raise_stuck(event, self._node)

    async def _within(
        self, wait: Callable[[float | None], Awaitable[T]], left: float | None, limit: float | None
    ) -> T:
        try:
            return await wait(left)
        except TimeoutError:
            raise late(self._native, self._node, limit or 0.0) from None
        except asyncio.CancelledError:
            self._native.cancel()
            raise
