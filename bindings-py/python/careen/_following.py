"""How long a wait for a maintenance goes on without news."""

from __future__ import annotations

import time

from careen.errors import CareenError, NoControllerError, TimeoutError, UnreachableError
from careen.models import Maintenance, MaintenancePhase

TAKEN_UP_WITHIN = 10.0
"""A controller takes a maintenance up in a moment; a new leader within a few seconds."""


class Following:
    """What a wait has seen of a maintenance, and how long the next word may take."""

    def __init__(self, maintenance: Maintenance, limit: float | None) -> None:
        self._maintenance = maintenance
        self._seen: Maintenance | None = None
        self._open_since = now = time.monotonic()
        self._ends = None if limit is None else now + limit

    def saw(self, seen: Maintenance) -> Maintenance:
        # One that was decided and is open again was changed: it is as good as new.
        if not self._is_open():
            self._open_since = time.monotonic()
        self._seen = seen
        return seen

    def left(self) -> float | None:
        """How long to wait for the next that it says."""
        ends = [end for end in (self._ends, self._taken_up_until()) if end is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def late(self, error: TimeoutError) -> CareenError:
        """Why it takes so long."""
        node = error.node = self._maintenance.node
        error.blocking = () if self._seen is None else self._seen.blocking
        until = self._taken_up_until()
        if until is None or (self._ends is not None and self._ends < until):
            return error
        name = f"NodeMaintenance {self._maintenance.name}"
        if self._seen is None:
            away = UnreachableError(
                f"the API server has not shown {name} within {TAKEN_UP_WITHIN:g} s: it is away, or too slow"
            )
            away.reason, away.node = "ApiServerUnavailable", node
            return away
        nobody = NoControllerError(
            f"no controller takes {name} up: the Careen service does not run in this cluster, or has lost its leader; run "
            "it, or a careen.Controller"
        )
        nobody.reason, nobody.node = "NoController", node
        return nobody

    def _is_open(self) -> bool:
        return self._seen is None or self._seen.phase is MaintenancePhase.UNDECIDED

    def _taken_up_until(self) -> float | None:
        """When a controller has to have decided, while none has."""
        return self._open_since + TAKEN_UP_WITHIN if self._is_open() else None
