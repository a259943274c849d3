"""What goes wrong. Everything that careen raises by itself is a :class:`CareenError`; arguments of a wrong type raise
``TypeError``, as everywhere in Python.

One class for each thing that a script can act on. ``reason`` is the same word that the service, its logs and metrics use:
``NodeNotFound``, ``UnderMaintenance``, ``DrainInProgress``, …
"""

from __future__ import annotations

import builtins
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from careen.models import Blocking

__all__ = [
    "BlockedError",
    "CancelledError",
    "CareenError",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "FailedError",
    "ForbiddenError",
    "InvalidArgumentError",
    "NoControllerError",
    "NotFoundError",
    "NotServedError",
    "PreconditionFailedError",
    "RejectedError",
    "TimeoutError",
    "UnauthorizedError",
    "UnreachableError",
]


class CareenError(Exception):
    """Something that careen could not do. The message is a sentence that names what is in the way."""

    reason: str = "Unknown"
    """Its name in the vocabulary that all faces of Careen share."""
    node: str | None = None
    """The node that it is about, where it is about one."""


class ConfigurationError(CareenError):
    """There is no usable kubeconfig, and this is not a pod."""


class UnauthorizedError(CareenError):
    """The API server does not know who this is, or refuses these credentials as a whole."""


class ForbiddenError(CareenError):
    """A right is missing."""

    permission: str | None = None
    """The right, as in a Role: ``"patch nodes"``, ``"create pods/eviction in namespace shop"``; ``None`` where the API
    server does not name it."""


class NotFoundError(CareenError):
    """There is no such node, VM, maintenance, migration or namespace."""


class ConflictError(CareenError):
    """Something that exists is in the way: a maintenance or a drain acts on the node, the VM is migrating, …"""

    holder: str | None = None
    """Who acts on the node, where that is what is in the way: a maintenance, the id of a drain, a Lease's holder."""
    migration: str | None = None
    """The migration that moves the VM already, where that is what is in the way: see
    :meth:`careen.Cluster.migration`."""


class PreconditionFailedError(ConflictError):
    """It has changed since it was read, or belongs to another ticket."""


class BlockedError(CareenError):
    """Workloads cannot leave the node."""

    blocking: tuple[Blocking, ...] = ()
    """Them, and what is in their way: those first that only a change can help."""

    @classmethod
    def of(cls, node: str, blocking: tuple[Blocking, ...]) -> BlockedError:
        """The error that these workloads block that node."""
        error = cls(f"node {node} cannot be drained: {_named(blocking)}")
        error.reason, error.node, error.blocking = "Blocked", node, blocking
        return error


class CancelledError(CareenError):
    """The drain was cancelled before it was done. (Not asyncio's: the task goes on.)"""


class FailedError(CareenError):
    """It was tried, and has failed: a migration, a maintenance that was not accepted, what ran out of its own time
    (``DrainOptions.timeout``)."""


class NoControllerError(CareenError):
    """Nobody carries maintenances out in this cluster."""


class TimeoutError(CareenError, builtins.TimeoutError):
    """A call or a wait took longer than it was given. What was begun may have been done, or goes on."""

    blocking: tuple[Blocking, ...] = ()
    """For a drain: what it is waiting for."""

    @classmethod
    def of(
        cls, what: str, limit: float, node: str | None, blocking: tuple[Blocking, ...] = (), otherwise: str = ""
    ) -> TimeoutError:
        """The error that it is not so yet after so many seconds: because of these workloads, else because of that."""
        why = _named(blocking) or otherwise
        error = cls(f"{what} within {limit:g} s" + (f": {why}" if why else ""))
        error.reason, error.node, error.blocking = "Timeout", node, blocking
        return error


class UnreachableError(CareenError):
    """The API server cannot be reached, or cannot serve now. Trying again is harmless."""


class NotServedError(CareenError):
    """The cluster does not have that kind of object: KubeVirt, or Careen's CustomResourceDefinition, is not installed."""


class RejectedError(CareenError):
    """The API server, an admission webhook or KubeVirt says no; the message says why."""


class InvalidArgumentError(CareenError, ValueError):
    """An argument makes no sense."""

    argument: str | None = None
    """Its name."""


class ClosedError(CareenError):
    """The connection was closed."""


def _named(blocking: tuple[Blocking, ...]) -> str:
    """The first of them, in a sentence."""
    named = "; ".join(f"{each.namespace}/{each.name}: {each.message}" for each in blocking[:3])
    return named + (f"; and {len(blocking) - 3} more" if len(blocking) > 3 else "")


_CLASSES: dict[str, type[CareenError]] = {
    cls.__name__: cls for cls in globals().copy().values() if isinstance(cls, type) and issubclass(cls, CareenError)
}

_CAPITAL = re.compile(r"([A-Z])")
_RIGHT = re.compile(r'cannot (\w+) resource "([^"]+)" in API group "[^"]*"(?: in the namespace "([^"]+)")?')


def _make(cls: str, reason: str, message: str, details: str) -> CareenError:
    """Called by the engine."""
    error = _CLASSES[cls](message)
    error.reason = reason
    attributes: dict[str, Any] = json.loads(details)
    if (argument := attributes.get("argument")) is not None:
        # The engine has the names of JSON.
        attributes["argument"] = _CAPITAL.sub(r"_\1", argument).lower()
    for name, value in attributes.items():
        setattr(error, name, value)
    if isinstance(error, ForbiddenError) and (right := _RIGHT.search(message)):
        verb, resource, namespace = right.groups()
        error.permission = f"{verb} {resource}" + (f" in namespace {namespace}" if namespace else "")
    return error
