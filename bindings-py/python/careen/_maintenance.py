"""A maintenance, for scripts that wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import ClassVar, TypeVar

from careen import _careen
from careen._arguments import seconds
from careen._following import Following, is_left_alone
from careen._progress import Bar
from careen._read import one
from careen.errors import BlockedError, CareenError, FailedError, NotFoundError, TimeoutError
from careen.models import BlockClass, Maintenance, MaintenancePhase

__all__ = ["MaintenanceHandle"]

H = TypeVar("H", bound="_AnyMaintenanceHandle")


class _AnyMaintenanceHandle:
    """What a handle has, whoever waits for it."""

    _KIND: ClassVar[str]
    _cluster: _careen.Cluster
    _maintenance: Maintenance
    _created: bool
    _changed: bool
    _seen: Maintenance | None

    def __init__(self) -> None:
        raise TypeError("a maintenance is started by Cluster.start_maintenance()")

    @classmethod
    def _of(cls: type[H], cluster: _careen.Cluster, answer: str) -> H:
        handle = cls.__new__(cls)
        started = json.loads(answer)
        handle._cluster = cluster
        handle._maintenance = Maintenance.from_dict(started["maintenance"])
        handle._created, handle._changed = started["created"], started["changed"]
        handle._seen = None
        return handle

    def __repr__(self) -> str:
        return f"<{self._KIND} {self.name} of {self.node}>"

    @property
    def name(self) -> str:
        """Name of the ``NodeMaintenance``."""
        return self._maintenance.name

    @property
    def node(self) -> str:
        """The node."""
        return self._maintenance.node

    @property
    def created(self) -> bool:
        """Whether it was made by this call; else the node had it already."""
        return self._created

    @property
    def changed(self) -> bool:
        """Whether this call has written something."""
        return self._changed

    @property
    def result(self) -> Maintenance | None:
        """What it had come to when this handle last saw it (:meth:`wait`, :meth:`status`, iterating): drained or failed;
        ``None`` as long as that is open."""
        is_open = self._seen is None or self._seen.phase not in (MaintenancePhase.SUCCEEDED, MaintenancePhase.FAILED)
        return None if is_open else self._seen

    def _exactly(self) -> tuple[str, str, str | None]:
        """What names this one and no other: its name, its UID and its ticket."""
        ticket = self._maintenance.ticket
        return self.name, self._maintenance.uid, None if ticket is None else ticket.id

    def _events(self) -> _careen.MaintenanceEvents:
        return _careen.maintenance_events(self._cluster, self.name, self._maintenance.uid)


class MaintenanceHandle(_AnyMaintenanceHandle):
    """A maintenance that was started. Iterating over it gives what it says, until it is gone; it raises
    :class:`~careen.errors.NoControllerError` if no controller takes it up within 40 seconds.

    It is carried out by the controller, not by this process: dropping the handle ends nothing.
    """

    _KIND = "MaintenanceHandle"

    def status(self) -> Maintenance:
        """What it says now; :class:`~careen.errors.NotFoundError` if it has ended, whatever has its name by now."""
        answer = _careen.maintenance(self._cluster, self.name, self._maintenance.uid)
        self._seen = one(Maintenance, answer)
        return self._seen

    def __iter__(self) -> Iterator[Maintenance]:
        events = self._events()
        following = Following(self._maintenance, None)
        while True:
            seen = self._next(events, following)
            if seen is None:
                return
            yield seen

    def wait(
        self,
        timeout: timedelta | float | None = None,
        *,
        on_progress: Callable[[Maintenance], object] | None = None,
        progress: bool = False,
        raise_if_stuck: bool = False,
    ) -> Maintenance:
        """Waits until the node is drained. It stays out of service until the maintenance is stopped.

        Raises :class:`~careen.errors.FailedError` if the maintenance is not accepted, or out of its own time;
        :class:`~careen.errors.NoControllerError` if no controller takes it up within 40 seconds (a new leader may wait
        30 for an old one); :class:`~careen.errors.UnreachableError` if the API server does not show it in that time;
        :class:`~careen.errors.NotFoundError` if it is stopped meanwhile and gone.

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time; the maintenance goes on.
        :param on_progress: is called with everything that it says, in this thread.
        :param progress: shows a bar on standard error, if that is a terminal.
        :param raise_if_stuck: raises :class:`~careen.errors.BlockedError` as soon as a workload waits for a change that
            only somebody can make; the maintenance goes on.
        """
        following = Following(self._maintenance, seconds("timeout", timeout))
        events = self._events()
        with Bar(self.node, progress) as bar:
            while True:
                seen = told(self._next(events, following), self._maintenance)
                bar.show(seen)
                if on_progress is not None:
                    on_progress(seen)
                if is_drained(seen, raise_if_stuck):
                    return seen

    def wait_gone(self, timeout: timedelta | float | None = None) -> None:
        """Waits until it is gone, after a stop: the node is restored then.

        Raises :class:`~careen.errors.NoControllerError` if it is stopped and no controller restores the node.

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time.
        """
        following = Following(self._maintenance, seconds("timeout", timeout), "restored")
        events = self._events()
        while self._next(events, following) is not None:
            pass

    def _next(self, events: _careen.MaintenanceEvents, following: Following) -> Maintenance | None:
        """The next that it says; ``None`` once it is gone."""
        try:
            answer = events.next(following.left())
        except TimeoutError:
            late = following.late()
            if isinstance(late, TimeoutError):
                raise late from None
            # Its word may be on its way: what it says now counts.
            try:
                seen = self.status()
            except NotFoundError:
                return None
            except CareenError:
                raise late from None
            if is_left_alone(seen):
                raise late from None
            return following.saw(seen)
        if answer is None:
            return None
        self._seen = following.saw(one(Maintenance, answer))
        return self._seen

    def stop(self) -> Maintenance:
        """Puts the node back into service as it was. Does not wait for that: :meth:`wait_gone` does.

        Raises :class:`~careen.errors.NotFoundError` if it has ended already, whatever maintenance the node has by now.
        """
        return one(Maintenance, _careen.stop_maintenance_exactly(self._cluster, *self._exactly()))

    def cancel(self) -> Maintenance:
        """Stops it, as :meth:`stop` does."""
        return self.stop()


def told(seen: Maintenance | None, maintenance: Maintenance) -> Maintenance:
    """What a maintenance says, unless it is gone."""
    if seen is not None:
        return seen
    gone = NotFoundError(f"NodeMaintenance {maintenance.name} is gone: somebody has stopped it")
    gone.reason, gone.node = "MaintenanceNotFound", maintenance.node
    raise gone


def is_drained(seen: Maintenance, raise_if_stuck: bool) -> bool:
    """Whether its node is; raises what speaks against waiting on."""
    if seen.phase is MaintenancePhase.SUCCEEDED:
        return True
    if seen.phase is MaintenancePhase.FAILED:
        refused = next((each for each in seen.conditions if each.type == "Accepted" and seen.accepted is False), None)
        why = refused.message if refused is not None else seen.last_error
        failed = FailedError(f"NodeMaintenance {seen.name} has failed: {why}")
        failed.reason, failed.node = "MaintenanceFailed" if refused is None else refused.reason, seen.node
        raise failed
    stuck = tuple(each for each in seen.blocking if each.class_ is BlockClass.STUCK)
    if raise_if_stuck and stuck:
        raise BlockedError.of(seen.node, stuck)
    return False
