"""A live migration, for asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from careen._arguments import seconds
from careen._migration import _AnyMigrationHandle, has_moved, is_over, told
from careen._read import one
from careen.errors import TimeoutError
from careen.models import Migration

__all__ = ["MigrationHandle"]


class MigrationHandle(_AnyMigrationHandle):
    """A migration that was asked for. ``async for`` gives what it says, until it has ended. It goes on if you drop this
    handle."""

    _KIND = "aio.MigrationHandle"

    async def __aiter__(self) -> AsyncIterator[Migration]:
        events = self._native.events()
        while (answer := await events.next_async(None)) is not None:
            seen = one(Migration, answer)
            yield seen
            if is_over(seen):
                return

    async def wait(
        self,
        timeout: timedelta | float | None = None,
        *,
        on_progress: Callable[[Migration], object] | None = None,
    ) -> Migration:
        """Waits until the VM has moved. Raises :class:`~careen.errors.FailedError` if it has not.

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time; the migration goes on.
        :param on_progress: is called with everything that it says, in this thread.
        """
        limit, began = seconds("timeout", timeout), time.monotonic()
        events, seen = self._native.events(), None
        while True:
            left = None if limit is None else max(0.0, began + limit - time.monotonic())
            try:
                seen = told(await events.next_async(left), self.name)
            except TimeoutError:
                raise self._late(limit or 0.0, seen) from None
            if on_progress is not None:
                on_progress(seen)
            if has_moved(seen):
                return seen

    async def cancel(self) -> bool:
        """Aborts it. Says whether KubeVirt makes another, because the VM is still to leave its node."""
        return await self._native.cancel_async()
