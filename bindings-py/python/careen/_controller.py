"""A controller, for those who have no Careen service."""

from __future__ import annotations

from types import TracebackType

from careen import _careen, _read
from careen._cluster import Cluster

__all__ = ["Controller"]


class Controller:
    """Carries maintenances out in this process, as the Careen service does: for those who have none.

    It looks at the whole cluster, whatever the connection's scope, and needs what the service needs: the
    CustomResourceDefinition, the namespaces and the rights of ``deploy/``. If it can never lead, for the namespace or a
    right to its Lease is missing, it raises :class:`~careen.errors.NotFoundError` or
    :class:`~careen.errors.ForbiddenError`.

    Several of them (and the service) agree on one that leads. It ends with ``stop()``, with the connection, with the
    process, and when nobody has it any more: keep it, or use it in a ``with``. What it has begun goes on when the next
    one leads.

    :param namespace: Careen's own namespace, which has to exist: of the leader Lease.
    """

    def __init__(self, cluster: Cluster, *, namespace: str = "careen") -> None:
        if not isinstance(cluster, Cluster):
            raise TypeError(f"cluster has to be a careen.Cluster, not {type(cluster).__name__}")
        self._native = _careen.start_controller(cluster._native, _read.object_name("namespace", namespace))

    def __enter__(self) -> Controller:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Finishes the requests that are on their way, and lets another one lead."""
        self._native.stop()
