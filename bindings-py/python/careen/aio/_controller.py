"""A controller, for asyncio."""

from __future__ import annotations

from types import TracebackType

from careen import _careen, _read
from careen.aio._cluster import Cluster

__all__ = ["Controller"]


class Controller:
    """Carries maintenances out in this process, from ``async with`` on and as long as somebody has it. See
    :class:`careen.Controller`."""

    def __init__(self, cluster: Cluster, *, namespace: str = "careen") -> None:
        if not isinstance(cluster, Cluster):
            raise TypeError(f"cluster has to be a careen.aio.Cluster, not {type(cluster).__name__}")
        self._cluster, self._namespace = cluster, _read.object_name("namespace", namespace)
        self._native: _careen.Controller | None = None

    async def __aenter__(self) -> Controller:
        self._native = await _careen.start_controller_async(await self._cluster._connected(), self._namespace)
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Finishes the requests that are on their way, and lets another one lead."""
        if self._native is not None:
            await self._native.stop_async()
