"""A live migration, for scripts that wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import ClassVar, TypeVar

from careen import _careen
from careen._arguments import seconds
from careen._read import one
from careen.errors import FailedError, TimeoutError
from careen.models import Migration

__all__ = ["MigrationHandle"]

H = TypeVar("H", bound="_AnyMigrationHandle")


class _AnyMigrationHandle:
    """What a handle has, whoever waits for it."""

    _KIND: ClassVar[str]
    _native: _careen.Migration
    _namespace: str
    _instance: str

    def __init__(self) -> None:
        raise TypeError("a migration is asked for by Cluster.migrate(), and found by Cluster.migration()")

    @classmethod
    def _of(cls: type[H], native: _careen.Migration, namespace: str) -> H:
        handle = cls.__new__(cls)
        handle._native, handle._namespace, handle._instance = native, namespace, native.instance
        return handle

    def __repr__(self) -> str:
        return f"<{self._KIND} {self._namespace}/{self.name} of {self._instance}>"

    @property
    def namespace(self) -> str:
        """The namespace of the migration and of its VM."""
        return self._namespace

    @property
    def name(self) -> str:
        """Name of the ``VirtualMachineInstanceMigration``."""
        return self._native.name

    @property
    def virtual_machine_instance(self) -> str:
        """Name of the VM."""
        return self._instance

    def _late(self, limit: float, seen: Migration | None) -> TimeoutError:
        """The error of a wait that took too long, with where the migration stands."""
        phase = None if seen is None else seen.phase
        why = f"VirtualMachineInstanceMigration {self.name} is {phase or 'not taken up by KubeVirt'}"
        if seen is not None and seen.waits_for is not None:
            why += f" and waits for {seen.waits_for.kind}"
        node = None if seen is None else seen.source
        return TimeoutError.of(f"VM {self._namespace}/{self._instance} has not moved", limit, node, (), why)

    @property
    def result(self) -> Migration | None:
        """How it ended, whatever the end; ``None`` while it runs."""
        answer = self._native.result
        return None if answer is None else one(Migration, answer)


class MigrationHandle(_AnyMigrationHandle):
    """A migration that was asked for. Iterating over it gives what it says, until it has ended. It goes on if you drop this
    handle."""

    _KIND = "MigrationHandle"

    def __iter__(self) -> Iterator[Migration]:
        events = self._native.events()
        while (answer := events.next(None)) is not None:
            seen = one(Migration, answer)
            yield seen
            if is_over(seen):
                return

    def wait(
        self,
        timeout: timedelta | float | None = None,
        *,
        on_progress: Callable[[Migration], object] | None = None,
    ) -> Migration:
        """Waits until the VM has moved. Raises :class:`~careen.errors.FailedError` if it has not.

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time; the migration goes on.
        :param on_progress: is called with everything that it says, in this thread.
        """
        limit, began = seconds("timeout", timeout), time.monotonic()
        events, seen = self._native.events(), None
        while True:
            left = None if limit is None else max(0.0, began + limit - time.monotonic())
            try:
                seen = told(events.next(left), self.name)
            except TimeoutError:
                raise self._late(limit or 0.0, seen) from None
            if on_progress is not None:
                on_progress(seen)
            if has_moved(seen):
                return seen

    def cancel(self) -> bool:
        """Aborts it. Says whether KubeVirt makes another, because the VM is still to leave its node."""
        return self._native.cancel()


def told(answer: str | None, name: str) -> Migration:
    """What a migration says, unless it is gone."""
    if answer is not None:
        return one(Migration, answer)
    gone = FailedError(f"VirtualMachineInstanceMigration {name} is gone: it was cancelled, or its VM has ended")
    gone.reason = "MigrationNotFound"
    raise gone


def is_over(seen: Migration) -> bool:
    """Whether it has ended."""
    return seen.phase in ("Succeeded", "Failed")


def has_moved(seen: Migration) -> bool:
    """Whether the VM has."""
    if seen.phase == "Failed":
        failed = FailedError(f"VirtualMachineInstanceMigration {seen.name} has failed: {seen.failure or 'KubeVirt does not say why'}")
        failed.reason = "MigrationFailed"
        raise failed
    return seen.phase == "Succeeded"
