"""A drain, for scripts that wait."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import ClassVar, TypeVar

from careen import _careen
from careen._arguments import seconds
from careen._progress import Bar
from careen._read import one
from careen.errors import BlockedError, CancelledError, CareenError, FailedError, TimeoutError
from careen.models import BlockClass, Blocking, DrainEnd, DrainEvent, DrainOutcome

__all__ = ["Drain"]

# Whatever ends the interpreter: a traceback, sys.exit(). The engine's log ends after this.
atexit.register(_careen.end_drains)

T = TypeVar("T")
D = TypeVar("D", bound="_AnyDrain")

FAREWELL = 0.5
"""After Ctrl-C, or when a block is left, the drain gets so long to take its record and Lease away, in seconds. It starts
nothing more anyway."""


class _AnyDrain:
    """What a drain has, whoever waits for it."""

    _KIND: ClassVar[str]
    _native: _careen.Drain
    _node: str

    def __init__(self) -> None:
        raise TypeError("a drain is begun by Cluster.drain()")

    @classmethod
    def _of(cls: type[D], native: _careen.Drain, node: str) -> D:
        drain = cls.__new__(cls)
        drain._native, drain._node = native, node
        # Until then, the drain is cancelled with it: nobody could.
        native.take()
        return drain

    def __repr__(self) -> str:
        return f"<{self._KIND} {self.id} of {self._node}>"

    @property
    def id(self) -> str:
        """Tells it from others: it stands in the record on the node."""
        return self._native.id

    @property
    def node(self) -> str:
        """The node."""
        return self._node

    @property
    def event(self) -> DrainEvent | None:
        """How it is doing now."""
        return last_event(self._native)

    @property
    def result(self) -> DrainOutcome | None:
        """How it ended, whatever the end; ``None`` while it runs. A drain that failed raises why."""
        return outcome(self._native)

    def cancel(self) -> None:
        """Starts nothing more: the node stays cordoned. Does not wait; :meth:`wait` does."""
        self._native.cancel()


class Drain(_AnyDrain):
    """A drain that runs in this process. Iterating over it gives events until it has ended.

    It goes on if you drop this handle. Ctrl-C while it is waited for cancels it: in :meth:`wait`, or while a loop waits
    for the next event. What goes wrong elsewhere, as in the body of that loop, does not; used as a context manager it does:
    ``with cluster.drain("node02") as drain:`` cancels the drain if an exception leaves the block, and else lets it go on.
    """

    _KIND = "Drain"

    def __enter__(self) -> Drain:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._cancel_and_see_off()

    def __iter__(self) -> Iterator[DrainEvent]:
        events = self._native.events()
        with self._cancelled_by_ctrl_c():
            while (event := events.next(None)) is not None:
                yield one(DrainEvent, event)

    def wait(
        self,
        timeout: timedelta | float | None = None,
        *,
        on_progress: Callable[[DrainEvent], object] | None = None,
        progress: bool = False,
        raise_if_stuck: bool = False,
    ) -> DrainOutcome:
        """Waits until the node is drained (or has left the cluster).

        Raises :class:`~careen.errors.CancelledError` if it was cancelled, :class:`~careen.errors.BlockedError` if it ran
        out of its own time (``DrainOptions.timeout``) while something blocked, :class:`~careen.errors.FailedError` if it
        ran out of it otherwise, and what has made an end of it (:class:`~careen.errors.ConflictError`, …).

        :param timeout: raises :class:`~careen.errors.TimeoutError` after that time; the drain goes on.
        :param on_progress: is called with every event, in this thread.
        :param progress: shows a bar on standard error, if that is a terminal.
        :param raise_if_stuck: raises :class:`~careen.errors.BlockedError` as soon as a workload waits for a change that
            only somebody can make; the drain goes on. Otherwise a drain waits for that change, for ever if it must.
        """
        limit, began = seconds("timeout", timeout), time.monotonic()
        with self._cancelled_by_ctrl_c(), Bar(self._node, progress) as bar:
            if on_progress is None and not raise_if_stuck and not bar.is_shown:
                # Nobody looks: then no events are made.
                self._within(self._native.wait, limit, limit)
                return concluded(self._native, self._node)
            events = self._native.events()
            while True:
                left = None if limit is None else max(0.0, began + limit - time.monotonic())
                answer = self._within(events.next, left, limit)
                if answer is None:
                    return concluded(self._native, self._node)
                event = one(DrainEvent, answer)
                bar.show(event)
                if on_progress is not None:
                    on_progress(event)
                if raise_if_stuck:
                    raise_stuck(event, self._node)

    def _within(self, wait: Callable[[float | None], T], left: float | None, limit: float | None) -> T:
        try:
            return wait(left)
        except TimeoutError:
            raise late(self._native, self._node, limit or 0.0) from None

    @contextlib.contextmanager
    def _cancelled_by_ctrl_c(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._cancel_and_see_off()
            raise

    def _cancel_and_see_off(self) -> None:
        self._native.cancel()
        # What it was about to say is of no interest any more.
        with contextlib.suppress(CareenError):
            self._native.wait(FAREWELL)


def last_event(native: _careen.Drain) -> DrainEvent | None:
    event = native.event
    return None if event is None else one(DrainEvent, event)


def outcome(native: _careen.Drain) -> DrainOutcome | None:
    answer = native.outcome
    return None if answer is None else one(DrainOutcome, answer)


def raise_stuck(event: DrainEvent, node: str) -> None:
    stuck = tuple(each for each in event.blocking if each.class_ is BlockClass.STUCK)
    if stuck:
        raise BlockedError.of(node, stuck)


def late(native: _careen.Drain, node: str, limit: float) -> TimeoutError:
    """The error of a wait that took too long, with what the drain waits for."""
    event, why = last_event(native), "it has not begun"
    blocking: tuple[Blocking, ...] = ()
    if event is not None:
        blocking = event.blocking
        in_the_way = event.trouble or event.waits_for
        still = f"{event.progress.left} of {event.progress.had_to_leave} workloads have still to leave"
        why = still if in_the_way is None else in_the_way.message
    return TimeoutError.of(f"node {node} is not drained", limit, node, blocking, why)


def concluded(native: _careen.Drain, node: str) -> DrainOutcome:
    """The outcome of a drain that has ended, if it is the one that was wanted."""
    ended = outcome(native)
    assert ended is not None, "it has ended"
    if ended.end in (DrainEnd.DRAINED, DrainEnd.NODE_GONE):
        return ended
    event = last_event(native)
    blocking = () if event is None else event.blocking
    if ended.end is DrainEnd.TIMED_OUT and blocking:
        raise BlockedError.of(node, blocking)
    # Not a TimeoutError: that is for a wait, after which the drain goes on.
    failed = FailedError if ended.end is DrainEnd.TIMED_OUT else CancelledError
    error = failed(f"node {node} is not drained: {ended.message}")
    error.reason, error.node = str(ended.end), node
    raise error
