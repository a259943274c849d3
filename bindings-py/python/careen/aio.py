"""The same for asyncio: every call is awaited, and nothing blocks the event loop.

A task that is cancelled while it waits for a call ends that call; while it waits for a drain, it cancels the drain.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Generator
from datetime import timedelta
from types import TracebackType

from careen import _careen, _read
from careen._arguments import seconds, text
from careen._drain import concluded, explained, last_event, outcome, raise_stuck
from careen._progress import Bar
from careen._read import Scope, many, name, one
from careen.errors import ClosedError, TimeoutError
from careen.models import DrainEvent, DrainOptions, DrainOutcome, Node, NodeChange, Plan, TaintEffect, Workload

__all__ = ["Cluster", "Drain"]


class Cluster:
    """A connection to a cluster, for asyncio. See :class:`careen.Cluster` for scope, freshness and arguments.

    It connects when it is first used, at ``async with`` or ``await cluster``.
    """

    def __init__(
        self,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        *,
        timeout: timedelta | float = 30.0,
        scope: Scope = "nodes",
    ) -> None:
        self._arguments = _read.connection(kubeconfig, context, timeout, scope)
        self._native: _careen.Cluster | None = None
        self._connecting = asyncio.Lock()
        self._is_closed = False

    @classmethod
    def _of(cls, native: _careen.Cluster) -> Cluster:
        cluster = cls()
        cluster._native = native
        return cluster

    async def _connected(self) -> _careen.Cluster:
        async with self._connecting:
            if self._native is None:
                if self._is_closed:
                    raise ClosedError("the connection is closed: make another Cluster")
                self._native = await _careen.connect_async(*self._arguments)
            return self._native

    async def _ready(self) -> Cluster:
        await self._connected()
        return self

    def __await__(self) -> Generator[object, None, Cluster]:
        return self._ready().__await__()

    async def __aenter__(self) -> Cluster:
        return await self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancels drains that still run here, and ends the connection."""
        self._is_closed = True
        if self._native is not None:
            await self._native.close_async()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    async def nodes(self) -> list[Node]:
        """All nodes, by name. With ``scope="nodes"`` their pods are not counted."""
        return many(Node, await _careen.nodes_async(await self._connected()))

    async def node(self, node: str) -> Node:
        """One node."""
        return one(Node, await _careen.node_async(await self._connected(), name("node", node)))

    async def workloads(self, node: str) -> list[Workload]:
        """The pods and VMs on a node, by the name of their pod."""
        return many(Workload, await _careen.workloads_async(await self._connected(), name("node", node)))

    async def plan(self, node: str, options: DrainOptions | None = None, *, for_maintenance: bool = False) -> Plan:
        """What would happen if the node were drained now with these options. Changes nothing.

        :param for_maintenance: takes the defaults of a maintenance, not those of a drain.
        """
        arguments = name("node", node), _read.drain_options(options), for_maintenance
        return one(Plan, await _careen.plan_async(await self._connected(), *arguments))

    async def cordon(self, node: str, *, dry_run: bool = False) -> NodeChange:
        """No new pods. Repeating it changes nothing."""
        return one(NodeChange, await _careen.cordon_async(await self._connected(), name("node", node), dry_run))

    async def uncordon(self, node: str, *, dry_run: bool = False) -> NodeChange:
        """New pods again. What an operation has left behind on the node is undone."""
        return one(NodeChange, await _careen.uncordon_async(await self._connected(), name("node", node), dry_run))

    async def taint(
        self,
        node: str,
        key: str,
        value: str = "",
        effect: TaintEffect | str = TaintEffect.NO_SCHEDULE,
        *,
        dry_run: bool = False,
    ) -> NodeChange:
        """Adds a taint; one of that key and effect gets this value. KubeVirt's own drain taint is refused."""
        arguments = name("node", node), name("key", key), name("value", value), str(name("effect", effect))
        return one(NodeChange, await _careen.taint_async(await self._connected(), *arguments, dry_run))

    async def untaint(
        self, node: str, key: str, effect: TaintEffect | str | None = None, *, dry_run: bool = False
    ) -> NodeChange:
        """Removes taints.

        :param effect: only that effect; else all effects of the key.
        """
        arguments = name("node", node), name("key", key), None if effect is None else str(text("effect", effect))
        return one(NodeChange, await _careen.untaint_async(await self._connected(), *arguments, dry_run))

    async def drain(self, node: str, options: DrainOptions | None = None) -> Drain:
        """Begins to drain a node, in this process; there when the node is cordoned. See :meth:`careen.Cluster.drain`."""
        arguments = name("node", node), _read.drain_options(options)
        return Drain._of(await _careen.drain_async(await self._connected(), *arguments), node)


class Drain:
    """A drain that runs in this process. ``async for`` gives events until it has ended.

    It goes on if you drop this handle. Cancelling a task that waits for it or iterates over it cancels it.
    """

    _native: _careen.Drain
    _node: str

    def __init__(self) -> None:
        raise TypeError("a drain is begun by Cluster.drain()")

    @classmethod
    def _of(cls, native: _careen.Drain, node: str) -> Drain:
        drain = cls.__new__(cls)
        drain._native, drain._node = native, node
        return drain

    def __repr__(self) -> str:
        return f"<aio.Drain {self.id} of {self._node}>"

    @property
    def id(self) -> str:
        """Tells it from others: it stands in the record on the node."""
        return self._native.id

    @property
    def node(self) -> str:
        """The node."""
        return self._node

    @property
    def event(self) -> DrainEvent | None:
        """How it is doing now."""
        return last_event(self._native)

    @property
    def result(self) -> DrainOutcome | None:
        """How it ended, whatever the end; ``None`` while it runs. A drain that failed raises why."""
        return outcome(self._native)

    def cancel(self) -> None:
        """Starts nothing more: the node stays cordoned. Does not wait; :meth:`wait` does."""
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
        limit = seconds("timeout", timeout)
        deadline = None if limit is None else time.monotonic() + limit
        events = self._native.events()
        with Bar(self._node, progress) as bar:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                try:
                    answer = await events.next_async(left)
                except TimeoutError as error:
                    raise explained(error, self._native, self._node) from None
                except asyncio.CancelledError:
                    self._native.cancel()
                    raise
                if answer is None:
                    return concluded(self._native, self._node)
                event = one(DrainEvent, answer)
                bar.show(event)
                if on_progress is not None:
                    on_progress(event)
                if raise_if_stuck:
                    raise_stuck(event, self._node)
