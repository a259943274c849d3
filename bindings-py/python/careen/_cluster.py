"""A cluster, for scripts that wait."""

from __future__ import annotations

import os
from datetime import timedelta
from types import TracebackType

from careen import _careen, _read
from careen._arguments import text
from careen._drain import Drain
from careen._read import Scope, many, name, one
from careen.models import DrainOptions, Node, NodeChange, Plan, TaintEffect, Workload

__all__ = ["Cluster"]


class Cluster:
    """A connection to a cluster; every call waits for its result. Good for any number of threads.

    With ``scope="nodes"`` a call about one node looks at that node and at what is around it, and reads it anew, so that
    you see what you have just done; it costs the same in a cluster of any size and needs no right to list everything.
    With ``scope="whole"`` it keeps watches of everything: plans know whether other nodes have room, but reads may be a
    moment behind, and the rights of the service are needed.

    Ctrl-C ends a call at once. A connection does not survive ``os.fork()``.

    :param kubeconfig: a file; else ``$KUBECONFIG``, ``~/.kube/config``, or the service account of this pod.
    :param context: the context to take from it; else its current one.
    :param timeout: longest time for one call; no limit for a drain, which is not one call.
    """

    def __init__(
        self,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        *,
        timeout: timedelta | float = 30.0,
        scope: Scope = "nodes",
    ) -> None:
        self._native = _careen.connect(*_read.connection(kubeconfig, context, timeout, scope))

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
