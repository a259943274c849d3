"""A cluster, for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from datetime import timedelta
from types import TracebackType

from careen import _careen, _read
from careen._arguments import text
from careen._connect import connecting
from careen._read import Scope, many, name, one
from careen.aio._drain import Drain
from careen.aio._maintenance import MaintenanceHandle
from careen.aio._migration import MigrationHandle
from careen.errors import ClosedError
from careen.models import (
    DrainOptions,
    Maintenance,
    Migration,
    Node,
    NodeChange,
    Plan,
    TaintEffect,
    Ticket,
    VirtualMachineInstance,
    Workload,
)

__all__ = ["Cluster"]


class Cluster:
    """A connection to a cluster, for asyncio. See :class:`careen.Cluster` for scope, freshness and arguments.

    It connects when it is first used, at ``async with`` or ``await cluster``.
    """

    def __init__(
        self,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        certificate_authority: str | os.PathLike[str] | None = None,
        timeout: timedelta | float = 30.0,
        scope: Scope = "nodes",
    ) -> None:
        place = kubeconfig, context, url, token, certificate_authority
        self._connect = connecting(*place, timeout, scope).awaitable
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
                native = await self._connect()
                if self._is_closed:
                    await native.close_async()
                    raise ClosedError("the connection was closed while it was made: make another Cluster")
                self._native = native
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

    async def start_maintenance(
        self,
        node: str,
        reason: str | None = None,
        *,
        ticket: Ticket | str | None = None,
        options: DrainOptions | None = None,
    ) -> MaintenanceHandle:
        """Takes a node out of service, durably. See :meth:`careen.Cluster.start_maintenance`."""
        arguments = name("node", node), *_read.maintenance(reason, ticket, options)
        native = await self._connected()
        return MaintenanceHandle._of(native, await _careen.start_maintenance_async(native, *arguments, False))

    async def stop_maintenance(self, node: str, *, ticket: str | None = None, force: bool = False) -> Maintenance:
        """Puts a node back into service as it was. See :meth:`careen.Cluster.stop_maintenance`."""
        arguments = name("node", node), text("ticket", ticket), force, False
        return one(Maintenance, await _careen.stop_maintenance_async(await self._connected(), *arguments))

    async def maintenances(self) -> list[Maintenance]:
        """All maintenances, by name."""
        return many(Maintenance, await _careen.maintenances_async(await self._connected()))

    async def maintenance(self, maintenance: str) -> Maintenance:
        """The maintenance of that name."""
        checked = _read.object_name("maintenance", maintenance)
        return one(Maintenance, await _careen.maintenance_async(await self._connected(), checked, None))

    async def virtual_machine_instances(self) -> list[VirtualMachineInstance]:
        """All VMs that run; looks at the whole cluster, whatever the scope."""
        return many(VirtualMachineInstance, await _careen.virtual_machine_instances_async(await self._connected()))

    async def virtual_machine_instance(self, namespace: str, instance: str) -> VirtualMachineInstance:
        """One VM."""
        arguments = name("namespace", namespace), name("instance", instance)
        native = await self._connected()
        return one(VirtualMachineInstance, await _careen.virtual_machine_instance_async(native, *arguments))

    async def migrations(self) -> list[Migration]:
        """All migrations; looks at the whole cluster, whatever the scope."""
        return many(Migration, await _careen.migrations_async(await self._connected()))

    async def migration(self, namespace: str, migration: str) -> MigrationHandle:
        """A migration that is there, whoever has asked for it. See :meth:`careen.Cluster.migration`."""
        arguments = name("namespace", namespace), name("migration", migration)
        return MigrationHandle._of(await _careen.migration_async(await self._connected(), *arguments), namespace)

    async def migrate(self, namespace: str, instance: str) -> MigrationHandle:
        """Moves a VM to another node, live; KubeVirt chooses which. There when KubeVirt has been asked."""
        arguments = name("namespace", namespace), name("instance", instance)
        native = await _careen.migrate_async(await self._connected(), *arguments)
        return MigrationHandle._of(native, namespace)
