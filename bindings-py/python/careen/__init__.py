"""Takes Kubernetes / KubeVirt nodes out of service and puts them back without losing a virtual machine.

:class:`careen.Cluster` waits for what it does; :class:`careen.aio.Cluster` is the same for asyncio. Both use the engine of
the Careen service, in your process: they need no Careen server. :mod:`careen.testing` has a cluster in memory.
"""

from careen import _logging, aio, errors, models, testing
from careen._careen import __version__
from careen._cluster import Cluster
from careen._controller import Controller
from careen._drain import Drain
from careen._maintenance import MaintenanceHandle
from careen._migration import MigrationHandle
from careen._read import Scope
from careen.errors import (
    BlockedError,
    CancelledError,
    CareenError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    FailedError,
    ForbiddenError,
    InvalidArgumentError,
    NoControllerError,
    NotFoundError,
    NotServedError,
    PreconditionFailedError,
    RejectedError,
    TimeoutError,
    UnauthorizedError,
    UnreachableError,
)
from careen.models import DrainOptions, Ticket

__all__ = [
    "BlockedError",
    "CancelledError",
    "CareenError",
    "ClosedError",
    "Cluster",
    "ConfigurationError",
    "ConflictError",
    "Controller",
    "Drain",
    "DrainOptions",
    "FailedError",
    "ForbiddenError",
    "InvalidArgumentError",
    "MaintenanceHandle",
    "MigrationHandle",
    "NoControllerError",
    "NotFoundError",
    "NotServedError",
    "PreconditionFailedError",
    "RejectedError",
    "Scope",
    "Ticket",
    "TimeoutError",
    "UnauthorizedError",
    "UnreachableError",
    "__version__",
    "aio",
    "errors",
    "models",
    "testing",
]
