"""How long a wait for a maintenance goes on without news."""

from __future__ import annotations

from time import monotonic

from careen.errors import CareenError, NoControllerError, TimeoutError, UnreachableError
from careen.models import Maintenance, MaintenancePhase

TAKEN_UP_WITHIN = 40.0
"""A controller takes a maintenance up, or says what keeps it from restoring a node, in a moment. One that follows
another which has ended without a word waits 30 s for that one's Lease first; and it looks every 3 s."""


class Following:
    """What a wait has seen of a maintenance, and how long the next word may take. Only the time for which it really
    waits counts: what its caller does in between may take long.

    :param wanted: what the node is not yet.
    """

    def __init__(self, maintenance: Maintenance, limit: float | None, wanted: str = "drained") -> None:
        self._maintenance, self._limit, self._wanted = maintenance, limit, wanted
        self._seen: Maintenance | None = None
        self._ends = None if limit is None else monotonic() + limit
        self._waited = 0.0
        self._asked: float | None = None

    def saw(self, seen: Maintenance) -> Maintenance:
        self._count()
        # One that was decided and is open again was changed: it is as good as new. And news of one that is being
        # stopped may be its controller's.
        if not (is_undecided(self._seen) and is_undecided(seen)):
            self._waited = 0.0
        self._seen = seen
        return seen

    def left(self) -> float | None:
        """How long to wait for the next that it says."""
        self._asked = monotonic()
        ends = [end for end in (self._own_time(), self._time_for_a_controller()) if end is not None]
        return max(0.0, min(ends)) if ends else None

    def late(self) -> CareenError:
        """Why it takes so long."""
        self._count()
        node, name = self._maintenance.node, f"NodeMaintenance {self._maintenance.name}"
        own_time, controllers = self._own_time(), self._time_for_a_controller()
        if self._limit is not None and own_time is not None and (controllers is None or own_time <= controllers):
            blocking = () if self._seen is None else self._seen.blocking
            return TimeoutError.of(f"node {node} is not {self._wanted}", self._limit, node, blocking, self._stands())
        if self._seen is None:
            away = UnreachableError(
                f"the API server has not shown {name} within {TAKEN_UP_WITHIN:g} s: it is away, or too slow"
            )
            away.reason, away.node = "ApiServerUnavailable", node
            return away
        does = f"takes {name} up" if is_undecided(self._seen) else f"restores node {node} for {name}, which is stopped"
        nobody = NoControllerError(
            f"no controller {does}: the Careen service does not run in this cluster, or has lost its leader; run it, "
            "or a careen.Controller"
        )
        nobody.reason, nobody.node = "NoController", node
        return nobody

    def _count(self) -> None:
        if self._asked is not None:
            self._waited += monotonic() - self._asked
            self._asked = None

    def _own_time(self) -> float | None:
        return None if self._ends is None else self._ends - monotonic()

    def _time_for_a_controller(self) -> float | None:
        """How long a controller may still take, while none is seen to act."""
        return TAKEN_UP_WITHIN - self._waited if is_left_alone(self._seen) else None

    def _stands(self) -> str:
        """Where it stands, for those who have waited in vain."""
        if self._seen is None:
            return "the API server does not show its maintenance"
        if self._seen.last_error is not None:
            return self._seen.last_error
        return f"NodeMaintenance {self._seen.name} is {self._seen.phase}"


def is_undecided(seen: Maintenance | None) -> bool:
    """Whether no controller has said anything about it."""
    return seen is None or seen.phase is MaintenancePhase.UNDECIDED


def is_left_alone(seen: Maintenance | None) -> bool:
    """Whether it is a controller's turn, and there is no sign of one. Who cannot restore a node says why."""
    if seen is not None and seen.phase is MaintenancePhase.STOPPING:
        return seen.last_error is None
    return is_undecided(seen)
