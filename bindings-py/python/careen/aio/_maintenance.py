"""A maintenance, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from careen import _careen
from careen._arguments import seconds
from careen._following import Following, is_left_alone
from careen._maintenance import _AnyMaintenanceHandle, is_drained, told
from careen._progress import Bar
from careen._read import one
from careen.errors import CareenError, NotFoundError, TimeoutError
from careen.models import Maintenance

__all__ = ["MaintenanceHandle"]


class MaintenanceHandle(_AnyMaintenanceHandle):
    """A maintenance that was started. ``async for`` gives what it says, until it is gone.

    It is carried out by the controller, not by this process: dropping the handle ends nothing.
    """

    _KIND = "aio.MaintenanceHandle"

    async def status(self) -> Maintenance:
        """What it says now; :class:`~careen.errors.NotFoundError` if it has ended, whatever has its name by now."""
        answer = await _careen.maintenance_async(self._cluster, self.name, self._maintenance.uid)
        self._seen = one(Maintenance, answer)
        return self._seen

    async def __aiter__(self) -> AsyncIterator[Maintenance]:
        events = self._events()
        following = Following(self._maintenance, None)
        while True:
            seen = await self._next(events, following)
            if seen is None:
                return
            yield seen

    async def wait(
        self,
        timeout: timedelta | float | None = None,
        *,
        on_progress: Callable[[Maintenance], object] | None = None,
        progress: bool = False,
        raise_if_stuck: bool = False,
    ) -> Maintenance:
        """Waits until the node is drained. It stays out of service until the maintenance is stopped.

        Raises :class:`~careen.errors.FailedError` if the maintenance is not accepted, or out of its own time;
        :class:`~careen.errors.NoControllerError` if no controller takes it up within 40 seconds (a new leader may wait
        30 for an old one); :class:`~careen.errors.UnreachableError` if the API server does not show it in that time;
        :class:`~careen.errors.NotFoundError` if it is stopped meanwhile and gone.

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time; the maintenance goes on.
        :param on_progress: is called with everything that it says, in this thread.
        :param progress: shows a bar on standard error, if that is a terminal.
        :param raise_if_stuck: raises :class:`~careen.errors.BlockedError` as soon as a workload waits for a change that
            only somebody can make; the maintenance goes on.
        """
        following = Following(self._maintenance, seconds("timeout", timeout))
        events = self._events()
        with Bar(self.node, progress) as bar:
            while True:
                seen = told(await self._next(events, following), self._maintenance)
                bar.show(seen)
                if on_progress is not None:
                    on_progress(seen)
                if is_drained(seen, raise_if_stuck):
                    return seen

    async def wait_gone(self, timeout: timedelta | float | None = None) -> None:
        """Waits until it is gone, after a stop: the node is restored then.

        Raises :class:`~careen.errors.NoControllerError` if it is stopped and no controller restores the node.

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time.
        """
        following = Following(self._maintenance, seconds("timeout", timeout), "restored")
        events = self._events()
        while await self._next(events, following) is not None:
            pass

    async def _next(self, events: _careen.MaintenanceEvents, following: Following) -> Maintenance | None:
        """The next that it says; ``None`` once it is gone."""
        try:
            answer = await events.next_async(following.left())
        except TimeoutError:
            late = following.late()
            if isinstance(late, TimeoutError):
                raise late from None
            # Its word may be on its way: what it says now counts.
            try:
                seen = await self.status()
            except NotFoundError:
                return None
            except CareenError:
                raise late from None
            if is_left_alone(seen):
                raise late from None
            return following.saw(seen)
        if answer is None:
            return None
        self._seen = following.saw(one(Maintenance, answer))
        return self._seen

    async def stop(self) -> Maintenance:
        """Puts the node back into service as it was. Does not wait for that: :meth:`wait_gone` does.

        Raises :class:`~careen.errors.NotFoundError` if it has ended already, whatever maintenance the node has by now.
        """
        answer = await _careen.stop_maintenance_exactly_async(self._cluster, *self._exactly())
        return one(Maintenance, answer)

    async def cancel(self) -> Maintenance:
        """Stops it, as :meth:`stop` does."""
        return await self.stop()
