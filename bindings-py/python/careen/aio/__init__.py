"""The same for asyncio: every call is awaited, and nothing blocks the event loop.

A task that is cancelled while it waits for a call ends that call; while it waits for a drain, it cancels the drain. What
happens in the body of an ``async for`` over a drain is not waiting for it: see :class:`Drain`.
"""

from careen.aio._cluster import Cluster
from careen.aio._controller import Controller
from careen.aio._drain import Drain
from careen.aio._maintenance import MaintenanceHandle
from careen.aio._migration import MigrationHandle

__all__ = ["Cluster", "Controller", "Drain", "MaintenanceHandle", "MigrationHandle"]
