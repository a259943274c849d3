"""A cluster, for scripts that wait."""

from __future__ import annotations

import os
from datetime import timedelta
from types import TracebackType

from careen import _careen, _read
from careen._arguments import text
from careen._connect import connecting
from careen._drain import Drain
from careen._maintenance import MaintenanceHandle
from careen._migration import MigrationHandle
from careen._read import Scope, many, name, one
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
    """A connection to a cluster; every call waits for its result. Good for any number of threads.

    With ``scope="nodes"`` a call about one node looks at that node and at what is around it, and reads it anew, so that
    you see what you have just done; it costs the same in a cluster of any size and needs no right to list everything.
    With ``scope="whole"`` it keeps watches of everything: plans know whether other nodes have room, but reads may be a
    moment behind. The rights of ``deploy/scripts-clusterrole.yaml`` suffice for both.

    Ctrl-C ends a call at once. Nothing of careen survives ``os.fork()`` once it has been used: start child processes with
    ``spawn``, or fork before careen is first used.

    :param kubeconfig: a file; else ``$KUBECONFIG``, ``~/.kube/config``, or the service account of this pod.
    :param context: the context to take from it; else its current one.
    :param url: the API server, ``https://10.0.0.1:6443``, for those who have no kubeconfig.
    :param token: the bearer token that goes with it.
    :param certificate_authority: a PEM file that vouches for it; else the system's certificates.
    :param timeout: longest time for one call; no limit for a drain, which is not one call.
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
        self._native = connecting(*place, timeout, scope).blocking()

    @classmethod
    def _of(cls, native: _careen.Cluster) -> Cluster:
        cluster = cls.__new__(cls)
        cluster._native = native
        return cluster

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels drains that still run here, and ends the connection."""
        self._native.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._native.closed

    def nodes(self) -> list[Node]:
        """All nodes, by name. With ``scope="nodes"`` their pods are not counted."""
        return many(Node, _careen.nodes(self._native))

    def node(self, node: str) -> Node:
        """One node."""
        return one(Node, _careen.node(self._native, name("node", node)))

    def workloads(self, node: str) -> list[Workload]:
        """The pods and VMs on a node, by the name of their pod."""
        return many(Workload, _careen.workloads(self._native, name("node", node)))

    def plan(self, node: str, options: DrainOptions | None = None, *, for_maintenance: bool = False) -> Plan:
        """What would happen if the node were drained now with these options. Changes nothing.

        :param for_maintenance: takes the defaults of a maintenance, not those of a drain.
        """
        return one(
            Plan,
            _careen.plan(self._native, name("node", node), _read.drain_options(options), for_maintenance),
        )

    def cordon(self, node: str, *, dry_run: bool = False) -> NodeChange:
        """No new pods. Repeating it changes nothing."""
        return one(NodeChange, _careen.cordon(self._native, name("node", node), dry_run))

    def uncordon(self, node: str, *, dry_run: bool = False) -> NodeChange:
        """New pods again. What an operation has left behind on the node is undone."""
        return one(NodeChange, _careen.uncordon(self._native, name("node", node), dry_run))

    def taint(
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
        return one(NodeChange, _careen.taint(self._native, *arguments, dry_run))

    def untaint(
        self, node: str, key: str, effect: TaintEffect | str | None = None, *, dry_run: bool = False
    ) -> NodeChange:
        """Removes taints.

        :param effect: only that effect; else all effects of the key.
        """
        wanted = None if effect is None else str(text("effect", effect))
        return one(NodeChange, _careen.untaint(self._native, name("node", node), name("key", key), wanted, dry_run))

    def drain(self, node: str, options: DrainOptions | None = None) -> Drain:
        """Begins to drain a node, in this process, and returns when the node is cordoned.

        The drain goes on while your script does other things; :meth:`Drain.wait` waits for it. It ends with the process
        or with this connection. Drained, the node stays cordoned.
        """
        native = _careen.drain(self._native, name("node", node), _read.drain_options(options))
        return Drain._of(native, node)

    def start_maintenance(
        self,
        node: str,
        reason: str | None = None,
        *,
        ticket: Ticket | str | None = None,
        options: DrainOptions | None = None,
    ) -> MaintenanceHandle:
        """Takes a node out of service, durably: it makes a ``NodeMaintenance``, which the controller carries out (that of
        the Careen service, or a :class:`careen.Controller`). Nothing depends on this process any more.

        A node that is under maintenance already gets these values; what is left out stays as it is. So it can be repeated.

        :param ticket: the ticket that it belongs to; one that belongs to another is not changed (``ConflictError``).
        """
        arguments = name("node", node), *_read.maintenance(reason, ticket, options)
        return MaintenanceHandle._of(self._native, _careen.start_maintenance(self._native, *arguments, False))

    def stop_maintenance(self, node: str, *, ticket: str | None = None, force: bool = False) -> Maintenance:
        """Puts a node back into service as it was, whoever started its maintenance. Does not wait for that.

        :param ticket: only if the maintenance belongs to that ticket.
        :param force: whatever ticket it belongs to.
        """
        arguments = name("node", node), text("ticket", ticket), force, False
        return one(Maintenance, _careen.stop_maintenance(self._native, *arguments))

    def maintenances(self) -> list[Maintenance]:
        """All maintenances, by name."""
        return many(Maintenance, _careen.maintenances(self._native))

    def maintenance(self, maintenance: str) -> Maintenance:
        """The maintenance of that name."""
        return one(Maintenance, _careen.maintenance(self._native, _read.object_name("maintenance", maintenance), None))

    def virtual_machine_instances(self) -> list[VirtualMachineInstance]:
        """All VMs that run; looks at the whole cluster, whatever the scope."""
        return many(VirtualMachineInstance, _careen.virtual_machine_instances(self._native))

    def virtual_machine_instance(self, namespace: str, instance: str) -> VirtualMachineInstance:
        """One VM."""
        arguments = name("namespace", namespace), name("instance", instance)
        return one(VirtualMachineInstance, _careen.virtual_machine_instance(self._native, *arguments))

    def migrations(self) -> list[Migration]:
        """All migrations; looks at the whole cluster, whatever the scope."""
        return many(Migration, _careen.migrations(self._native))

    def migration(self, namespace: str, migration: str) -> MigrationHandle:
        """A migration that is there, whoever has asked for it: to wait for it or to cancel it. What is in the way of
        another is named by ``ConflictError.migration``."""
        arguments = name("namespace", namespace), name("migration", migration)
        return MigrationHandle._of(_careen.migration(self._native, *arguments), namespace)

    def migrate(self, namespace: str, instance: str) -> MigrationHandle:
        """Moves a VM to another node, live; KubeVirt chooses which. Returns when KubeVirt has been asked."""
        native = _careen.migrate(self._native, name("namespace", namespace), name("instance", instance))
        return MigrationHandle._of(native, namespace)
